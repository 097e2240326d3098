"""The gate on a real Valkey."""

import asyncio
import math
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from redis.asyncio import Redis

from gateway.errors.limits import BadLimits, RedisAway
from gateway.limits.asking import MARKER
from gateway.limits.gate import Gate, guarded_us
from gateway.limits.server import connect
from gateway.limits.windows import Bounds
from gateway.model.limit import Blocked, Cap, Concurrency, Debit, Granted, Refused, Throughput

FAST = Throughput("fast", 1_000_000, 1_000_000)
DAY = Cap("day", 10, "day", "America/Los_Angeles")
MINUTE_US = 60_000_000


def granted(answer: Granted | Refused) -> Granted:
    assert isinstance(answer, Granted), answer
    return answer


def around(start_s: float, end_s: float, after_s: float = 3600) -> Callable[[Cap, int], Bounds]:
    """Give a stand-in for the calendar: a window that began `start_s` ago and ends in `end_s`, seen from now."""
    now = time.time_ns() // 1000
    fixed = Bounds(now - 7200 * 1_000_000, now - int(start_s * 1e6), now + int(end_s * 1e6), now + int(after_s * 1e6))

    def windows(_cap: Cap, _at_us: int) -> Bounds:
        return fixed

    return windows


async def test_slots_are_spaced_by_the_rate_with_its_guard_and_end_at_the_horizon(gate: Gate) -> None:
    answer = granted(await gate.take([Throughput("sender", 3, 1_000_000)], [1] * 10))

    starts = [slot.at_us - answer.now_us for slot in answer.slots]
    period = guarded_us(Throughput("sender", 3, 1_000_000))
    assert starts == [0, -(-period // 3), -(-2 * period // 3)]
    assert answer.then == Refused("rate", "sender", answer.now_us + period)


async def test_a_message_of_many_segments_takes_as_many_slots_and_is_written_at_the_first(gate: Gate) -> None:
    limit = Throughput("sender", 10, 1_000_000)
    answer = granted(await gate.take([limit], [4, 1, 2, 3]))

    period = guarded_us(limit)
    starts = [slot.at_us - answer.now_us for slot in answer.slots]
    assert starts == [-(-unit * period // 10) for unit in (0, 4, 5, 7)]


async def test_a_rate_not_used_is_gone(gate: Gate, redis: Redis) -> None:
    limit = Throughput("sender", 20, 1_000_000)
    first = granted(await gate.take([limit], [1]))
    gate.unused(*first.granted)
    await asyncio.sleep(0.3)
    later = granted(await gate.take([limit], [1] * 100))

    gaps = {b.at_us - a.at_us for a, b in zip(later.slots, later.slots[1:], strict=False)}
    assert min(gaps) >= 50_000
    assert later.slots[0].at_us - first.slots[0].at_us >= 300_000
    assert len(later.slots) == 20


async def test_a_changed_rate_counts_from_the_last_slot(gate: Gate) -> None:
    first = granted(await gate.take([Throughput("sender", 100, 1_000_000)], [1]))
    second = granted(await gate.take([Throughput("sender", 2, 1_000_000)], [1]))

    assert second.slots[0].at_us - first.slots[0].at_us >= 500_000


async def test_all_limits_are_taken_or_none(gate: Gate, redis: Redis) -> None:
    full = Cap("week", 3, "week", "America/Los_Angeles")
    answer = granted(await gate.take([FAST, DAY, full], [2, 2]))

    assert len(answer.slots) == 1
    assert isinstance(answer.then, Refused)
    assert (answer.then.reason, answer.then.limit_key) == ("cap_week", "week")
    used = {usage.cap.key: usage.used for usage in await gate.usage([DAY, full])}
    assert used == {"day": 2, "week": 2}


async def test_the_limit_that_opens_last_is_the_one_named(gate: Gate) -> None:
    month = Cap("month", 1, "month", "America/Los_Angeles")
    day = Cap("day", 1, "day", "America/Los_Angeles")
    granted(await gate.take([day, month], [1]))
    answer = await gate.take([day, month], [1])

    assert isinstance(answer, Refused)
    assert answer.reason == "cap_month"
    (usage,) = await gate.usage([month])
    assert answer.opens_at_us == usage.resets_at_us + 2_000_001
    assert usage.free == 0


async def test_a_message_larger_than_its_cap_never_opens(gate: Gate) -> None:
    assert await gate.take([DAY], [11]) == Refused("cap_day", "day", None)


async def test_units_are_segments_or_messages(gate: Gate) -> None:
    messages = Cap("messages", 10, "day", "UTC", unit="message")
    granted(await gate.take([DAY, messages], [3, 3, 1]))

    assert [usage.used for usage in await gate.usage([DAY, messages])] == [7, 3]


@pytest.mark.parametrize(
    ("start_s", "end_s", "charged"),
    [(100, 100, [1]), (1, 100, [0, 1]), (100, 1, [1, 2])],
    ids=["inside", "just begun", "nearly over"],
)
async def test_a_slot_near_a_boundary_is_charged_to_both_windows(
    redis: Redis, start_s: float, end_s: float, charged: list[int]
) -> None:
    windows = around(start_s, end_s)
    gate = Gate(redis, windows=windows)
    await gate.rebuild([], 1, last_slot_us=0)
    answer = granted(await gate.take([DAY], [2]))

    edges = windows(DAY, 0)
    starts = [edges.previous_us, edges.start_us, edges.end_us]
    assert answer.slots[0].debits == tuple(Debit("day", starts[window], 2) for window in charged)
    for debit in answer.slots[0].debits:
        assert await redis.hget("{gateway}:cap:day", str(debit.window_start_us)) == b"2"


async def test_a_slot_ahead_is_charged_to_the_window_it_lies_in(redis: Redis) -> None:
    gate = Gate(redis, windows=around(100, -5, 100))
    await gate.rebuild([], 1, last_slot_us=0)
    answer = granted(await gate.take([DAY], [1]))

    assert [debit.window_start_us for debit in answer.slots[0].debits] == [gate._windows(DAY, 0).end_us]


async def test_stale_bounds_are_refused(redis: Redis) -> None:
    gate = Gate(redis, windows=around(100, -50, -10))
    await gate.rebuild([], 1, last_slot_us=0)

    assert await gate.take([DAY], [1]) == Refused("bounds")


async def test_every_window_expires_from_the_moment_it_exists(gate: Gate, redis: Redis) -> None:
    granted(await gate.take([FAST, DAY, Concurrency("trunk", 5)], [1], holders=["a"]))

    keys = {key for key in await redis.keys() if key != MARKER.encode()}
    assert keys == {b"{gateway}:rate:fast", b"{gateway}:cap:day", b"{gateway}:lease:trunk"}
    assert all([await redis.pttl(key) > 0 for key in keys])


async def test_grants_are_numbered(gate: Gate) -> None:
    assert [granted(await gate.take([FAST], [1])).seq for _ in range(3)] == [1, 2, 3]


async def test_what_nothing_limits_leaves_now(gate: Gate) -> None:
    answer = granted(await gate.take([], [1, 1]))

    assert [slot.at_us for slot in answer.slots] == [answer.now_us] * 2


async def test_blocked_is_refused_without_asking(gate: Gate) -> None:
    assert await gate.take([FAST, Blocked("sender")], [1]) == Refused("blocked", "sender")


async def test_units_come_back_once_through_the_fence(gate: Gate) -> None:
    answer = granted(await gate.take([DAY], [4]))

    assert await gate.give_back(answer.slots[0].debits, answer.epoch) == len(answer.slots[0].debits)
    assert [usage.used for usage in await gate.usage([DAY])] == [0]
    await gate.rebuild([], 2)
    assert await gate.give_back(answer.slots[0].debits, answer.epoch) == 0


async def test_reserved_is_what_the_rows_do_not_hold_yet(gate: Gate) -> None:
    granted(await gate.take([DAY], [4, 3]))
    (bare,) = await gate.usage([DAY])
    (usage,) = await gate.usage([DAY], {("day", bare.starts_at_us): 4})

    assert (usage.used, usage.reserved, usage.free) == (4, 3, 3)


async def test_time_that_somebody_waited_for_and_nobody_took_is_made_up_little_by_little(gate: Gate) -> None:
    """Who had more to send and came back late has the whole rate all the same, in slots a quarter as far from each other."""
    limit = Throughput("sender", 20, 1_000_000)
    first = granted(await gate.take([limit], [1] * 9, ahead_us=200_000)).granted
    gate.unused(*first)
    await asyncio.sleep(0.3)
    later = granted(await gate.take([limit], [1] * 15, ahead_us=1_000_000)).granted

    step = guarded_us(limit) / 20
    gaps = [b.at_us - a.at_us for a, b in pairwise(later)]
    assert gaps[0] == math.ceil(step / 4)
    assert min(gaps) >= math.floor(step / 4)
    assert later[-1].at_us == first[0].at_us + math.ceil(step * (len(first) + 14))


class TestChannels:
    """Concurrent calls: a channel is leased, and comes back by itself."""

    async def test_no_more_than_the_limit_are_held(self, gate: Gate) -> None:
        trunk = Concurrency("trunk", 2)
        answer = granted(await gate.take([trunk], [1, 1, 1], holders=["a", "b", "c"]))

        assert len(answer.slots) == 2
        assert isinstance(answer.then, Refused)
        assert answer.then.reason == "channels"
        await gate.release(trunk, "a")
        granted(await gate.take([trunk], [1], holders=["c"]))

    async def test_a_dead_holders_channel_comes_back(self, gate: Gate) -> None:
        """When its lease is over, to whoever asks now and then as the loops do."""
        trunk = Concurrency("trunk", 1, lease_ms=600)
        granted(await gate.take([trunk], [1], holders=["dead"]))
        refused = await gate.take([trunk], [1], holders=["next"])
        assert isinstance(refused, Refused)
        assert refused.opens_at_us is not None
        while time.time_ns() // 1000 <= refused.opens_at_us:
            assert isinstance(await gate.take([trunk], [1], holders=["next"]), Refused)
            await asyncio.sleep(0.05)

        granted(await gate.take([trunk], [1], holders=["next"]))
        assert not await gate.renew(trunk, "dead")

    async def test_who_was_not_heard_for_a_lease_may_renew_before_others_are_granted(self, gate: Gate) -> None:
        """As after a SIGSTOP of the server: all leases are over when it answers again, and their calls are up."""
        trunk = Concurrency("trunk", 2, lease_ms=600)
        granted(await gate.take([trunk], [1, 1], holders=["a", "b"]))
        await asyncio.sleep(0.65)  # nobody can ask

        refused = await gate.take([trunk], [1], holders=["c"])
        assert isinstance(refused, Refused)
        assert refused.reason == "channels"
        assert await gate.renew(Concurrency("trunk", 2), "b")
        assert isinstance(await gate.take([trunk], [1], holders=["c"]), Refused)
        assert await gate.renew(Concurrency("trunk", 2), "a")
        assert not await gate.renew(trunk, "c")

    async def test_a_renewed_lease_lasts(self, gate: Gate) -> None:
        trunk = Concurrency("trunk", 1, lease_ms=30_000)
        granted(await gate.take([Concurrency("trunk", 1, lease_ms=50)], [1], holders=["a"]))
        assert await gate.renew(trunk, "a")
        refused = await gate.take([trunk], [1], holders=["b"])

        assert isinstance(refused, Refused)
        assert refused.opens_at_us is not None
        assert refused.opens_at_us > time.time_ns() // 1000 + 25_000_000

    async def test_a_refused_rate_holds_no_channel(self, gate: Gate, redis: Redis) -> None:
        calls = Throughput("cps", 1, 10_000_000, unit="call")
        answer = granted(await gate.take([calls, Concurrency("trunk", 5)], [1, 1], holders=["a", "b"]))

        assert len(answer.slots) == 1
        assert await redis.zcard("{gateway}:lease:trunk") == 1


class TestAway:
    """When Redis does not answer, the gate fails closed."""

    async def test_nobody_there(self, tmp_path: Path) -> None:
        gate = Gate(connect(f"unix://{tmp_path}/none.sock"))
        with pytest.raises(RedisAway):
            await gate.take([FAST], [1])
        await gate.aclose()

    async def test_too_slow(self, gate: Gate, redis: Redis) -> None:
        gate._server._timeout_s = 0.05
        await redis.client_pause(200, all=True)
        with pytest.raises(RedisAway, match="within"):
            await gate.take([FAST, DAY], [3])

        gate._server._timeout_s = 2.0  # an answer that came too late is never taken for the next one's
        (usage,) = await gate.usage([DAY])
        assert usage.used in (0, 3)
        assert granted(await gate.take([FAST, DAY], [2])).slots[0].units == 2
        (later,) = await gate.usage([DAY])
        assert later.used == usage.used + 2

    async def test_ping_returns_when_it_answers(self, gate: Gate) -> None:
        await gate.ping()


@pytest.mark.parametrize("limits", [[FAST, FAST], [DAY, FAST, DAY]], ids=["two rates", "two caps"])
async def test_limits_that_cannot_be_taken_together_are_told(gate: Gate, limits: list[Throughput | Cap]) -> None:
    with pytest.raises(BadLimits):
        await gate.take(limits, [1])


async def test_who_had_seen_more_grants_adopts_the_epoch_of_one_who_had_seen_fewer(redis: Redis, gate: Gate) -> None:
    other = Gate(redis, epoch=1)
    for _ in range(3):
        assert isinstance(await other.take((), [1]), Granted)
    await redis.flushall()
    await gate.rebuild([], 2, last_slot_us=0)

    other.adopt(2)

    assert isinstance(await other.take((), [1]), Granted)
