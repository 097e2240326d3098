"""One text on its way out: it waits for its slot with the connection in hand, and tells when its bytes left."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway import steps
from gateway.clock import now_ms
from gateway.limits.pacer import WriteClock
from gateway.metrics import Metrics
from gateway.model.limit import Slot
from gateway.model.message import Message
from gateway.workers.plan import Plan, Planned
from gateway.workers.slots import now_us, sleep_until

LATE_US: Final = 2_000_000  # a slot is charged to every window within 2 s of it, and to no other


@dataclass(slots=True)
class Offer:
    """A committed message and its slot.

    may_write:  asked last, when the slot has come; says why not, or "".
    wrote:      told when its bytes were handed to the socket, in us on Redis's clock: who comes a period later keeps
                its distance from that moment, since a busy machine may have let us wait between the look at the clock
                and the write.
    written_ms: None until its first byte was let go.
    withheld:   why it was not, when it came to that: by nobody's wish but ours, and no byte left.
    was_taken:  it is out of the plan, by its own hand.
    """

    planned: Planned[Message]
    slot: Slot
    plan: Plan[Message]
    clocks: Sequence[WriteClock]
    metrics: Metrics
    may_write: Callable[[], str]
    wrote: Callable[[Slot, int], None]
    written_ms: int | None = field(default=None, init=False)
    withheld: str = field(default="", init=False)
    was_taken: bool = field(default=False, init=False)
    _writes: list[int] = field(default_factory=list, init=False)
    _made: tuple[int, int] = field(default_factory=lambda: (now_us(), now_ms()), init=False)

    async def ready(self) -> bool:
        """Wait for the slot, and for one period after the actual time of segment k-N; False: it must not be written."""
        segments = self.planned.thing.segments
        slot_us = self.plan.redis_clock.local(self.slot.at_us)
        while (due_us := max([slot_us, *(clock.due(slot_us, segments) for clock in self.clocks)])) > now_us():
            await sleep_until(due_us)
        if not self.plan.take_out(self.planned):
            return False
        self.was_taken = True
        self.withheld = "late" if self._is_late(slot_us) else self.may_write()
        if self.withheld:
            return False
        steps.reached("wire:before")
        at_us = now_us()
        self._writes = [clock.wrote(at_us, segments) for clock in self.clocks]
        self.metrics.slot_lateness_seconds.observe((at_us - slot_us) / 1e6)
        self.written_ms = now_ms()
        return True

    def _is_late(self, slot_us: int) -> bool:
        """Whether the slot is too long ago, by a clock that runs on asleep too: its window may be another one."""
        made_us, made_ms = self._made
        at_us = now_us()
        slept_us = (now_ms() - made_ms) * 1000 - (at_us - made_us)
        return at_us - slot_us + max(0, slept_us) > LATE_US

    def on_written(self) -> None:
        """The socket takes the bytes now: what comes a period later keeps its distance from this moment."""
        self.written_ms, at_us = now_ms(), now_us()  # in this order: nobody comes too near a stamp
        for clock, write in zip(self.clocks, self._writes, strict=True):
            clock.moved(write, at_us, self.planned.thing.segments)
        slot_us = self.plan.redis_clock.local(self.slot.at_us)
        self.wrote(self.slot, self.slot.at_us + at_us - slot_us + self.plan.redis_clock.doubt_us)
        steps.reached("wire:after")
