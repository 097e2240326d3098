"""A rate from the gate to the write: one worker's loop, real Valkey, real clock, an event loop with other work."""

import asyncio
import time

import pytest

from gateway.limits.gate import Gate
from gateway.limits.pacer import RedisClock, WriteClock
from gateway.model.limit import Granted, Throughput

SECONDS = 2.0


def monotonic_us() -> int:
    return time.monotonic_ns() // 1000


async def send(gate: Gate, limit: Throughput) -> list[int]:
    """Write as a sender does, as fast as it may; give the instants of the writes, monotonic us."""
    clock, writes, written = RedisClock(), WriteClock(limit), list[int]()
    end = monotonic_us() + int(SECONDS * 1e6)
    while monotonic_us() < end:
        asked_us = monotonic_us()
        answer = await gate.take([limit], [1] * 50)
        if not isinstance(answer, Granted):
            assert answer.opens_at_us is not None
            await asyncio.sleep(max(0, clock.local(answer.opens_at_us) - monotonic_us() - 900_000) / 1e6)
            continue
        clock.observe(answer.now_us, monotonic_us(), asked_us)
        for slot in answer.slots:
            due = writes.due(clock.local(slot.at_us))
            await asyncio.sleep(max(0, due - monotonic_us()) / 1e6)
            written.append(monotonic_us())
            writes.wrote(written[-1])
    return written


async def busy() -> None:
    """Hold the event loop for 8 ms now and then, as other work does."""
    while True:
        time.sleep(0.008)  # noqa: ASYNC251  the point
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("redis", ["valkey"], indirect=True)
@pytest.mark.parametrize("rate", [3, 25, 150])
async def test_no_rolling_second_of_writes_is_above_the_rate_and_nearly_all_is_used(gate: Gate, rate: int) -> None:
    other = asyncio.create_task(busy())
    try:
        written = await send(gate, Throughput("sender", rate, 1_000_000))
    finally:
        other.cancel()

    assert all(later - earlier >= 1_000_000 for earlier, later in zip(written, written[rate:], strict=False))
    allowed = 1 + (written[-1] - written[0]) * rate // 1_000_000
    assert len(written) >= 0.995 * allowed - 1
