"""What waits is taken back: by a stop, a pause, a cancellation, and by the end of the process that held it."""

import asyncio
import threading
from collections import Counter
from typing import Any

import pytest

from gateway.errors.store import StoreUnavailable
from gateway.model.job import Job
from gateway.model.limit import Refused
from gateway.store import jobs, lives
from gateway.workers.sender_loop import SenderLoop
from tests.workers.test_sms_sender import on_both


async def test_a_stop_ends_although_its_cancellation_comes_together_with_redis_answer(
    sending: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `asyncio.wait_for` of Python 3.11 has it, under our Redis client: the answer is there, the cancel is lost."""
    await sending.sender(limits={"rate": "2/s"})
    take, asked = sending.counters.take_texts, asyncio.Event()

    async def losing(*given: Any, **more: Any) -> Any:
        async def answered() -> Any:
            asked.set()
            await asyncio.sleep(0.2)
            return await take(*given, **more)

        answer = asyncio.create_task(answered())
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            return await answer

    monkeypatch.setattr(sending.counters, "take_texts", losing)
    ids = await sending.queue(*["1001"] * 12)
    sending.start()
    await asked.wait()

    async with asyncio.timeout(5):
        await sending.stop()

    states = Counter([(await sending.message(each)).status for each in ids])
    assert states["queued"] > 6
    assert states["sending"] == 0


@on_both
async def test_who_said_stop_is_not_texted_and_what_waits_for_them_is_cancelled(sending: Any) -> None:
    """0020 answers the first text with STOP; the rest waits behind a slow rate and never leaves."""
    await sending.sender(limits={"rate": "2/s"})
    await sending.queue("0020")
    rest = await sending.queue("5555", "0020", "0020")
    sending.start()

    for message_id in rest[1:]:
        message = await sending.until_status(message_id, "cancelled", "suppressed")
        assert message.reason == "opted_out"

    await sending.until_status(rest[0], "delivered")
    confirmation = await sending.until(lambda tx: tx.rows("messages_with_status", status="delivered", limit=9))
    assert sending.arrived().count("+12125550020") <= 2  # the text, and the one confirmation
    assert confirmation


@on_both
async def test_a_paused_job_stops_at_once_and_goes_on_when_resumed(sending: Any) -> None:
    await sending.sender(limits={"rate": "20/s"})
    job = Job("job_1", "acme", "live", "sms", "+18005550199", {})
    await sending.database.write(lambda tx: jobs.accept(tx, job))
    ids = await sending.queue(*(f"{number:04}" for number in range(1000, 1020)), job_id="job_1")
    sending.start()
    await sending.until_status(ids[2], "delivered")

    await jobs.change_with_recall(sending.database, sending.signals, job, "paused", 1)
    counted = await sending.database.read(lambda tx: lives.counts(tx, "messages", "job_1"))
    at_pause = len(sending.arrived())
    assert counted["held"].get("paused", 0) > 0
    assert "queued" not in counted["by_state"]

    await sending.database.write(lambda tx: jobs.change(tx, job, "running", 2))
    sending.signals.wake("messages")
    await sending.until_status(ids[-1], "delivered")
    assert at_pause < 20
    assert len(sending.arrived()) == len(set(sending.arrived())) == 20


async def test_a_text_taken_back_and_queued_again_while_its_limits_are_asked_for_is_read_anew(
    sending: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Committed by the reading that was taken back it would be `sending`, with nobody left to write it."""
    job = Job("job_1", "acme", "live", "sms", "+18005550199", {})
    await sending.database.write(lambda tx: jobs.accept(tx, job))
    take = sending.counters.take_texts

    async def paused_and_resumed_meanwhile(*given: Any, **more: Any) -> Any:
        answer = await take(*given, **more)
        if isinstance(answer, Refused):  # rates wait for a second after the counters were made
            return answer
        monkeypatch.setattr(sending.counters, "take_texts", take)
        await jobs.change_with_recall(sending.database, sending.signals, job, "paused", 1)
        await sending.database.write(lambda tx: jobs.change(tx, job, "running", 2))
        sending.signals.wake("messages")
        return answer

    monkeypatch.setattr(sending.counters, "take_texts", paused_and_resumed_meanwhile)
    (message_id,) = await sending.queue("1234", job_id="job_1")
    sending.start()

    await sending.until_status(message_id, "delivered")
    assert len(sending.arrived()) == 1


async def test_texts_of_a_job_whose_pause_finds_the_disk_full_are_sent_all_the_same(sending: Any) -> None:
    """The pause took them back from the plan, and then it was not kept: somebody has to queue them again."""
    await sending.sender(limits={"rate": "10/s"})
    job = Job("job_1", "acme", "live", "sms", "+18005550199", {})
    await sending.database.write(lambda tx: jobs.accept(tx, job))
    await sending.database.write(room_for_a_megabyte)
    ids = await sending.queue(*(f"{number:04}" for number in range(1000, 1008)), job_id="job_1")
    plan = sending.start().desk.plan
    while not any(planned.committed for planned in plan.unwritten.values()):
        await asyncio.sleep(0.001)

    with pytest.raises(StoreUnavailable, match="full"):
        await jobs.change_with_recall(sending.database, sending.signals, job, "paused", 1, data={"x": "x" * 4_000_000})

    for message_id in ids:
        await sending.until_status(message_id, "delivered")
    assert len(sending.arrived()) == len(set(sending.arrived())) == 8


async def room_for_a_megabyte(tx: Any) -> None:
    (pages,) = tx.connection.execute("PRAGMA page_count").fetchone()
    tx.connection.execute(f"PRAGMA max_page_count = {pages + 250}")


async def test_a_clean_stop_puts_back_what_was_not_written(sending: Any) -> None:
    await sending.sender(limits={"rate": "5/s"})
    ids = await sending.queue(*(f"{number:04}" for number in range(1000, 1010)))
    sending.start()
    await sending.until_status(ids[0], "delivered")
    await sending.stop()

    states = Counter([(await sending.message(message_id)).status for message_id in ids])
    assert set(states) <= {"delivered", "sent", "queued"}
    assert states["delivered"] + states["sent"] == len(sending.arrived())


async def test_a_stop_during_the_commit_writes_nothing_and_queues_the_text_again(sending: Any) -> None:
    """The disk is slow: the stop comes while `sending` is on its way to it."""
    gate = threading.Event()

    async def slow(_tx: Any) -> None:
        gate.wait(5)

    await sending.counters.begin()
    await sending.leases.acquire("messages", [("+18005550199", "live")])
    (row_id,) = await sending.queue("1234")
    worker = sending.start()
    writing = asyncio.create_task(sending.database.write(slow))

    async def granted(_tx: Any) -> Any:
        return row_id in worker.desk.plan.unwritten and sending.database._works.qsize()

    await sending.until(granted)
    stopping = asyncio.create_task(sending.stop())
    await asyncio.sleep(0.1)  # the loops are cancelled
    gate.set()
    await asyncio.gather(writing, stopping)

    assert (await sending.message(row_id)).status == "queued"
    assert sending.arrived() == []


@pytest.mark.parametrize(("change", "status"), [("cancelled", "cancelled"), ("paused", "held")])
async def test_a_text_that_was_throttled_goes_where_its_job_has_gone(sending: Any, change: str, status: str) -> None:
    """The job ends or is paused while the carrier still thinks; its 429 must not send the text again."""
    job = Job("job_1", "acme", "live", "sms", "+18005550199", {})
    await sending.database.write(lambda tx: jobs.accept(tx, job))
    sending.far_end.parts.faults.set({"fail_status": 429, "latency_s": 0.3})
    (message_id,) = await sending.queue("1234", job_id="job_1")
    sending.start()

    async def came(_tx: Any) -> list[str]:
        return sending.arrived()

    await sending.until(came)
    await jobs.change_with_recall(sending.database, sending.signals, job, change, 1)
    await sending.until_status(message_id, status)

    sending.far_end.parts.faults.set({"fail_status": 0, "latency_s": 0.0})
    await sending.stop()
    assert len(sending.arrived()) == 1
    if change == "paused":
        sending.start()
        await sending.database.write(lambda tx: jobs.change(tx, job, "running", 2))
        await sending.until_status(message_id, "delivered")


async def test_what_a_killed_process_may_have_sent_can_be_answered_and_is_never_sent_again(sending: Any) -> None:
    (message_id,) = await sending.queue("1234")
    await sending.database.write(lambda tx: lives.move(tx, "messages", [message_id], "sending", 1_000))
    await sending.leases.begin()
    sending.start()

    message = await sending.message(message_id)
    assert (message.status, message.reason, message.sent_ms) == ("unknown", "worker_gone", 1_000)
    row = await sending.database.read(
        lambda tx: tx.row("messages_last_to", recipient=message.recipient, sender=message.sender, mode="live")
    )
    assert row["id"] == message_id
    assert sending.arrived() == []


async def test_a_stop_that_cannot_take_back_still_waits_for_the_answers_of_what_left(
    sending: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database was away for a moment: what the carrier answered after it became `unknown`."""
    sending.timeout_s = 10.0
    (slow,) = await sending.queue("0070")  # its answer takes 3 s
    worker = sending.start()
    await sending.until_status(slow, "sending")
    async with asyncio.timeout(5):
        while worker.desk.plan.unwritten:  # until its bytes have left
            await asyncio.sleep(0.01)

    async def away(_loop: SenderLoop) -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(SenderLoop, "put_back", away)
    await sending.stop()

    assert (await sending.message(slow)).status in {"sent", "delivered"}
