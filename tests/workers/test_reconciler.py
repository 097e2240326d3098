"""Asking the carrier: the practice far end accepts silently, and lists what it has as Twilio does."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.carriers import reports
from gateway.carriers.base import Report
from gateway.clock import now_ms
from gateway.metrics import Metrics
from gateway.model.job import Job
from gateway.model.opt_out import OptOut
from gateway.store import jobs, opt_outs, settling
from gateway.workers import reconciler
from gateway.workers.reconciler import Reconciler

MINUTE_MS = 60_000
Look = Callable[[int], Awaitable[int]]  # given the minutes that have gone by since


@pytest.fixture
def asking(sending: Any) -> Reconciler:
    return Reconciler(sending.database, sending.signals, {"twilio": sending.carrier}, sending.sms, 2.0, Metrics())


@pytest.fixture
def look(asking: Reconciler, monkeypatch: pytest.MonkeyPatch) -> Look:
    async def after(minutes: int) -> int:
        monkeypatch.setattr(reconciler, "now_ms", lambda: now_ms() + minutes * MINUTE_MS)
        return await asking.look()

    return after


async def lose(sending: Any, *endings: str, **more: Any) -> list[str]:
    """Send texts that end unknown; returns their ids."""
    ids: list[str] = await sending.queue(*endings, **more)
    sending.start()
    for message_id in ids:
        await sending.until_status(message_id, "unknown")
    await sending.stop()
    return ids


async def events_of(sending: Any, message_id: str) -> list[str]:
    rows = await sending.database.read(lambda tx: tx.rows("events_of_one", subject=message_id, limit=50))
    return [row["type"].partition(".")[2] for row in rows]


@pytest.mark.parametrize("ending", ["0064", "0053"])
async def test_what_the_carrier_has_is_sent_under_its_id(sending: Any, look: Look, ending: str) -> None:
    (message_id,) = await lose(sending, ending)

    assert await look(1) == 1

    message = await sending.message(message_id)
    (arrival,) = sending.far_end.parts.ledger.arrivals
    assert (message.status, message.reason, message.carrier_id) == ("sent", "found_at_carrier", arrival.sid)
    assert await look(2) == 0


async def test_what_ended_at_the_carrier_meanwhile_ends_so_here(sending: Any, look: Look) -> None:
    sending.far_end.parts.faults.set({"mute": True, "drop": True})
    (message_id,) = await lose(sending, "0001")
    (text,) = sending.far_end.parts.texts.messages.values()
    async with asyncio.timeout(5):
        while text.status != "undelivered":
            await asyncio.sleep(0.01)

    await look(1)

    message = await sending.message(message_id)
    assert (message.status, message.reason, message.error_code) == ("undelivered", "unreachable", "30003")
    assert await events_of(sending, message_id) == ["sending", "unknown", "sent", "undelivered"]
    whose = {"sender": message.sender, "mode": "live"}
    queue = await sending.database.read(lambda tx: tx.row("carrier_queues_of", **whose))
    assert queue["left_sent_ms"] == message.sent_ms  # what was written before it has left the carrier's queue, too


async def test_two_with_the_same_words_get_an_id_each_and_never_one_that_is_another_texts(
    sending: Any, look: Look
) -> None:
    """Four of the same words to one person, of which the second and the fourth are never answered."""
    sending.far_end.parts.faults.set({"mute": True, "drop": True, "every": 2})
    ids = await sending.queue("1234", "1234", "1234", "1234", body="Your bill is due")
    sending.start()

    async def two_unknown(tx: Any) -> bool:
        return len(await tx.rows("messages_with_status", status="unknown", limit=9)) == 2

    await sending.until(two_unknown)
    await sending.stop()
    await look(1)

    theirs = {arrival.sid for arrival in sending.far_end.parts.ledger.arrivals}
    assert len(theirs) == 4
    assert {(await sending.message(each)).carrier_id for each in ids} == theirs


async def test_what_is_under_way_with_the_same_words_is_not_taken_for_what_was_lost(sending: Any, look: Look) -> None:
    faults = sending.far_end.parts.faults
    faults.set({"reset": True})
    (lost,) = await lose(sending, "1234", body="Your bill is due")
    faults.set({"reset": False, "mute": True, "silence": True})
    (under_way,) = await sending.queue("1234", body="Your bill is due")
    sending.start()
    async with asyncio.timeout(5):
        while not sending.far_end.parts.texts.messages:
            await asyncio.sleep(0.01)
    assert (await sending.message(under_way)).status == "sending"

    await look(1)

    assert (await sending.message(lost)).status == "unknown"
    await sending.until_status(under_way, "unknown")
    for minutes in (3, 5, 7):
        await look(minutes)
    both = [await sending.message(each) for each in (lost, under_way)]
    assert {each.status for each in both} == {"delivered", "unknown"}  # one of the two: which, nobody can tell


async def test_one_that_is_missing_twice_waits_for_a_person_and_is_not_sent_again(sending: Any, look: Look) -> None:
    (message_id,) = await lose(sending, "0062")

    looks = [await look(minutes) for minutes in (1, 3, 5, 7)]  # the first one comes before its time is over

    message = await sending.message(message_id)
    assert looks == [1, 1, 1, 0]
    assert (message.status, message.reason) == ("unknown", "absent_at_carrier")
    assert await events_of(sending, message_id) == ["sending", "unknown", "unsettled"]
    assert len(sending.arrived()) == 1


async def test_a_list_that_cannot_be_read_makes_nothing_absent(sending: Any, look: Look) -> None:
    (message_id,) = await lose(sending, "0062")
    sending.far_end.parts.faults.set({"list_status": 503})

    looks = [await look(minutes) for minutes in (1, 3, 5, 6, 8, 12)]  # each waits longer than the one before
    before = await sending.message(message_id)
    await look(17)
    told = await sending.message(message_id)
    sending.far_end.parts.faults.set({"list_status": 0})
    for minutes in (23, 25):
        await look(minutes)

    assert looks == [1, 1, 1, 0, 1, 1]
    assert (before.reason, told.reason) == ("connection_broken", "carrier_not_asked")
    assert (await sending.message(message_id)).reason == "absent_at_carrier"


async def test_a_job_made_so_sends_what_is_missing_once_more_and_flags_the_copy(sending: Any, look: Look) -> None:
    job = Job("job_1", "acme", "live", "sms", "+18005550199", {}, on_unknown="resend")
    await sending.database.write(lambda tx: jobs.accept(tx, job))
    (message_id,) = await lose(sending, "0062", job_id="job_1")
    for minutes in (3, 5):
        await look(minutes)
    queued = await sending.message(message_id)
    sending.start()
    await sending.until_status(message_id, "unknown")
    await sending.stop()
    for minutes in (8, 10):
        await look(minutes)

    last = await sending.message(message_id)
    assert (queued.status, queued.reason, queued.copies, queued.attempts) == ("queued", "resent", 1, 1)
    assert (last.status, last.reason, last.copies, last.attempts) == ("unknown", "absent_at_carrier", 1, 2)
    assert "resent" in await events_of(sending, message_id)
    assert len(sending.arrived()) == 2


async def test_a_report_stops_the_copy_of_what_had_arrived(sending: Any) -> None:
    """Queued again, and then the first one's report comes: it is delivered, and does not leave again."""
    sending.far_end.parts.faults.set({"late_s": 0.5, "drop": True})
    (message_id,) = await lose(sending, "1234")
    await sending.database.write(lambda tx: settling.resend(tx, [message_id], now_ms(), by="test"))

    await sending.until_status(message_id, "delivered")
    sending.start()
    (other,) = await sending.queue("0064")
    await sending.until_status(other, "unknown")

    assert sending.arrived().count((await sending.message(message_id)).recipient) == 1


