"""Whatever becomes of a grant, Redis is told of it: else its rates would wait for what never leaves."""

import asyncio
from typing import Any

import pytest

from gateway.errors.store import StoreUnavailable
from gateway.store.criteria import OfSender
from tests.workers.conftest import SENDER


async def left_open(sending: Any) -> list[str]:
    """Give the rates of which Redis does not know that all that they granted has left."""
    await sending.gate.tell()
    return list(sending.gate._teller.telling._rates)


@pytest.mark.parametrize("ending", ["1234", "0030", "0429", "0500"])
async def test_a_text_that_left_is_told_whatever_the_carrier_made_of_it(sending: Any, ending: str) -> None:
    (message_id,) = await sending.queue(ending)
    sending.start()
    async with asyncio.timeout(10):
        while not sending.arrived() and (await sending.message(message_id)).status in {"queued", "sending"}:
            await asyncio.sleep(0.01)
    await sending.stop()

    assert await left_open(sending) == []


async def test_a_text_that_was_taken_back_before_its_slot_is_told_as_spent(sending: Any) -> None:
    await sending.sender(limits={"rate": "1/s"})
    await sending.queue("1234", "1235")
    worker = sending.start()
    async with asyncio.timeout(10):
        while not any(planned.committed for planned in worker.desk.plan.unwritten.values()):
            await asyncio.sleep(0.001)
    worker.desk.plan.recall(OfSender(SENDER, "live"))
    await asyncio.sleep(1.3)
    await sending.stop()

    assert await left_open(sending) == []


async def test_slots_whose_commit_failed_are_told_as_spent(sending: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    really, failed = sending.counters.debit, asyncio.Event()

    async def debit(*words: Any) -> bool:
        if not failed.is_set():
            failed.set()
            raise StoreUnavailable("the disk is full")
        return bool(await really(*words))

    monkeypatch.setattr(sending.counters, "debit", debit)
    (message_id,) = await sending.queue("1234")
    sending.start()
    await sending.until_status(message_id, "delivered")
    await sending.stop()

    assert failed.is_set()
    assert await left_open(sending) == []
