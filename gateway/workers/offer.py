"""One text on its way out: it waits for its slot with the connection in hand, and tells when its bytes left."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway import steps
from gateway.clock import monotonic, now_ms
from gateway.limits.pacer import WriteClock
from gateway.metrics import Metrics
from gateway.model.limit import Slot
from gateway.model.message import Message
from gateway.workers.plan import Plan, Planned


def now_us() -> int:
    """This process's monotonic clock, in microseconds."""
    return int(monotonic() * 1_000_000)


async def sleep_until(at_us: int) -> None:
    """Return at `at_us` of that clock; at once where that has passed."""
    wait_us = at_us - now_us()
    if wait_us > 0:
        await asyncio.sleep(wait_us / 1_000_000)


@dataclass(slots=True)
class Offer:
    """A committed message and its slot. `written_ms` is None until its first byte was let go."""

    planned: Planned[Message]
    slot: Slot
    plan: Plan[Message]
    clocks: Sequence[WriteClock]
    metrics: Metrics
    written_ms: int | None = field(default=None, init=False)
    _writes: list[int] = field(default_factory=list, init=False)

    async def ready(self) -> bool:
        """Wait for the slot, and for one period after the actual time of segment k-N; False: it was taken back."""
        segments = self.planned.thing.segments
        slot_us = self.plan.redis_clock.local(self.slot.at_us)
        while (due_us := max([slot_us, *(clock.due(slot_us, segments) for clock in self.clocks)])) > now_us():
            await sleep_until(due_us)
        if not self.plan.take_out(self.planned):
            return False
        steps.reached("wire:before")
        at_us = now_us()
        self._writes = [clock.wrote(at_us, segments) for clock in self.clocks]
        self.metrics.slot_lateness_seconds.observe((at_us - slot_us) / 1e6)
        self.written_ms = now_ms()
        return True

    def on_written(self) -> None:
        """The socket takes the bytes now: what comes a period later keeps its distance from this moment."""
        at_us = now_us()
        for clock, write in zip(self.clocks, self._writes, strict=True):
            clock.moved(write, at_us, self.planned.thing.segments)
        self.written_ms = now_ms()
        steps.reached("wire:after")
