"""How deep the carrier's own queue is taken to be, and that a deep one keeps the rest here."""

import asyncio
from typing import Any

from gateway.clock import now_ms
from gateway.model.limit import Throughput
from gateway.settings import Sms
from gateway.workers.carrier_queue import CarrierQueue, Left

RATE = [Throughput("sender:rate", 3, 1_000_000)]
SENDER = "+18005550199"


def test_what_was_taken_after_the_newest_that_left_is_still_in_it() -> None:
    queue = CarrierQueue(seconds=10)
    queue.took((at, 2) for at in range(100, 120))

    assert queue.full_for_s(Left(100, 1_000), RATE, 1_000) == (38 - 30) / 3
    assert queue.full_for_s(Left(103, 1_000), RATE, 1_000) == 2 / 3
    assert queue.full_for_s(Left(104, 1_000), RATE, 1_000) is None


def test_a_carrier_that_never_reports_or_has_not_for_long_is_not_waited_for() -> None:
    queue = CarrierQueue(seconds=1)
    queue.took([(100, 50)])

    assert queue.full_for_s(None, RATE, 1_000) is None
    assert queue.full_for_s(Left(0, 1_000), RATE, 1_000) is not None
    assert queue.full_for_s(Left(0, 1_000), RATE, 1_000 + 16 * 60_000) is None


def test_a_carrier_that_never_reports_is_not_remembered_for_ever() -> None:
    queue = CarrierQueue(seconds=1)
    for at in range(0, 100_000, 100):
        queue.took([(at, 1)])
        assert queue.full_for_s(None, RATE, at) is None

    assert queue.segments == 100  # of the last ten seconds


async def test_a_carrier_that_sends_nothing_on_is_given_no_more_than_its_queue_may_hold(sending: Any) -> None:
    sending.sms = Sms(carrier_queue_s=1)
    sending.far_end.parts.faults.set({"mute": True})
    await sending.sender(limits={"rate": "20/s"})
    told = {"sender": SENDER, "mode": "live"}
    row = {**told, "left_sent_ms": 1, "told_ms": now_ms()}
    await sending.database.write(lambda tx: tx.run("carrier_queues_left", **row))
    await sending.queue(*(f"{number:04}" for number in range(1000, 1060)))
    sending.start()

    async def waits(_tx: Any) -> bool:
        return sending.signals.gates.get(("messages", SENDER, "live"), ("", None))[0] == "carrier_queue"

    await sending.until(waits)
    await asyncio.sleep(0.5)
    assert 20 <= len(sending.arrived()) <= 28  # a second's worth, and what was committed when it became too much

    row = {**told, "left_sent_ms": now_ms(), "told_ms": now_ms()}
    await sending.database.write(lambda tx: tx.run("carrier_queues_left", **row))

    async def goes_on(_tx: Any) -> bool:
        return len(sending.arrived()) > 30

    await sending.until(goes_on)
