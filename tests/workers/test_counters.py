"""Redis may forget, be replaced, or know more than the database: the caps hold all the same."""

import asyncio
from typing import Any

import pytest

from gateway.limits.gate import Gate
from gateway.limits.server import connect
from gateway.metrics import Metrics
from gateway.model.call import Call
from gateway.model.limit import Granted, Refused
from gateway.model.scope import Scope
from gateway.store import scopes, tenants, usage
from gateway.store.records import to_row
from gateway.workers.counters import Counters
from tests.workers.conftest import SENDER


async def flush(valkey_url: str) -> None:
    redis = connect(valkey_url)
    await redis.flushall()
    await redis.aclose()


async def delivered(sending: Any, number: int) -> Any:
    async def check(tx: Any) -> Any:
        rows = await tx.rows("messages_with_status", status="delivered", limit=99)
        return rows if len(rows) >= number else None

    return await sending.until(check, timeout_s=15)


async def test_a_flushed_redis_is_rebuilt_from_what_the_database_knows(sending: Any, valkey_url: str) -> None:
    await sending.sender(limits={"rate": "50/s", "daily": 8, "zones": ["America/Los_Angeles"]})
    await sending.queue(*(f"{number:04}" for number in range(1000, 1005)))
    sending.start()
    await delivered(sending, 5)

    await flush(valkey_url)
    await sending.queue(*(f"{number:04}" for number in range(1005, 1015)))
    await delivered(sending, 8)
    await sending.until(lambda tx: tx.rows("messages_with_status", status="held", limit=99))
    await sending.stop()

    assert len(sending.arrived()) == 8


async def test_what_was_granted_before_a_rebuild_is_not_committed_after_it(sending: Any, valkey_url: str) -> None:
    """The rows were read without it, and Redis counts it no more: it would leave beyond the cap."""
    await sending.sender(limits={"rate": "50/s", "daily": 8, "zones": ["America/Los_Angeles"]})
    (message_id,) = await sending.queue("1000")
    sender = await sending.database.read(lambda tx: tenants.sender(tx, SENDER))
    asked = [await sending.message(message_id)]
    before = await sending.counters.take_texts(sender, "live", asked, ahead_us=0)
    await flush(valkey_url)
    after = await sending.counters.take_texts(sender, "live", asked, ahead_us=0)
    assert isinstance(before, Granted)
    assert isinstance(after, Granted)

    kept = [
        await sending.database.write(lambda tx, granted=granted: sending.counters.debit(tx, sender, "live", granted))
        for granted in (before, after)
    ]

    assert kept == [False, True]


async def test_how_long_the_longest_text_was_is_known_when_the_counters_are_rebuilt(sending: Any) -> None:
    await sending.sender(limits={"rate": "50/s"})
    ids = await sending.queue("1000", "1001", segments=1) + await sending.queue("1002", segments=4)
    sending.start()
    await delivered(sending, len(ids))

    known = await sending.database.read(usage.in_force)
    wanted = await sending.database.write(lambda tx: usage.raise_epoch(tx, 0, 1, known=known.epoch))
    assert (known.longest, wanted.longest) == (4, 4)


async def test_channels_wait_after_a_rebuild_where_others_may_have_calls_up(sending: Any, valkey_url: str) -> None:
    trunk = sending.counters.of_trunk("main", "live", {"rate": "100/s", "channels": 5})
    await sending.counters.begin()
    assert isinstance(await sending.counters.take(trunk, [1], ahead_us=0, holders=["call_mine"]), Granted)
    mine, theirs = (
        to_row(Call(each, "acme", "live", "+18005550199", "+12125551234", "bill", 1, status="answered"))
        for each in ("call_mine", "call_theirs")
    )
    await sending.database.write(lambda tx: tx.many("calls_insert", [mine]))
    await flush(valkey_url)
    assert isinstance(await sending.counters.take(trunk, [1], ahead_us=0, holders=["call_2"]), Granted)

    await sending.database.write(lambda tx: tx.many("calls_insert", [theirs]))
    await flush(valkey_url)
    refused = await sending.counters.take(trunk, [1], ahead_us=0, holders=["call_3"])
    assert isinstance(refused, Refused)
    assert refused.reason == "channels"


async def test_counters_that_were_lost_while_the_clocks_disagree_are_rebuilt_when_they_agree(
    sending: Any, valkey_url: str
) -> None:
    await sending.counters.begin()
    before = await sending.database.read(usage.epoch)
    right = sending.gate._wall_us
    sending.gate._wall_us = lambda: right() - 3_600_000_000
    await flush(valkey_url)
    for known in (0, before, before):  # a process that has just begun, too, and none of them again and again
        sending.gate.adopt(known)
        for _ in range(3):
            assert await sending.counters.take((), [1], ahead_us=0) == Refused("clock_skew")
    assert await sending.database.read(usage.epoch) <= before + 1

    sending.gate._wall_us = right
    (message_id,) = await sending.queue("1234")
    sending.start()
    await sending.until_status(message_id, "delivered")


