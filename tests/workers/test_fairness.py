"""What one sender or its carrier does must not be felt by the others: counted, not timed."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from gateway.model.outcome import Accepted
from gateway.settings import Sms
from gateway.workers.offer import Offer
from gateway.workers.settlement import Result, Settlement

OTHER = "+18005550198"


async def test_a_carrier_that_hangs_for_one_sender_keeps_no_connection_from_another(sending: Any) -> None:
    """All of the other's texts are delivered before the carrier has answered for a single one that hangs."""
    sending.sms, sending.timeout_s = Sms(in_flight=64), 15.0
    await sending.sender(limits={"rate": "400/s"})
    await sending.sender(OTHER, limits={"rate": "50/s"})
    hanging = await sending.queue(*["0061"] * 600)
    fine = await sending.queue(*(f"{number:04}" for number in range(1000, 1100)), sender=OTHER)
    sending.start()

    async def all_delivered(tx: Any) -> bool:
        row = await tx.rows("messages_with_status", status="delivered", limit=-1)
        return len(row) == len(fine)

    await sending.until(all_delivered, timeout_s=14)
    states = Counter([(await sending.message(each)).status for each in hanging])
    assert states["unknown"] == 0
    assert states["sending"] <= 64
    assert sending.signals.gates["messages", "+18005550199", "live"][0] == "carrier_slow"
    await sending.cut()


async def test_a_cap_that_holds_many_lets_others_write_in_between(sending: Any) -> None:
    await sending.sender(limits={"rate": "100/s", "daily": 1, "zones": ["America/Los_Angeles"]})
    await sending.queue(*["1234"] * 6_000)
    sending.start()

    async def begun(tx: Any) -> bool:
        return bool(await tx.rows("messages_with_status", status="held", limit=1))

    await sending.until(begun)
    between = 0
    while await sending.database.read(lambda tx: tx.rows("messages_with_status", status="queued", limit=1)):
        await sending.database.write(lambda tx: tx.value("epoch_now"))
        between += 1

    assert between >= 3


async def test_a_result_that_cannot_be_settled_keeps_no_other_from_it(
    sending: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await sending.queue("1001", "1002", "1003")
    messages = [await sending.message(each) for each in ids]
    settlement = Settlement(sending.database, sending.signals, sending.gate, sending.start().desk.metrics)
    await sending.stop()
    write = settlement._write

    async def poisoned(tx: Any, batch: Any) -> Any:
        if any(result.message.id == ids[1] for result in batch):
            raise RuntimeError("this one never")
        return await write(tx, batch)

    monkeypatch.setattr(settlement, "_write", poisoned)
    settling = asyncio.create_task(settlement.run())
    for message in messages:
        settlement.put(Result(message, "twilio", Accepted(f"SM{message.id}"), 1, (), 1, 1, sending.leases.holder))

    assert await settlement.finish(5)
    carrier_ids = [(await sending.message(each)).carrier_id for each in ids]
    assert carrier_ids == [f"SM{ids[0]}", None, f"SM{ids[2]}"]
    settling.cancel()


async def test_a_process_that_falls_behind_its_slots_takes_no_more_of_them(
    sending: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has committed would only leave still later, and past 2 s it would have to be queued again."""
    going = asyncio.Event()
    ready = Offer.ready

    async def kept(offer: Offer) -> bool:
        await going.wait()
        return await ready(offer)

    monkeypatch.setattr(Offer, "ready", kept)
    await sending.sender(limits={"rate": "200/s"})
    ids = await sending.queue(*(f"{number:04}" for number in range(1000, 1300)))
    worker = sending.start()
    async with asyncio.timeout(10):
        while not worker.desk.plan.unwritten:
            await asyncio.sleep(0.01)
    await asyncio.sleep(1.2)
    committed = sum(planned.committed for planned in worker.desk.plan.unwritten.values())
    going.set()
    await sending.until_status(ids[-1], "delivered")

    assert 0 < committed <= 0.6 * 200  # what is ahead of now, 0.2 s that it may be behind, and one more grant
    assert len(sending.arrived()) == len(set(sending.arrived())) == 300
