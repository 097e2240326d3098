"""What one part of this process tells another: there is work; take back what has not left yet.

Everything told here is also in the database: a signal only saves waiting for the next look.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, Protocol
from weakref import WeakSet

from gateway.store.criteria import Criterion, Told

Things = Literal["messages", "calls"]
Topic = Literal["messages", "calls", "events"]
Gates = dict[tuple[Things, str, str], tuple[str, int | None]]  # (things, sender, mode): the reason, until when
Recall = Callable[[Criterion], list[str]]


class Elsewhere(Protocol):
    """The other processes that share the database."""

    def wake(self, topic: Topic) -> None:
        """Wake them, too."""

    async def recall(self, criterion: Told, holders: set[int]) -> list[str]:
        """Have these holders take back and settle what meets `criterion`; returns the ids that moved.

        When it returns, no byte of these leaves any more, whether a holder answered or its leases ran out.
        """


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
        self.gates: Gates = {}
        self.holder = 0  # this process's number, while it holds leases
        self.holders: set[int] = set()  # every number it has had
        self.elsewhere: Elsewhere | None = None
        self.taken_back: set[str] = set()  # by a recall whose change is not on disk yet: not read again until it is
        self.owed: set[str] = set()  # those of them whose change failed: see `recall.make_good`

    def wake(self, topic: Topic) -> None:
        """Say that `topic` has work, here and in other processes."""
        self.wake_here(topic)
        if self.elsewhere is not None:
            self.elsewhere.wake(topic)

    def wake_here(self, topic: Topic) -> None:
        """Say to this process that `topic` has work."""
        for listener in self._listeners[topic]:
            listener.woken.set()

    def listen(self, topic: Topic) -> Listener:
        """An ear for `topic`, for as long as it is kept. Listen first, then look: what comes meanwhile is heard."""
        listener = Listener()
        self._listeners[topic].add(listener)
        return listener

    def on_recall(self, recall: Recall) -> None:
        """Have `recall(criterion)` called at once for each recall; it must not wait."""
        self._recalls.append(recall)

    def recall(self, criterion: Criterion) -> list[str]:
        """Take back every unwritten message and call of this process that meets it: no byte leaves any more (P5).

        Returns: their ids, committed ones in state `sending` or `dialing`. The caller moves them on in its own
                 transaction.
        """
        return [message_id for recall in self._recalls for message_id in recall(criterion)]

    @contextlib.contextmanager
    def until_kept(self, ids: Iterable[str]) -> Iterator[None]:
        """Around the write that moves on what was just taken back: until it is kept, none of these is read again.

        Where it fails, nobody would write them and nobody would queue them: they are owed.
        """
        self.taken_back.update(ids)
        try:
            yield
        except BaseException:
            self.owed.update(ids)
            raise
        self.taken_back.difference_update(ids)

    def note_gate(self, things: Things, sender: str, mode: str, reason: str, opens_ms: int | None) -> None:
        """Note what keeps a sender's queue waiting just now, for `why`; an empty reason: nothing does."""
        if reason:
            self.gates[things, sender, mode] = (reason, opens_ms)
        else:
            self.gates.pop((things, sender, mode), None)
