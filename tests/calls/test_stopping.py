"""What becomes of calls when their job is cancelled, the gateway is stopped, or its process is gone."""

import asyncio
import threading
from collections import Counter
from typing import Any

from gateway.carriers.voice_base import TrunkRoad
from gateway.clock import monotonic, now_ms
from gateway.model.job import Job
from gateway.store import jobs

SENDER = "+18005550199"


async def test_a_job_that_is_cancelled_dials_no_more(calling: Any) -> None:
    calling.roads["live", "main"] = TrunkRoad(calling.trunk, 2.0, 10, 5)
    job = Job("job_1", "acme", "live", "voice", SENDER, {})
    await calling.database.write(lambda tx: jobs.accept(tx, job))
    ids = await calling.queue(*["0600"] * 5, job_id="job_1")
    await calling.start()
    await calling.until_status(ids[0], "ringing", "answered", "completed")

    await jobs.change_with_recall(calling.database, calling.signals, job, "cancelled", now_ms())
    dialled = len(calling.heard())

    states = Counter([(await calling.call(call_id)).status for call_id in ids])
    assert states["cancelled"] == 5 - dialled
    await calling.until_status(ids[0], "completed")
    assert len(calling.heard()) == dialled < 5


async def test_a_stop_lets_calls_end_and_then_ends_them(calling: Any) -> None:
    """One call is over within the time a stop waits, one is cut off in its prompt, and one was never dialled."""
    calling.roads["live", "main"] = TrunkRoad(calling.trunk, 20.0, 2, 5)
    calling.shutdown_s = 2.0
    short, long, never = await calling.queue("0600", "0101", "0101")
    await calling.start()
    await calling.until_status(short, "answered")
    await calling.until_status(long, "answered")
    began = monotonic()

    await calling.stop()

    assert monotonic() - began < 2.0  # goodbyes are part of the time that a stop may take
    assert (await calling.call(short)).status == "completed"
    cut = await calling.call(long)
    assert (cut.status, cut.reason) == ("failed", "gateway_stopped")
    assert cut.prompts[0]["seconds"] > 1
    assert (await calling.call(never)).status == "queued"
    await calling.until_true(lambda: all(heard["ended_by"] for heard in calling.heard()))


async def test_a_stop_does_not_queue_again_what_another_process_dials(calling: Any) -> None:
    """What this process has read of a call may be older than the other's commit."""
    runner = await calling.start()
    (call_id,) = await calling.queue("0101", status="dialing")
    runner.desk.plan.enter([await calling.call(call_id)])

    await calling.stop()

    assert (await calling.call(call_id)).status == "dialing"


async def test_calls_that_a_killed_process_held_are_unknown_and_not_dialled_again(calling: Any) -> None:
    (call_id,) = await calling.queue("0101", status="answered", carrier="main")
    await calling.start()

    call = await calling.until_status(call_id, "unknown")

    assert call.reason == "worker_gone"
    assert calling.heard() == []


async def test_a_stop_during_the_commit_dials_nobody_and_queues_the_call_again(calling: Any) -> None:
    """The disk is slow: the stop comes while `dialing` is on its way to it."""
    gate = threading.Event()

    async def slow(_tx: Any) -> None:
        gate.wait(5)

    await calling.counters.begin()  # as the gateway does: a rebuild would wait for the disk too
    runner = await calling.start()
    await runner.desk.leases.acquire("calls", [("+18005550199", "live")])
    (call_id,) = await calling.queue("0101")
    writing = asyncio.create_task(calling.database.write(slow))
    try:
        await calling.until_true(lambda: call_id in runner.desk.channels._held)
        stopping = asyncio.create_task(calling.stop())
        await asyncio.sleep(0.1)  # the loops are cancelled
    finally:
        gate.set()
    await asyncio.gather(writing, stopping)

    assert (await calling.call(call_id)).status == "queued"
    assert await calling.events(call_id) == ["call.dialing", "call.queued"]
    assert calling.heard() == []
