"""What was granted counts until Redis is told that it left: on a real Valkey, and on the simulation's model of it."""

import asyncio
import math
import time
from typing import cast

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from gateway.errors.limits import RedisAway
from gateway.limits.asking import key_of
from gateway.limits.gate import Gate, apart_us, guarded_us
from gateway.limits.schedule import DOUBT_US
from gateway.model.limit import Granted, Refused, Throughput
from tests.simulation.redis_client import ModelRedis
from tests.simulation.redis_model import Server


def granted(answer: Granted | Refused) -> Granted:
    assert isinstance(answer, Granted), answer
    return answer


async def test_a_late_write_moves_the_slot_a_period_later(gate: Gate) -> None:
    limit = Throughput("sender", 1, 1_000_000)
    (slot,) = granted(await gate.take([limit], [1])).granted
    gate.wrote(slot, slot.at_us + 400_000)
    await gate.tell()
    second = await gate.take([limit], [1], ahead_us=0)

    assert second == Refused("rate", "sender", slot.at_us + 400_000 + apart_us(limit))


async def test_late_writes_cost_nothing_but_the_slots_a_period_later(gate: Gate) -> None:
    """Two of five, each written 300 ms late, in whatever order that is told: 20 more leave as if nothing had been."""
    limit = Throughput("account:twilio", 25, 1_000_000)
    first = granted(await gate.take([limit], [1] * 5, ahead_us=200_000)).granted
    for place in (3, 0):
        gate.wrote(first[place], first[place].at_us + 300_000)
    gate.unused(*first)  # of a late one nothing more is told by this
    await gate.tell()
    more = granted(await gate.take([limit], [1] * 20, ahead_us=1_000_000))
    gate.unused(*more.granted)
    refused = await gate.take([limit], [1], ahead_us=0)

    begin, step = first[0].at_us, guarded_us(limit) / 25
    assert [slot.at_us for slot in more.granted] == [begin + math.ceil(step * (5 + k)) for k in range(20)]
    # The first to leave is now the second slot: a 26th keeps its distance from that one.
    assert refused == Refused("rate", "account:twilio", first[1].at_us + apart_us(limit))


