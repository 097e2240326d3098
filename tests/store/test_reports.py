"""Reports in any order, twice, late and early: one effect each."""

from itertools import permutations
from typing import Any

from gateway.carriers import reports
from gateway.carriers.base import Report
from gateway.clock import new_id
from gateway.model.message import Message
from gateway.store import lives
from gateway.store.database import Database
from gateway.store.records import to_row

NOW = 1_790_000_000_000
HOUR_MS = 3_600_000


async def keep(database: Database, **fields: Any) -> str:
    message = Message(
        new_id("msg"), "acme", "live", "+18005550199", "+12125551234", "Your bill is due", "gsm7", 1,
        **{"created_ms": NOW, "updated_ms": NOW, "status": "sending", **fields},
    )  # fmt: skip
    await database.write(lambda tx: tx.run("messages_insert", **to_row(message)))
    return message.id


async def report(database: Database, message_id: str | None, status: str, sid: str = "SM1", at_ms: int = NOW) -> str:
    told = Report(message_id, sid, status, "unreachable" if status == "undelivered" else "")
    return await database.write(lambda tx: reports.apply(tx, "twilio", "live", told, at_ms))


async def row(database: Database, message_id: str) -> Any:
    return await database.read(lambda tx: tx.row("messages_one", id=message_id))


async def happened(database: Database, message_id: str) -> list[str]:
    rows = await database.read(lambda tx: tx.rows("events_of_one", subject=message_id, limit=50))
    return [each["type"].partition(".")[2] for each in rows]


async def test_the_first_end_that_is_told_stays_in_whatever_order(database: Database) -> None:
    for number, order in enumerate(permutations(["sent", "delivered", "undelivered"])):
        message_id = await keep(database)

        for status in order:
            await report(database, message_id, status, f"SM{number}")
            await report(database, message_id, status, f"SM{number}")

        end = next(status for status in order if status != "sent")
        assert (await row(database, message_id))["status"] == end
        assert [each for each in await happened(database, message_id) if each == end] == [end]


async def test_a_report_before_the_sends_own_answer_is_not_undone_by_it(database: Database) -> None:
    message_id = await keep(database)

    await report(database, message_id, "delivered")
    answered = await database.write(lambda tx: lives.move(tx, "messages", [message_id], "sent", NOW))

    found = await row(database, message_id)
    assert answered == []
    assert (found["status"], found["carrier_id"], found["sent_ms"]) == ("delivered", "SM1", NOW)


async def test_a_report_a_day_after_the_waiting_ended_is_kept_as_an_event(database: Database) -> None:
    message_id = await keep(database, status="no_report", carrier_id="SM1", sent_ms=NOW - 96 * HOUR_MS)

    effect = await report(database, message_id, "delivered")

    assert effect == "kept"
    assert (await row(database, message_id))["status"] == "no_report"
    assert await happened(database, message_id) == ["report"]


async def test_a_report_for_a_message_not_yet_known_waits_for_it(database: Database) -> None:
    message_id = await keep(database)

    early = [await report(database, None, status) for status in ("delivered", "sent", "delivered")]

    async def answered(tx: Any) -> None:
        await tx.run("messages_taken", id=message_id, carrier="twilio", carrier_id="SM1")
        await lives.move(tx, "messages", [message_id], "sent", NOW)
        await reports.take_early(tx, "twilio", ["SM1"], NOW)

    await database.write(answered)

    assert early == ["early"] * 3
    assert (await row(database, message_id))["status"] == "delivered"
    assert await happened(database, message_id) == ["sent", "delivered", "report"]
    assert not await database.read(lambda tx: tx.rows("early_reports_of", carrier="twilio", carrier_ids=["SM1"]))


async def test_a_later_report_that_knows_our_id_brings_the_early_ones_with_it(database: Database) -> None:
    message_id = await keep(database)

    await report(database, None, "delivered")
    await report(database, message_id, "sent")

    assert await happened(database, message_id) == ["sent", "delivered"]


async def test_test_mode_reports_nothing_of_live_texts(database: Database) -> None:
    message_id = await keep(database)
    told = Report(message_id, "SM1", "delivered")

    effect = await database.write(lambda tx: reports.apply(tx, "practice", "test", told, NOW))

    assert effect == "early"
    assert (await row(database, message_id))["status"] == "sending"


async def test_what_the_list_paired_the_other_way_round_reports_to_one_message_each(database: Database) -> None:
    """The carrier's SM1 was a's, but the list gave it to b: both are told of once, none twice."""
    a = await keep(database, status="sent", carrier_id="SM2", sent_ms=NOW)
    b = await keep(database, status="sent", carrier_id="SM1", sent_ms=NOW)

    await report(database, a, "delivered", "SM1")
    await report(database, b, "undelivered", "SM2")

    assert ((await row(database, a))["status"], (await row(database, b))["status"]) == ("undelivered", "delivered")


async def test_of_two_copies_the_older_ones_bad_end_is_not_the_texts(database: Database) -> None:
    for status, end in (("undelivered", "sent"), ("delivered", "delivered")):
        newer, older = f"SM2{status}", f"SM1{status}"
        message_id = await keep(database, status="sent", carrier_id=newer, copies=1, sent_ms=NOW)

        await report(database, message_id, status, older)

        assert (await row(database, message_id))["status"] == end
