"""What this process has read or committed and not yet written, and the pace of what it wrote."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.limits.pacer import RedisClock, WriteClock
from gateway.model.limit import Throughput
from gateway.model.message import Message


@dataclass(slots=True)
class Plan:
    """Shared by all senders' loops of a process. `committed` are those of `unwritten` that are `sending` on disk."""

    unwritten: dict[str, Message] = field(default_factory=dict)
    committed: set[str] = field(default_factory=set)
    clocks: dict[str, WriteClock] = field(default_factory=dict)
    redis_clock: RedisClock = field(default_factory=RedisClock)

    def enter(self, messages: list[Message]) -> None:
        """Note what was read, before anything is decided about it."""
        self.unwritten.update((message.id, message) for message in messages)

    def take_out(self, message_id: str) -> Message | None:
        """Take one out: its first byte leaves now, or it goes nowhere. None: somebody took it back before."""
        self.committed.discard(message_id)
        return self.unwritten.pop(message_id, None)

    def drop_uncommitted(self, messages: list[Message]) -> None:
        """Forget those of `messages` that were read and not committed."""
        for message in messages:
            if message.id not in self.committed:
                self.unwritten.pop(message.id, None)

    def recall(self, matches: Callable[[Message], bool]) -> list[str]:
        """Take out all that matches; see `Signals.recall`."""
        ids = [message.id for message in self.unwritten.values() if matches(message)]
        for message_id in ids:
            self.take_out(message_id)
        return ids

    def clock(self, throughput: Throughput) -> WriteClock:
        """The clock that holds this rate between our own writes."""
        if throughput.key not in self.clocks:
            self.clocks[throughput.key] = WriteClock(throughput)
        return self.clocks[throughput.key]