class TestDoubt:
    """What was granted may leave at any time from its slot on, until it is told that it has."""

    LIMIT = Throughput("account:twilio", 2, 1_000_000)

    async def test_a_worker_kept_from_its_core_keeps_the_others_waiting(self, gate: Gate, redis: Redis) -> None:
        """Both slots have passed, and nobody knows whether its writes have."""
        others = Gate(redis, epoch=gate.epoch)
        slots = granted(await gate.take([self.LIMIT], [1, 1])).granted
        await until_passed(others, slots[1].at_us)
        waiting = await others.take([self.LIMIT], [1], ahead_us=1_000_000)
        gate.wrote(slots[0], slots[0].at_us)
        gate.wrote(slots[1], slots[1].at_us + 600_000)
        await gate.tell()
        later = granted(await others.take([self.LIMIT], [1, 1], ahead_us=1_000_000))

        assert isinstance(waiting, Refused)
        assert waiting.reason == "rate"
        assert later.granted[0].at_us == slots[0].at_us + guarded_us(self.LIMIT)
        assert later.then == Refused("rate", "account:twilio", later.granted[0].at_us + apart_us(self.LIMIT))

    async def test_what_is_not_used_is_spent_and_in_doubt_no_more(self, gate: Gate, redis: Redis) -> None:
        others = Gate(redis, epoch=gate.epoch)
        slots = granted(await gate.take([self.LIMIT], [1, 1])).granted
        await until_passed(others, slots[1].at_us)
        gate.unused(*slots)
        await gate.tell()
        later = granted(await others.take([self.LIMIT], [1], ahead_us=1_000_000))

        assert later.granted[0].at_us == slots[0].at_us + guarded_us(self.LIMIT)

    async def test_redis_is_told_without_being_asked(self, gate: Gate, redis: Redis) -> None:
        """Nobody takes any more, and the last writes are told all the same."""
        slots = granted(await gate.take([self.LIMIT], [1, 1])).granted
        for slot in slots:
            gate.wrote(slot, slot.at_us)

        async with asyncio.timeout(5):
            while await redis.hget(key_of(self.LIMIT), f"={gate._teller.telling.worker}") != b"1":
                await asyncio.sleep(0.02)

    async def test_who_died_before_telling_is_waited_for_until_its_writes_have_surely_left(self) -> None:
        wall = [1_700_000_000_000_000]
        redis = cast("Redis", ModelRedis(Server(lambda: wall[0])))
        dead, others = (Gate(redis, epoch=0, wall_us=lambda: wall[0]) for _ in range(2))
        await dead.rebuild([], 1, last_slot_us=0)
        others.adopt(1)
        first, second = granted(await dead.take([self.LIMIT], [1, 1])).granted
        wall[0] = first.at_us + DOUBT_US - 1
        assert isinstance(await others.take([self.LIMIT], [1, 1]), Refused)

        wall[0] += 1
        assert len(granted(await others.take([self.LIMIT], [1, 1])).granted) == 1
        wall[0] = second.at_us + DOUBT_US
        assert len(granted(await others.take([self.LIMIT], [1, 1])).granted) == 1

    async def test_a_slot_that_nobody_accounts_for_stops_its_rate_for_some_seconds_and_not_for_ever(self) -> None:
        wall = [1_700_000_000_000_000]
        gate = Gate(cast("Redis", ModelRedis(Server(lambda: wall[0]))), wall_us=lambda: wall[0])
        await gate.rebuild([], 1, last_slot_us=0)
        forgotten = granted(await gate.take([self.LIMIT], [1, 1])).granted[1]
        used = 0
        while wall[0] < forgotten.at_us + 60_000_000:
            wall[0] += 100_000
            answer = await gate.take([self.LIMIT], [1], ahead_us=200_000)
            if isinstance(answer, Granted):
                gate.unused(*answer.granted)
                used += 1

        assert used >= 2 * 54 - 2  # all of a minute but the first six seconds

    async def test_what_was_taken_of_no_rate_is_no_slot_that_somebody_forgot(self) -> None:
        """A channel for a call that came in, the first look at the counters: each start logged an error."""
        wall = [1_700_000_000_000_000]
        gate = Gate(cast("Redis", ModelRedis(Server(lambda: wall[0]))), wall_us=lambda: wall[0])
        await gate.rebuild([], 1, last_slot_us=0)
        granted(await gate.take([], [1]))
        wall[0] += DOUBT_US + 1
        with capture_logs() as lines:
            granted(await gate.take([self.LIMIT], [1]))

        assert lines == []

    async def test_what_the_release_before_had_written_is_read(self, gate: Gate, redis: Redis) -> None:
        """It wrote its logs as text, and an empty one as nothing: a rate with them in it was never granted again."""
        (slot,) = granted(await gate.take([self.LIMIT], [1])).granted
        gate.unused(slot)
        await gate.tell()
        before = {"log": "", "+dead.1": f"{slot.at_us - 20_000_000},1000000", "count": 3}
        await redis.hset(key_of(self.LIMIT), mapping=before)

        assert granted(await gate.take([self.LIMIT], [1])).granted

    async def test_an_answer_that_was_lost_is_spent(self, gate: Gate) -> None:
        """Redis granted it, and the asker will never know: nothing of it leaves, and nobody waits for it."""
        really = gate._server.redis.evalsha

        async def lost(*words: object) -> object:
            await really(*words)
            raise ConnectionError

        gate._server.redis.evalsha = lost
        with pytest.raises(RedisAway):
            await gate.take([self.LIMIT], [1, 1])
        gate._server.redis.evalsha = really

        await until_passed(gate, time.time_ns() // 1000 + 500_000)

        assert granted(await gate.take([self.LIMIT], [1], ahead_us=1_000_000)).granted


async def test_what_redis_says_against_a_script_is_logged_once(valkey: Redis) -> None:
    """To the loops it is away, and `why` says so."""
    gate, limit = Gate(valkey), Throughput("account:twilio", 2, 1_000_000)
    await gate.rebuild([], 1, last_slot_us=0)
    granted(await gate.take([limit], [1]))
    await valkey.hset(key_of(limit), mapping={"+dead.1": b"\xc1", "count": 3})  # no MessagePack
    with capture_logs() as lines:
        for _ in range(2):
            with pytest.raises(RedisAway):
                await gate.take([limit], [1])

    assert [line["event"] for line in lines] == ["redis_refuses"]


async def until_passed(gate: Gate, at_us: int) -> None:
    """Wait until it is later than that on Redis's clock."""
    async with asyncio.timeout(5):
        while True:
            answer = await gate.take([], [1])
            if isinstance(answer, Granted) and answer.now_us > at_us:
                return
            await asyncio.sleep(0.02)
