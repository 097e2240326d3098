"""What this process has read or committed and not yet written, and the pace of what it wrote."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.limits.pacer import RedisClock, WriteClock
from gateway.model.limit import Throughput
from gateway.model.message import Message


@dataclass(slots=True, eq=False)
class Planned:
    """One reading of one message. A message that is taken back and read again is planned anew: the offer of the old
    reading, still waiting for its slot, must not write in the new one's name.
    """

    message: Message
    committed: bool = False  # `sending` on disk


@dataclass(slots=True)
class Plan:
    """Shared by all senders' loops of a process."""

    unwritten: dict[str, Planned] = field(default_factory=dict)
    clocks: dict[str, WriteClock] = field(default_factory=dict)
    redis_clock: RedisClock = field(default_factory=RedisClock)

    def enter(self, messages: list[Message]) -> list[Planned]:
        """Note what was read, before anything is decided about it."""
        planned = [Planned(message) for message in messages]
        self.unwritten.update((each.message.id, each) for each in planned)
        return planned

    def holds(self, planned: Planned) -> bool:
        """Whether this reading was neither written nor taken back."""
        return self.unwritten.get(planned.message.id) is planned

    def take_out(self, planned: Planned) -> bool:
        """Take one out: its first byte leaves now, or it goes nowhere. False: somebody took it back before."""
        if not self.holds(planned):
            return False
        del self.unwritten[planned.message.id]
        return True

    def drop_uncommitted(self, readings: list[Planned]) -> None:
        """Forget those that were read and not committed."""
        for planned in readings:
            if not planned.committed:
                self.take_out(planned)

    def recall(self, matches: Callable[[Message], bool]) -> list[str]:
        """Take out all that matches; see `Signals.recall`."""
        ids = [message_id for message_id, planned in self.unwritten.items() if matches(planned.message)]
        for message_id in ids:
            del self.unwritten[message_id]
        return ids

    def clock(self, throughput: Throughput) -> WriteClock:
        """The clock that holds this rate between our own writes."""
        if throughput.key not in self.clocks:
            self.clocks[throughput.key] = WriteClock(throughput)
        return self.clocks[throughput.key]
