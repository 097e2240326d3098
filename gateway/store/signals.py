"""What one part of this process tells another: there is work; take back what has not left yet.

Everything told here is also in the database: a signal only saves waiting for the next look.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable
from typing import Literal
from weakref import WeakSet

from gateway.model.call import Call
from gateway.model.message import Message

Things = Literal["messages", "calls"]
Topic = Literal["messages", "calls", "events"]
Leaving = Message | Call  # what leaves through a loop: a recall takes back either
Recall = Callable[[Callable[[Leaving], bool]], list[str]]


class Listener:
    """One loop's ear for a topic: what one loop has heard, another still has to."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()

    async def wait(self, timeout_s: float) -> None:
        """Return when the topic was woken since the last wait, or after `timeout_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):  # wait_for of Python 3.11 loses a cancel that meets the wake-up
                await self.woken.wait()
        self.woken.clear()


class Signals:
    """Wake-ups by topic, and recalls to whoever holds committed but unwritten messages and calls."""

    def __init__(self) -> None:
        self._listeners: defaultdict[Topic, WeakSet[Listener]] = defaultdict(WeakSet)
        self._recalls: list[Recall] = []
        self.gates: dict[tuple[Things, str, str], tuple[str, int | None]] = {}

    def wake(self, topic: Topic) -> None:
        """Say that `topic` has work."""
        for listener in self._listeners[topic]:
            listener.woken.set()

    def listen(self, topic: Topic) -> Listener:
        """An ear for `topic`, for as long as it is kept. Listen first, then look: what comes meanwhile is heard."""
        listener = Listener()
        self._listeners[topic].add(listener)
        return listener

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