async def test_a_redis_that_outlived_its_database_is_overtaken(sending: Any) -> None:
    for _ in range(3):
        await sending.gate.rebuild([], sending.gate.epoch + 10, last_slot_us=0)
    sending.gate.adopt(0)

    await sending.counters.begin()
    (message_id,) = await sending.queue("1234")
    sending.start()

    await sending.until_status(message_id, "delivered")
    assert len(sending.arrived()) == 1


async def test_a_redis_replaced_between_two_lives_of_the_first_gateway_is_noticed(
    sending: Any, valkey_url: str
) -> None:
    """Nothing was ever wrong before, so nothing was ever rebuilt: the caps hold all the same."""
    await sending.sender(limits={"rate": "100/s", "daily": 8, "zones": ["America/Los_Angeles"]})
    await sending.counters.begin()
    await sending.queue(*(f"{number:04}" for number in range(1000, 1005)))
    sending.start()
    await delivered(sending, 5)
    await sending.stop()

    await flush(valkey_url)
    epoch = await sending.database.read(usage.epoch)
    sending.counters._gate = sending.counters._rebuilder._gate = Gate.connect(valkey_url, epoch=epoch)
    await sending.counters.begin()
    await sending.queue(*(f"{number:04}" for number in range(1005, 1015)))
    sending.start()
    await delivered(sending, 8)
    await sending.until(lambda tx: tx.rows("messages_with_status", status="held", limit=99))
    await sending.stop()
    await sending.counters._gate.aclose()

    assert len(sending.arrived()) == 8


async def test_what_one_process_rebuilt_another_does_not_rebuild_again(sending: Any, valkey_url: str) -> None:
    """Each would make the other's counters old, and all rates wait, for ever."""
    await sending.counters.begin()
    other = Counters(Gate.connect(valkey_url, epoch=1), sending.database, sending.counters._profiles, Metrics())
    await other.begin()
    await flush(valkey_url)

    for counters in (sending.counters, other, sending.counters, other):
        assert isinstance(await counters.take((), [1], ahead_us=0), Granted)

    assert await sending.database.read(usage.epoch) == 2
    await other._gate.aclose()


@pytest.mark.parametrize("scope", ["recipient", "tenant"])
async def test_what_a_limit_refused_is_not_held_once_the_limit_is_lifted(sending: Any, scope: str) -> None:
    """Lifted between the refusal and the hold: what is held then would wait for a day that nobody counts any more."""
    name, limits = {"recipient": ("each", {"rolling": ["1/24h"]}), "tenant": ("acme", {"rolling": ["1/24h"]})}[scope]
    limit = Scope("acme", scope, name, "open", limits=limits)
    await sending.database.write(lambda tx: scopes.put(tx, limit))
    take_texts, lifted = sending.counters.take_texts, asyncio.Event()

    async def lift_when_refused(*given: Any, **more: Any) -> Any:
        answer = await take_texts(*given, **more)
        slots = [answer] if isinstance(answer, Refused) else answer.slots
        if not lifted.is_set() and any(isinstance(each, Refused) for each in slots):
            lifted.set()
            await sending.database.write(lambda tx: scopes.delete(tx, limit))
        return answer

    sending.counters.take_texts = lift_when_refused  # the moment of a real race, chosen
    ids = await sending.queue("1234", "1234", "1234")
    sending.start()

    for each in ids:
        await sending.until_status(each, "delivered")
    assert lifted.is_set()


async def test_a_call_that_left_late_keeps_its_distance_from_another_processs_next_one(
    sending: Any, valkey_url: str
) -> None:
    """One trunk, two processes: the second hears of the late one before it is granted the slot a period later."""
    trunk = sending.counters.of_trunk("main", "live", {"rate": "1/s", "channels": 5})
    await sending.counters.begin()
    other = Counters(Gate.connect(valkey_url, epoch=1), sending.database, sending.counters._profiles, Metrics())
    await other.begin()
    first = await sending.counters.take(trunk, [1], ahead_us=0, holders=["call_1"])
    assert isinstance(first, Granted)

    sending.counters.wrote(first.granted[0], first.granted[0].at_us + 400_000)
    await sending.gate.tell()
    second = await other.take(trunk, [1], ahead_us=0, holders=["call_2"])
    await other._gate.aclose()

    assert isinstance(second, Refused)
    assert second.reason == "rate"
    assert second.opens_at_us is not None
    assert second.opens_at_us - first.granted[0].at_us >= 1_400_000


async def test_a_call_that_asks_for_a_channel_is_none_that_others_may_have_up(sending: Any, valkey_url: str) -> None:
    """Its row is kept before it asks; were it taken for another's, all channels would wait for a lease."""
    trunk = sending.counters.of_trunk("main", "live", {"rate": "100/s", "channels": 1})
    await sending.counters.begin()
    ringing = to_row(Call("call_in", "acme", "live", "+18005550199", "+12125551234", "bill", 1, status="ringing"))
    await sending.database.write(lambda tx: tx.many("calls_insert", [ringing]))
    await flush(valkey_url)

    taken = await sending.counters.take(trunk, [1], ahead_us=0, holders=["call_in"])

    assert isinstance(taken, Granted)
