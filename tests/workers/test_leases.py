"""Who may write for a sender, until when, and that nothing is written past it."""

import asyncio
from typing import Any

import pytest

from gateway.errors.store import StoreUnavailable
from gateway.store import leases, lives
from gateway.store.leases import Stillness
from gateway.workers import offer
from gateway.workers.leases import Leases

PAIR = ("+18005550199", "live")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def two(sending: Any) -> tuple[Leases, Leases, Clock]:
    clock = Clock()
    one, other = (Leases(sending.database, sending.signals, alone=False, clock=clock) for _ in range(2))
    return one, other, clock


def test_a_holder_is_gone_when_its_beat_stood_still_for_a_lease() -> None:
    watched = Stillness(5.0)

    assert watched.look({1: 7, 2: 7}, 0.0) == {}
    assert watched.look({1: 8, 2: 7}, 4.0) == {}
    assert watched.look({1: 8, 2: 7}, 5.1) == {2: 7}
    assert watched.look({1: 8}, 9.1) == {1: 8}


async def test_nobody_takes_a_lease_that_is_held_and_anybody_one_that_was_given_back(sending: Any) -> None:
    one, other, _ = two(sending)
    await one.begin()
    await other.begin()
    (lease,) = (await one.acquire("messages", [PAIR])).values()

    assert await other.acquire("messages", [PAIR]) == {}
    await one.release(lease)
    (next_one,) = (await other.acquire("messages", [PAIR])).values()
    assert next_one.token > lease.token
    assert not one.holds(lease)


async def test_a_holder_stops_writing_before_anybody_else_may_take_over(sending: Any) -> None:
    one, other, clock = two(sending)
    await one.begin()
    await other.begin()
    (lease,) = (await one.acquire("messages", [PAIR])).values()
    await other._beat()  # sees the other's beat for the first time

    clock.now += 4.6
    assert not one.holds(lease)
    assert not one.is_lost(lease)
    await other._beat()
    assert await other.acquire("messages", [PAIR]) == {}

    clock.now += 0.5
    await other._beat()
    (next_one,) = (await other.acquire("messages", [PAIR])).values()
    assert not await sending.database.read(lease.fence)
    assert await sending.database.read(next_one.fence)

    await one._beat()  # comes back, and is a holder of another number
    assert one.is_lost(lease)
    assert await one.acquire("messages", [PAIR]) == {}


async def test_a_condemned_holder_beats_in_vain(sending: Any) -> None:
    one, other, clock = two(sending)
    await one.begin()
    await other.begin()
    (lease,) = (await one.acquire("messages", [PAIR])).values()
    await sending.database.write(lambda tx: leases.condemn(tx, [one.holder]))

    assert not await sending.database.read(lease.fence)
    clock.now += 1
    await one._beat()
    assert one.is_lost(lease)


async def test_giving_back_a_lease_that_was_lost_meanwhile_leaves_the_one_taken_since(sending: Any) -> None:
    one, other, clock = two(sending)
    await one.begin()
    await other.begin()
    (lost,) = (await one.acquire("messages", [PAIR])).values()
    await other._beat()
    clock.now += 5.1
    await other._beat()  # one stood still: it is a holder no more
    await one._beat()  # and comes back, as another
    (taken,) = (await one.acquire("messages", [PAIR])).values()

    await one.release(lost)  # its last answers are on disk only now
    assert one.holds(taken)

    await one.release(taken)
    assert await other.acquire("messages", [PAIR])


