"""What one part of this process tells another: there is work; take back what has not left yet.

Everything told here is also in the database: a signal only saves waiting for the next look.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable
from typing import Literal

from gateway.model.call import Call
from gateway.model.message import Message

Things = Literal["messages", "calls"]
Topic = Literal["messages", "calls", "events"]
Leaving = Message | Call  # what leaves through a loop: a recall takes back either
Recall = Callable[[Callable[[Leaving], bool]], list[str]]


class Signals:
    """Wake-ups by topic, and recalls to whoever holds committed but unwritten messages and calls."""

    def __init__(self) -> None:
        self._events: defaultdict[Topic, asyncio.Event] = defaultdict(asyncio.Event)
        self._recalls: list[Recall] = []
        self.gates: dict[tuple[Things, str, str], tuple[str, int | None]] = {}

    def wake(self, topic: Topic) -> None:
        """Say that `topic` has work."""
        self._events[topic].set()

    async def wait(self, topic: Topic, timeout_s: float) -> None:
        """Return when `topic` was woken since the last wait, or after `timeout_s`."""
        event = self._events[topic]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):  # wait_for of Python 3.11 loses a cancel that meets the wake-up
                await event.wait()
        event.clear()

    def on_recall(self, recall: Recall) -> None:
        """Have `recall(matches)` called at once for each recall; it must not wait."""
        self._recalls.append(recall)

    def recall(self, matches: Callable[[Leaving], bool]) -> list[str]:
        """Take back every unwritten message and call that `matches`: no byte of it leaves any more (P5).

        Returns: their ids, committed ones in state `sending` or `dialing`. The caller moves them on in its own
                 transaction.
        """
        return [message_id for recall in self._recalls for message_id in recall(matches)]

    def note_gate(self, things: Things, sender: str, mode: str, reason: str, opens_ms: int | None) -> None:
        """Note what keeps a sender's queue waiting just now, for `why`; an empty reason: nothing does."""
        if reason:
            self.gates[things, sender, mode] = (reason, opens_ms)
        else:
            self.gates.pop((things, sender, mode), None)