async def test_who_said_stop_meanwhile_gets_no_copy(sending: Any) -> None:
    (message_id,) = await lose(sending, "0062")
    said = OptOut("acme", "live", "+12125550062", "tenant", "test", "", now_ms())
    await sending.database.write(lambda tx: opt_outs.stop(tx, said))

    await sending.database.write(lambda tx: settling.resend(tx, [message_id], now_ms(), by="test"))
    sending.start()
    message = await sending.until_status(message_id, "suppressed", "cancelled")

    assert (message.status, len(sending.arrived())) == ("suppressed", 1)


async def test_asked_is_the_carrier_it_was_offered_to_whatever_the_sender_has_now(sending: Any, look: Look) -> None:
    (message_id,) = await lose(sending, "0064")
    await sending.sender(carrier="another")

    await look(1)

    assert (await sending.message(message_id)).status == "sent"


async def test_a_report_that_knows_only_the_carriers_id_waits_for_the_answer_that_tells_it(sending: Any) -> None:
    sending.far_end.parts.faults.set({"latency_s": 0.3, "mute": True})
    (message_id,) = await sending.queue("1234")
    sending.start()
    async with asyncio.timeout(5):
        while not sending.far_end.parts.texts.messages:
            await asyncio.sleep(0.01)
    report = Report(None, next(iter(sending.far_end.parts.texts.messages)), "delivered")

    effect = await sending.database.write(lambda tx: reports.apply(tx, "twilio", "live", report, now_ms()))
    await sending.until_status(message_id, "delivered")

    assert effect == "early"
    assert await events_of(sending, message_id) == ["sending", "sent", "delivered"]


async def test_a_carrier_that_answers_nobody_is_not_asked_about_everybody(
    sending: Any, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    endings = [f"20{number:02}" for number in range(20)]
    ids = await sending.queue(*endings, status="unknown", carrier="twilio", sent_ms=now_ms(), updated_ms=now_ms())
    sending.far_end.parts.faults.set({"list_status": 503})
    asked: list[str] = []
    listed = sending.carrier.listed

    async def counted(sender: str, recipient: str, since_ms: int, *, timeout_s: float) -> Any:
        asked.append(recipient)
        return await listed(sender, recipient, since_ms, timeout_s=timeout_s)

    monkeypatch.setattr(sending.carrier, "listed", counted)

    async def counts() -> set[tuple[int, int]]:
        rows = [
            await sending.database.read(lambda tx, one=each: tx.row("unsettled_one", message_id=one)) for each in ids
        ]
        return {(row["looks"], row["tries"]) for row in rows}

    await look(3)
    in_vain, first = len(asked), await counts()
    sending.far_end.parts.faults.set({"list_status": 0})
    await look(5)

    assert (in_vain, first) == (8, {(0, 1)})
    assert (len(asked), await counts()) == (8 + 20, {(1, 0)})
