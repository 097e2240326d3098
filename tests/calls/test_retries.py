"""What follows a call that reached nobody, on a real trunk: kept where the call ends, dialled when its time has come."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.carriers.voice_base import TrunkRoad
from gateway.clock import now_ms
from gateway.model.call import Call
from gateway.model.job import Job
from gateway.model.opt_out import OptOut
from gateway.store import abandonment, calls, jobs, lives, opt_outs
from gateway.store.abandonment import Heard
from gateway.store.records import to_record
from gateway.workers import call_loop

SENDER = "+18005550199"
TEXT = {"text": "Hello {{ name }}, we called you.", "signed": "City Water", "smart_encoding": False}


def rule(after: str = "0s", attempts: int = 1, number: str = "same", text: Any = None) -> dict[str, Any]:
    return {"after": after, "attempts": attempts, "number": number, "text": text}


async def job_of(calling: Any, *endings: str, retries: dict[str, Any], **more: Any) -> tuple[Job, list[str]]:
    job = Job("job_1", "acme", "live", "voice", SENDER, {}, retries=retries, created_ms=now_ms())
    await calling.database.write(lambda tx: jobs.accept(tx, job))
    return job, await calling.queue(*endings, job_id=job.id, reference="account 7", **more)


async def chain(calling: Any) -> list[Call]:
    """All calls of the job, oldest first."""
    rows = await calling.database.read(lambda tx: tx.rows("calls_page_of_job", **_PAGE))
    return [to_record(Call, row) for row in reversed(rows)]


_PAGE = {
    "job_id": "job_1",
    "before": "~",
    "tenant_id": "acme",
    "mode": "live",
    "limit": 999,
    "status": "",
    "recipient": "",
    "reference": "",
    "kind": "",
}


async def sweep(calling: Any) -> None:
    """What the housekeeper does every half second."""
    for things in ("calls", "messages"):
        await calling.database.write(lambda tx, things=things: lives.release_due(tx, things, now_ms(), 99))
    calling.signals.wake("calls")


async def until_over(calling: Any, count: int) -> list[Call]:
    """Wait until the job has so many calls, and none of them waits or goes on."""
    async with asyncio.timeout(15):
        while True:
            await sweep(calling)
            found = await chain(calling)
            if len(found) == count and all(
                call.status not in {"held", "queued", "dialing", "ringing"} for call in found
            ):
                return found
            await asyncio.sleep(0.05)


async def test_a_busy_line_is_called_again_as_often_as_the_table_says(calling: Any) -> None:
    await job_of(calling, "0400", retries={"busy": rule(attempts=2)})
    await calling.start()

    first, second, third = await until_over(calling, 3)

    assert [call.status for call in (first, second, third)] == ["busy"] * 3
    assert [call.attempt for call in (first, second, third)] == [1, 2, 3]
    assert (first.first_id, second.first_id, third.first_id) == (None, first.id, first.id)
    assert {(call.sender, call.recipient, call.reference) for call in (first, second, third)} == {
        (SENDER, first.recipient, "account 7")
    }
    assert len(calling.heard()) == 3
    assert third.tried == {"busy": 2}
    assert await calling.events(second.id) == ["call.queued", "call.dialing", "call.ringing", "call.busy"]


async def test_a_report_by_webhook_that_the_line_was_busy_brings_the_next_attempt(calling: Any) -> None:
    await calling.sender(voice="twilio")
    await job_of(calling, "0400", retries={"busy": rule()})
    await calling.start()

    first, second = await until_over(calling, 2)

    assert [(call.status, call.attempt) for call in (first, second)] == [("busy", 1), ("busy", 2)]
    assert (second.carrier, second.first_id) == ("twilio", first.id)


async def test_the_next_number_of_the_person_is_reached(calling: Any) -> None:
    retries = {"no_answer": rule(number="next"), "failed": rule(attempts=3)}
    others = ("+12125550404", "+12125550600")
    await job_of(calling, "0403", retries=retries, alternatives=others)
    await calling.start()

    async with asyncio.timeout(15):
        while len(found := await chain(calling)) < 3 or found[-1].status != "completed":
            await sweep(calling)
            await asyncio.sleep(0.05)

    assert [call.recipient[-4:] for call in found] == ["0403", "0404", "0600"]
    assert [call.status for call in found] == ["no_answer", "failed", "completed"]
    assert found[-1].alternatives == ["+12125550403"]  # nobody has 0404: it is not dialled again
    assert found[-1].message_delay_ms < 2000
    assert await calling.database.read(lambda tx: abandonment.of_job(tx, "job_1")) == Heard(answered=1, abandoned=0)


async def test_a_text_follows_when_no_attempt_is_left(calling: Any) -> None:
    job, (call_id,) = await job_of(calling, "0400", retries={"busy": rule(attempts=0, text=TEXT)})
    await calling.start()
    await calling.until_status(call_id, "busy")

    (text,) = await calling.database.read(lambda tx: tx.rows("messages_page_of_job", **_PAGE))
    finished = await calling.database.read(jobs.finished)
    found = await calling.database.read(lambda tx: _told(tx, call_id))

    assert text["body"] == "Hello Ana, we called you.\nCity Water"
    assert (text["status"], text["reason"], text["reference"]) == ("held", "retry", "account 7")
    assert finished == []  # the job waits for its text
    assert found["next"] == {"id": text["id"], "channel": "sms", "at_ms": text["hold_until_ms"]}
    await jobs.change_with_recall(calling.database, calling.signals, job, "cancelled", now_ms())
    (text,) = await calling.database.read(lambda tx: tx.rows("messages_page_of_job", **_PAGE))
    assert (text["status"], text["reason"]) == ("cancelled", "job_cancelled")


async def _told(tx: Any, call_id: str) -> Any:
    from gateway.store import events

    return (await events.after(tx, "acme", "live", 0, 99, subject=call_id))[-1]["data"]


async def test_what_waits_for_a_further_attempt_follows_its_job(calling: Any) -> None:
    job, (call_id,) = await job_of(calling, "0400", retries={"busy": rule(attempts=5)})
    await calling.start()
    await calling.until_status(call_id, "busy")

    paused = await jobs.change_with_recall(calling.database, calling.signals, job, "paused", now_ms())
    await sweep(calling)
    _, waits = await chain(calling)
    assert (waits.status, waits.reason) == ("held", "paused")
    await calling.database.write(lambda tx: jobs.change(tx, paused, "running", now_ms()))
    calling.signals.wake("calls")
    await calling.until_status(waits.id, "busy")
    await jobs.change_with_recall(calling.database, calling.signals, job, "cancelled", now_ms())

    assert [call.status for call in await chain(calling)] == ["busy", "busy", "cancelled"]


async def test_a_call_that_ends_when_its_job_was_cancelled_is_the_last(calling: Any) -> None:
    job, (call_id,) = await job_of(calling, "0401", retries={"no_answer": rule()})
    calling.roads["live", "main"] = TrunkRoad(calling.trunk, 20.0, 10, 1)
    await calling.start()
    await calling.until_status(call_id, "ringing")
    await jobs.change_with_recall(calling.database, calling.signals, job, "cancelled", now_ms())

    await calling.until_status(call_id, "no_answer")

    assert len(await chain(calling)) == 1


@pytest.mark.parametrize("by", ["+12125550400", "+12125550101"])
async def test_a_stop_by_any_number_of_the_person_ends_the_attempts(calling: Any, by: str) -> None:
    """They say stop by text while the next attempt waits; the answer lists it."""
    retries = {"busy": rule(after="1h", number="next", text=TEXT)}
    await job_of(calling, "0400", retries=retries, alternatives=("+12125550101",))
    await calling.start()
    async with asyncio.timeout(10):
        while len(found := await chain(calling)) < 2:
            await asyncio.sleep(0.05)
    said = OptOut("acme", "live", by, "tenant", "keyword", "STOP", now_ms())

    cancelled = await opt_outs.stop_with_recall(calling.database, calling.signals, said)

    assert cancelled == [found[1].id]
    assert (await calling.call(found[1].id)).reason == "opted_out"
    ended = await calling.database.write(lambda tx: _end_again(tx, found[0]))
    assert ended is None


async def _end_again(tx: Any, call: Call) -> Any:
    from gateway.store import attempts

    return await attempts.after(tx, call, "busy", "busy", now_ms())


async def test_an_end_told_twice_brings_one_attempt(calling: Any) -> None:
    await job_of(calling, "0400", retries={"busy": rule(after="1h", attempts=9)}, status="ringing")
    (call,) = await chain(calling)

    first = await calling.database.write(lambda tx: calls.ended(tx, call.id, "busy", now_ms(), reason="busy"))
    second = await calling.database.write(lambda tx: calls.ended(tx, call.id, "busy", now_ms(), reason="busy"))

    assert (first, second) == (True, False)
    assert len(await chain(calling)) == 2


async def test_nobody_is_called_outside_of_the_jobs_hours(calling: Any) -> None:
    """It is day in one of these zones and night in the other; the person's own number stands for the first."""
    hour = datetime.now(UTC).hour
    day, night = f"Etc/GMT{hour - 12:+}", f"Etc/GMT{(hour if hour < 13 else hour - 24):+}"
    fixed = {"from": "08:00", "to": "20:00", "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}
    for name, zone in (("job_day", day), ("job_night", night)):
        job = Job(name, "acme", "live", "voice", SENDER, {}, hours={**fixed, "zone": zone}, created_ms=now_ms())
        await calling.database.write(lambda tx, job=job: jobs.accept(tx, job))
    (called,) = await calling.queue("0600", job_id="job_day")
    (waits,) = await calling.queue("0600", job_id="job_night")
    await calling.start()

    await calling.until_status(called, "completed")
    held = await calling.until_status(waits, "held")

    assert held.reason == "quiet_hours"
    assert 6 * 3_600_000 < held.hold_until_ms - now_ms() <= 8 * 3_600_000 + 1000
    assert len(calling.heard()) == 1


async def test_who_may_be_called_in_a_second_is_not_held_until_then(
    calling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose clock is ahead would release them at once, to be held again, and so on."""
    now = datetime.now(UTC)
    ahead_ms = 60_000 - (now.second * 1000 + now.microsecond // 1000) - 1500
    noon = f"Etc/GMT{now.hour - 12:+}"
    begins = datetime.fromtimestamp(now.timestamp() + 60, ZoneInfo(noon))
    monkeypatch.setattr(call_loop, "now_ms", lambda: now_ms() + ahead_ms)
    hours = {"from": f"{begins:%H:%M}", "to": "24:00", "zone": noon}
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    job = Job("job_1", "acme", "live", "voice", SENDER, {}, hours={**hours, "days": days}, created_ms=now_ms())
    await calling.database.write(lambda tx: jobs.accept(tx, job))
    (call_id,) = await calling.queue("0400", job_id="job_1")
    await calling.start()

    await calling.until_gate("quiet_hours")
    await calling.until_status(call_id, "busy")

    assert await calling.events(call_id) == ["call.dialing", "call.ringing", "call.busy"]


async def test_thousands_who_wait_for_the_morning_do_not_keep_others_waiting_for_minutes(calling: Any) -> None:
    """They stand in front, and are passed over by more and more at a time."""
    hour = datetime.now(UTC).hour
    never = {"from": f"{(hour + 12) % 23:02}:00", "to": f"{(hour + 12) % 23 + 1:02}:00", "zone": "Etc/UTC"}
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    job = Job("job_night", "acme", "live", "voice", SENDER, {}, hours={**never, "days": days}, created_ms=now_ms())
    await calling.database.write(lambda tx: jobs.accept(tx, job))
    waiting = await calling.queue(*["0600"] * 600, job_id="job_night")
    (called,) = await calling.queue("0600")
    await calling.start()

    await calling.until_status(called, "completed")

    rows = [await calling.call(each) for each in waiting]
    assert {call.reason for call in rows} == {"quiet_hours"}
    assert len({call.updated_ms for call in rows}) <= 12, "of 16 at a time it would be 38"
