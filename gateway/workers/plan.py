"""What this process has read or committed and not yet written, and the pace of what it wrote."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from gateway.limits.pacer import RedisClock, WriteClock
from gateway.model.call import Call
from gateway.model.limit import Throughput
from gateway.model.message import Message
from gateway.store.criteria import Criterion

T = TypeVar("T", Message, Call)


@dataclass(slots=True, eq=False)
class Planned(Generic[T]):
    """One reading of one message or call. One that is taken back and read again is planned anew: the offer of the old
    reading, still waiting for its slot, must not write in the new one's name.
    """

    thing: T
    committed: bool = False  # `sending` or `dialing` on disk


@dataclass(slots=True)
class Plan(Generic[T]):
    """Shared by all senders' loops of a process.

    taken_back: what must not be read again yet: see `Signals.taken_back`.
    """

    taken_back: AbstractSet[str] = frozenset()
    unwritten: dict[str, Planned[T]] = field(default_factory=dict)
    clocks: dict[str, WriteClock] = field(default_factory=dict)
    redis_clock: RedisClock = field(default_factory=RedisClock)

    def enter(self, things: list[T]) -> list[Planned[T]]:
        """Note what was read, before anything is decided about it."""
        planned = [Planned(thing) for thing in things if thing.id not in self.taken_back]
        self.unwritten.update((each.thing.id, each) for each in planned)
        return planned

    def holds(self, planned: Planned[T]) -> bool:
        """Whether this reading was neither written nor taken back."""
        return self.unwritten.get(planned.thing.id) is planned

    def take_out(self, planned: Planned[T]) -> bool:
        """Take one out: its first byte leaves now, or it goes nowhere. False: somebody took it back before."""
        if not self.holds(planned):
            return False
        del self.unwritten[planned.thing.id]
        return True

    def drop_uncommitted(self, readings: list[Planned[T]]) -> None:
        """Forget those that were read and not committed."""
        for planned in readings:
            if not planned.committed:
                self.take_out(planned)

    def recall(self, criterion: Criterion) -> list[str]:
        """Take out all that meets it; see `Signals.recall`."""
        ids = [each_id for each_id, planned in self.unwritten.items() if criterion.matches(planned.thing)]
        for each_id in ids:
            del self.unwritten[each_id]
        return ids

    def clock(self, throughput: Throughput) -> WriteClock:
        """The clock that holds this rate between our own writes; a new one where the rate's numbers changed."""
        clock = self.clocks.get(throughput.key)
        if clock is None or not clock.keeps(throughput):
            clock = self.clocks[throughput.key] = WriteClock(throughput)
        return clock
