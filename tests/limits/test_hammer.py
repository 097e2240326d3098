"""Several processes at one gate, on a real Valkey: never above, and nearly all used."""

import asyncio
import multiprocessing
import random
from multiprocessing.synchronize import Barrier
from typing import TypeAlias

import pytest
from redis.asyncio import Redis

from gateway.limits.gate import Gate
from gateway.model.limit import Cap, Granted, Throughput

RATE = Throughput("sender", 200, 1_000_000)
DAY = Cap("day", 150, "day", "America/Los_Angeles")
FIXED = Cap("fixed", 10_000, "day", "Etc/GMT+8")
PROCESSES = 4
SECONDS = 1.6

Taken: TypeAlias = list[tuple[int, int]]


def meet(barrier: Barrier) -> None:
    """Start no sooner than the others: a pool's processes come up one after the other."""
    barrier.wait(15)


def hammer(url: str, seed: int, capped: bool) -> Taken:
    """Take slots in batches of any size for a while; give (slot, segments)."""
    return asyncio.run(_hammer(url, random.Random(seed), [RATE, DAY, FIXED] if capped else [RATE, FIXED]))


async def _hammer(url: str, dice: random.Random, limits: list[Throughput | Cap]) -> Taken:
    gate, taken = Gate.connect(url, epoch=1), Taken()
    loop = asyncio.get_running_loop()
    end = loop.time() + SECONDS
    while loop.time() < end:
        segments = [dice.randint(1, 3) for _ in range(dice.randint(1, 8))]
        answer = await gate.take(limits, segments)
        if isinstance(answer, Granted):
            taken += [(slot.at_us, slot.units) for slot in answer.slots]
            gate.unused(*answer.granted)
        await asyncio.sleep(0.005)
    await gate.aclose()
    return taken


async def run(url: str, capped: bool) -> Taken:
    context = multiprocessing.get_context("spawn")
    with context.Pool(PROCESSES, meet, (context.Barrier(PROCESSES),)) as pool:
        work = pool.starmap_async(hammer, [(url, seed, capped) for seed in range(PROCESSES)])
        found = await asyncio.to_thread(work.get, 15)
    return sorted(each for taken in found for each in taken)


@pytest.fixture
async def begun(valkey: Redis) -> Gate:
    gate = Gate(valkey)
    await gate.rebuild([], 1, last_slot_us=0)
    return gate


async def test_no_rolling_second_is_above_the_rate_and_nearly_all_is_used(begun: Gate, valkey_url: str) -> None:
    taken = await run(valkey_url, capped=False)

    leaves = [at + k * 5_000 for at, segments in taken for k in range(segments)]
    assert all(later - earlier >= 1_000_000 for earlier, later in zip(leaves, leaves[200:], strict=False))
    leaves = leaves[20:]  # until all processes are up, some of the rate is nobody's
    allowed = 1 + (leaves[-1] - leaves[0]) * 200 // 1_000_000
    assert len(leaves) >= 0.995 * allowed


async def test_no_cap_is_passed_and_every_unit_is_counted(begun: Gate, valkey_url: str) -> None:
    taken = await run(valkey_url, capped=True)

    spent = sum(segments for _, segments in taken)
    assert 148 <= spent <= 150  # short by less than the smallest message refused
    day, fixed = await begun.usage([DAY, FIXED])
    assert (day.used, fixed.used) == (spent, spent)
