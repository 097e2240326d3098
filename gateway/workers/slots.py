"""Waiting for slots, on the clock that Redis's is translated to."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Final
from weakref import WeakKeyDictionary

from gateway.clock import monotonic
from gateway.limits.pacer import WriteClock
from gateway.workers.alarm import Alarm

HAS_ALARM: Final = sys.platform == "linux"
_alarms: WeakKeyDictionary[asyncio.AbstractEventLoop, Alarm] = WeakKeyDictionary()


def now_us() -> int:
    """Monotonic time in us, as the clock of Redis is translated to."""
    return int(monotonic() * 1_000_000)


async def sleep_until(at_us: int) -> None:
    """Return at that time of `now_us`, or up to a millisecond later without a timer of the kernel's."""
    wait_us = at_us - now_us()
    if wait_us <= 0:
        return
    if HAS_ALARM:
        await _alarms.setdefault(asyncio.get_running_loop(), Alarm()).until(at_us)
    else:  # uvloop counts in milliseconds: a shorter sleep is none, and asks again and again
        await asyncio.sleep(max(wait_us, 1_000) / 1_000_000)


async def for_slot(slot_us: int, clocks: Sequence[WriteClock]) -> None:
    """Return at that slot, and not before what left last lets the rates of these clocks go on."""
    while (due_us := max([slot_us, *(clock.due(slot_us) for clock in clocks)])) > now_us():
        await sleep_until(due_us)