async def test_a_lease_whose_giving_back_found_no_database_is_given_back_with_the_next_beat(
    sending: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, clock = two(sending)
    await one.begin()
    await other.begin()
    (lease,) = (await one.acquire("messages", [PAIR])).values()

    async def away(_work: Any) -> None:
        raise StoreUnavailable("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(sending.database, "aside", away)
        with pytest.raises(StoreUnavailable):
            await one.release(lease)
    clock.now += 3
    assert await other.acquire("messages", [PAIR]) == {}

    await one._beat()
    assert (await other.acquire("messages", [PAIR])).keys() == {PAIR}


async def test_what_a_holder_that_is_gone_left_sending_is_unknown_with_the_takeover(sending: Any) -> None:
    one, other, clock = two(sending)
    await one.begin()
    await other.begin()
    await one.acquire("messages", [PAIR])
    (message_id,) = await sending.queue("1234")
    await sending.database.write(lambda tx: lives.move(tx, "messages", [message_id], "sending", 1, holder=one.holder))
    await other._beat()
    clock.now += 5.1
    await other._beat()
    await other.acquire("messages", [PAIR])

    message = await sending.message(message_id)
    assert (message.status, message.reason) == ("unknown", "worker_gone")


async def test_a_text_whose_lease_was_lost_before_its_slot_is_queued_again_and_not_written(sending: Any) -> None:
    """The next owner called it unknown; only who held it knows that no byte left."""
    await sending.sender(limits={"rate": "5/s"})
    await sending.counters.begin()
    ids = await sending.queue("1001", "1002", "1003", "1004")
    worker = sending.start()
    await sending.until_status(ids[1], "sending")
    sending.leases._valid_until = 0.0
    rows = await sending.database.read(lambda tx: tx.rows("messages_with_status", status="sending", limit=9))
    left = [row["id"] for row in rows if row["id"] in worker.desk.plan.unwritten]
    await sending.database.write(lambda tx: lives.move(tx, "messages", left, "unknown", 1, reason="worker_gone"))

    for message_id in left:
        assert (await sending.until_status(message_id, "queued")).reason == "not_sent_lease_lost"
    assert left
    assert len(sending.arrived()) < len(ids)

    sending.leases._valid_until = float("inf")
    await sending.until_status(ids[-1], "delivered")
    assert len(sending.arrived()) == len(set(sending.arrived())) == 4


async def test_what_another_process_has_committed_since_is_not_queued_again(sending: Any) -> None:
    (message_id,) = await sending.queue("1001")
    await sending.database.write(lambda tx: lives.move(tx, "messages", [message_id], "sending", 1, holder=41))
    await sending.database.write(lambda tx: lives.move(tx, "messages", [message_id], "unknown", 2))
    await sending.database.write(lambda tx: lives.move(tx, "messages", [message_id], "queued", 3))
    await sending.database.write(lambda tx: lives.move(tx, "messages", [message_id], "sending", 4, holder=42))

    assert await sending.database.read(lambda tx: lives.of_holder(tx, "messages", [message_id], 41)) == set()
    assert await sending.database.read(lambda tx: lives.of_holder(tx, "messages", [message_id], 42)) == {message_id}


async def test_a_write_whose_slot_is_long_past_is_not_made_and_its_text_leaves_by_a_later_slot(
    sending: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offer, "LATE_US", -1)  # every write is too late
    (message_id,) = await sending.queue("1234")
    sending.start()
    late = await sending.until_status(message_id, "sending")
    while late.reason != "not_sent_late":
        await asyncio.sleep(0.01)
        late = await sending.message(message_id)
    assert sending.arrived() == []
    used = await sending.database.read(lambda tx: tx.rows("messages_with_status", status="sent", limit=1))
    assert used == []

    monkeypatch.setattr(offer, "LATE_US", 2_000_000)
    await sending.until_status(message_id, "delivered")
    assert len(sending.arrived()) == 1


async def test_who_believes_to_hold_a_lease_that_another_has_commits_nothing(sending: Any) -> None:
    """The fence: only the database knows better, as when this host's clock stood still."""
    _, other, _ = two(sending)
    await sending.queue("1001")
    sending.start()
    await sending.until(lambda tx: tx.rows("messages_with_status", status="delivered", limit=1))
    await sending.database.write(lambda tx: tx.run("holders_leave", id=sending.leases.holder))
    await other.begin()
    assert await other.acquire("messages", [PAIR])

    (message_id,) = await sending.queue("1002")
    await asyncio.sleep(1.0)  # in vain it takes slot after slot

    assert (await sending.message(message_id)).status == "queued"
    assert len(sending.arrived()) == 1
