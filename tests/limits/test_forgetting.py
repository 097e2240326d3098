"""A Redis that forgot is noticed before it grants: on a real Valkey, and on the simulation's model of it."""

import asyncio
import time

import pytest
from redis.asyncio import Redis

from gateway.errors.limits import RedisAway
from gateway.limits.asking import MARKER
from gateway.limits.gate import Gate, guarded_us
from gateway.model.limit import Cap, Concurrency, Granted, Refused, Throughput, UsageRow

FAST = Throughput("fast", 1_000_000, 1_000_000)
DAY = Cap("day", 10, "day", "America/Los_Angeles")
MINUTE_US = 60_000_000


def granted(answer: Granted | Refused) -> Granted:
    assert isinstance(answer, Granted), answer
    return answer


class TestForgetting:
    """Redis that was flushed, restarted, replaced or emptied is noticed before it grants."""

    async def test_an_empty_redis_grants_nothing(self, redis: Redis) -> None:
        assert await Gate(redis, epoch=1).take([FAST], [1]) == Refused("rebuild")

    async def test_a_flushed_redis_grants_nothing_until_rebuilt(self, gate: Gate, redis: Redis) -> None:
        answer = granted(await gate.take([DAY], [4]))
        await redis.flushall()
        assert await gate.take([DAY], [1]) == Refused("rebuild")

        start = answer.slots[0].debits[0].window_start_us
        assert await gate.rebuild([UsageRow("day", start, 4, answer.seq)], 2) == 2
        assert [usage.used for usage in await gate.usage([DAY])] == [4]
        assert granted(await gate.take([DAY], [6])).seq > answer.seq

    async def test_a_deleted_counter_is_noticed(self, gate: Gate, redis: Redis) -> None:
        granted(await gate.take([FAST, DAY], [4]))
        await redis.delete("{gateway}:cap:day")

        assert await gate.take([FAST, DAY], [1]) == Refused("rebuild")

    async def test_a_lost_counter_of_which_the_database_has_no_row_is_not_missed_after_a_rebuild(
        self, gate: Gate, redis: Redis
    ) -> None:
        """Whoever was granted from it died before writing it down: to miss it still would be to rebuild for ever."""
        granted(await gate.take([DAY], [4]))
        await redis.delete("{gateway}:cap:day")

        assert await gate.rebuild([], 2, last_slot_us=0) == 2
        granted(await gate.take([DAY], [10]))
        await redis.delete("{gateway}:cap:day")  # one that came anew is missed again
        assert await gate.take([DAY], [1]) == Refused("rebuild")

    async def test_a_counter_that_outlived_a_rebuild_without_a_row_is_missed_when_lost_later(
        self, gate: Gate, redis: Redis
    ) -> None:
        granted(await gate.take([DAY], [4]))
        assert await gate.rebuild([], 2, last_slot_us=0) == 2
        granted(await gate.take([DAY], [1]))
        await redis.delete("{gateway}:cap:day")

        assert await gate.take([DAY], [1]) == Refused("rebuild")

    async def test_grant_numbers_that_went_back_are_noticed(self, gate: Gate, redis: Redis) -> None:
        for _ in range(3):
            granted(await gate.take([FAST], [1]))
        await redis.hset(MARKER, "seq", "1")

        assert await gate.take([FAST], [1]) == Refused("rebuild")

    async def test_another_server_is_noticed_when_scripts_are_loaded(self, gate: Gate, redis: Redis) -> None:
        granted(await gate.take([FAST], [1]))
        await redis.script_flush()
        granted(await gate.take([FAST], [1]))  # the same server that lost its scripts goes on
        await redis.hset(MARKER, "server", "another")
        await redis.script_flush()

        assert await gate.take([FAST], [1]) == Refused("rebuild")

    async def test_rates_wait_a_period_after_what_was_forgotten(self, gate: Gate, redis: Redis) -> None:
        limit = Throughput("sender", 2, 1_000_000)
        last = granted(await gate.take([limit], [1])).slots[0].at_us
        await redis.flushall()
        await gate.rebuild([], 2, last_slot_us=last)
        answer = await gate.take([limit], [1], ahead_us=0)

        assert answer == Refused("rate", "sender", last + guarded_us(limit))

    @pytest.mark.parametrize(("n", "beyond"), [(1, 2), (2, 1), (3, 0), (5, 0)])
    async def test_rates_wait_for_the_last_segments_of_what_was_forgotten(
        self, gate: Gate, redis: Redis, n: int, beyond: int
    ) -> None:
        """Three segments at one a second leave now, in a second and in two: the next leaves in three."""
        limit = Throughput("sender", n, 1_000_000)
        last = granted(await gate.take([limit], [3])).slots[0].at_us
        await redis.flushall()
        await gate.rebuild([], 2, last_slot_us=last, longest=3)
        answer = await gate.take([limit], [1], ahead_us=0)

        period = guarded_us(limit)
        assert answer == Refused("rate", "sender", last + period - (-beyond * period // n))

    async def test_channels_of_live_calls_are_held_again(self, gate: Gate, redis: Redis) -> None:
        trunk = Concurrency("trunk", 2)
        granted(await gate.take([trunk], [1, 1], holders=["a", "b"]))
        await redis.flushall()
        await gate.rebuild([UsageRow("day", 1, 4, 7)], 2, held=[(trunk, "a"), (trunk, "b")])

        refused = await gate.take([trunk], [1], holders=["c"])
        assert isinstance(refused, Refused)
        assert refused.reason == "channels"
        assert await gate.renew(trunk, "a")
        await gate.release(trunk, "b")
        assert granted(await gate.take([trunk], [1], holders=["c"])).seq == 8

    async def test_no_channel_is_granted_until_every_holder_had_a_lease_to_say_so(
        self, gate: Gate, redis: Redis
    ) -> None:
        """Two processes, three channels: the one that rebuilds knows of one call, the other comes with two."""
        trunk, other = Concurrency("trunk", 3, lease_ms=600), Gate(redis)
        await redis.flushall()
        await gate.rebuild([], 2, last_slot_us=0, held=[(trunk, "mine")], unheld=True)
        other.adopt(2)

        refused = await gate.take([trunk], [1], holders=["new"])
        assert isinstance(refused, Refused)
        assert refused.reason == "channels"
        assert granted(await gate.take([FAST], [1]))
        assert await other.renew(Concurrency("trunk", 3), "theirs")
        assert await other.renew(Concurrency("trunk", 3), "theirs too")
        assert refused.opens_at_us is not None
        while time.time_ns() // 1000 <= refused.opens_at_us:
            assert await gate.renew(Concurrency("trunk", 3), "mine")
            assert isinstance(await gate.take([trunk], [1], holders=["new"]), Refused)
            await asyncio.sleep(0.05)
        assert isinstance(await gate.take([trunk], [1], holders=["new"]), Refused)  # all three are held

        await other.release(trunk, "theirs")
        assert granted(await gate.take([trunk], [1], holders=["new"]))

    async def test_only_the_first_of_two_rebuilds_counts(self, gate: Gate, redis: Redis) -> None:
        other = Gate(redis, epoch=1)
        assert await gate.rebuild([], 2) == 2
        assert await other.rebuild([UsageRow("day", 0, 99, 0)], 2) == 2
        assert await redis.exists("{gateway}:cap:day") == 0
        assert await other.take([FAST], [1]) != Refused("rebuild")
        assert await Gate(redis, epoch=1).rebuild([], 1) == 2

    async def test_usage_is_not_told_from_forgotten_counters(self, gate: Gate, redis: Redis) -> None:
        await redis.flushall()
        with pytest.raises(RedisAway):
            await gate.usage([DAY])

    async def test_clocks_that_disagree_grant_nothing(self, gate: Gate, redis: Redis) -> None:
        gate._wall_us = lambda: time.time_ns() // 1000 - 3_000_000
        assert await gate.take([FAST], [1]) == Refused("clock_skew")

    @pytest.mark.parametrize("ahead_us", [-3_000_000, 3_000_000])
    async def test_no_epoch_begins_while_clocks_disagree(self, gate: Gate, redis: Redis, ahead_us: int) -> None:
        """It would begin in another hour, and wait for that hour when the clock is right again."""
        await redis.flushall()
        right = gate._wall_us
        gate._wall_us = lambda: right() + ahead_us

        assert await gate.rebuild([UsageRow("day", 1, 4, 7)], 2) == 0
        assert await gate.rebuild([], 2) == 0
        assert await gate.take([FAST], [1]) == Refused("clock_skew")
        assert await redis.keys() == []

        gate._wall_us = right
        assert await gate.take([FAST], [1]) == Refused("rebuild")
        assert await gate.rebuild([], 2, last_slot_us=0) == 2
        assert granted(await gate.take([FAST], [1]))

    async def test_no_epoch_begins_on_a_clock_that_ran_backward(self, gate: Gate, redis: Redis) -> None:
        await redis.hset(MARKER, "now", str(time.time_ns() // 1000 + MINUTE_US))
        assert await gate.rebuild([], 2) == 0

    async def test_a_clock_that_ran_backward_grants_nothing(self, gate: Gate, redis: Redis) -> None:
        await redis.hset(MARKER, "now", str(time.time_ns() // 1000 + MINUTE_US))
        assert await gate.take([FAST], [1]) == Refused("clock_skew")
