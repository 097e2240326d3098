"""What has been over for long is forgotten; what is not over, and what a person said, is not."""

from typing import Any

from gateway.clock import first_id, new_id, now_ms
from gateway.model.event import Event
from gateway.model.job import Job
from gateway.model.message import Message
from gateway.model.opt_out import OptOut
from gateway.store import events, jobs, lives, opt_outs, retention
from gateway.store.database import Database
from gateway.store.records import to_row

SENDER, PERSON, DAY = "+18005550199", "+12125551234", 86_400_000


async def keep(database: Database, at_ms: int, status: str, **more: Any) -> str:
    message = Message(first_id("msg", at_ms)[:-4] + new_id("msg")[-4:], "acme", "live", SENDER, PERSON, "Hi", "gsm7", 1,
                      status="queued", created_ms=at_ms, updated_ms=at_ms, **more)  # fmt: skip
    await database.write(lambda tx: tx.many("messages_insert", [to_row(message)]))
    for step in ("sending", status):
        await database.write(lambda tx, step=step: lives.move(tx, "messages", [message.id], step, at_ms))
    return message.id


async def there(database: Database) -> set[str]:
    whose = {"tenant_id": "acme", "mode": "live"}
    return {row["id"] for row in await database.read(lambda tx: lives.page(tx, "messages", whose, before="", limit=99))}


async def log(database: Database) -> list[str]:
    return [each["type"] for each in await database.read(lambda tx: events.after(tx, "acme", "live", 0, 99))]


async def test_old_texts_that_are_over_go_with_their_events_and_the_others_stay(database: Database) -> None:
    now = now_ms()
    await keep(database, now - 10 * DAY, "delivered")
    stay = {await keep(database, now - 10 * DAY, "unknown"), await keep(database, now - DAY, "delivered")}

    assert await retention.forget(database, now - 5 * DAY, 99) == 1 + 4

    assert await there(database) == stay
    assert await log(database) == ["message.sending", "message.delivered"]


async def test_a_text_that_ended_lately_stays_however_old_it_is(database: Database) -> None:
    now = now_ms()
    made = await keep(database, now - 10 * DAY, "sent")
    await database.write(lambda tx: lives.move(tx, "messages", [made], "delivered", now))

    await retention.forget(database, now - 5 * DAY, 99)

    assert await there(database) == {made}


async def test_opt_outs_and_how_they_came_about_stay_and_nothing_behind_them_is_missed(database: Database) -> None:
    for number in range(5):
        said = OptOut("acme", "live", f"+1212555{1000 + number}", "tenant", "keyword", "STOP", 5)
        await database.write(lambda tx, said=said: opt_outs.stop(tx, said))
    await database.write(lambda tx: events.add(tx, Event("inbound.received", "acme", "live", PERSON, 5, {})))

    assert await retention.forget(database, now_ms(), 3) == 1

    assert await log(database) == ["opt_out.created"] * 5
    assert await database.read(lambda tx: opt_outs.among(tx, "acme", "live", SENDER, ["+12125551000"]))


async def test_an_event_that_is_still_to_be_delivered_stays(database: Database) -> None:
    event = Event("inbound.received", "acme", "live", PERSON, 5, {}, callback_url="https://engine.example/told")
    await database.write(lambda tx: events.add(tx, event))

    assert await retention.forget(database, now_ms(), 9) == 0


async def test_a_job_goes_when_the_last_of_its_texts_has_gone(database: Database) -> None:
    old = now_ms() - 10 * DAY
    job = Job(first_id("job", old), "acme", "live", "sms", SENDER, {}, created_ms=old)
    await database.write(lambda tx: jobs.accept(tx, job))
    await keep(database, old, "delivered", job_id=job.id)
    await database.write(lambda tx: jobs.complete_finished(tx, old))

    async def is_there() -> bool:
        return await database.read(lambda tx: jobs.get(tx, "acme", "live", job.id)) is not None

    await retention.forget(database, old - 1, 9)
    assert await is_there()

    await retention.forget(database, old + 1, 9)
    assert not await is_there()
