"""Waiting for slots, on the clock that Redis's is translated to."""

import asyncio
from collections.abc import Sequence

from gateway.clock import monotonic
from gateway.limits.pacer import WriteClock


def now_us() -> int:
    """Monotonic time in us, as the clock of Redis is translated to."""
    return int(monotonic() * 1_000_000)


async def sleep_until(at_us: int) -> None:
    """Return at that time of `now_us`, or up to a millisecond later; at once where it has passed."""
    wait_us = at_us - now_us()
    if wait_us > 0:  # uvloop counts in milliseconds: a shorter sleep is none, and asks again and again
        await asyncio.sleep(max(wait_us, 1_000) / 1_000_000)


async def for_slot(slot_us: int, clocks: Sequence[WriteClock]) -> None:
    """Return at that slot, and not before what left last lets the rates of these clocks go on."""
    while (due_us := max([slot_us, *(clock.due(slot_us) for clock in clocks)])) > now_us():
        await sleep_until(due_us)
