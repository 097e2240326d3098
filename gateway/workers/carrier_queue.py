"""How much of one sender's waits in the carrier's own queue, where no cancel, pause or quiet hour reaches it. Pure.

Estimated as first in, first out: what was taken after the newest text that has left the queue is still in it.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.model.limit import Limit, Throughput

FORGOTTEN: Final = 10  # times its depth: what was taken before that is not looked for where nobody reports
_TOLD_LATELY_MS: Final = 15 * 60_000  # a carrier that has not reported for so long is not waited for


@dataclass(frozen=True, slots=True)
class Left:
    """When the newest text that left the carrier's queue was written, and when the carrier told so."""

    sent_ms: int
    told_ms: int


@dataclass(slots=True)
class CarrierQueue:
    """Of one sender. `seconds`: how deep it may get, at the sender's rate."""

    seconds: float
    segments: int = field(default=0, init=False)
    on_the_way: int = field(default=0, init=False)
    _texts: deque[tuple[int, int]] = field(default_factory=deque, init=False)  # written when, segments

    def offered(self, segments: int) -> None:
        """These are on their way to the carrier; below 0: they have got there, or have not."""
        self.on_the_way += segments

    def took(self, texts: Iterable[tuple[int, int]]) -> None:
        """The carrier accepted these: when each was written, and its segments."""
        for sent_ms, segments in texts:
            self._texts.append((sent_ms, segments))
            self.segments += segments

    def full_for_s(self, left: Left | None, limits: Sequence[Limit], now_ms: int) -> float | None:
        """How long it stays too deep, at the sender's rate; None: there is room, or nobody knows how deep it is."""
        if left is not None:
            self._forget(left.sent_ms)
        rates = [each.n * 1e6 / each.period_us for each in limits if isinstance(each, Throughput)]
        if left is None or now_ms - left.told_ms > _TOLD_LATELY_MS or not rates:
            self._forget(now_ms - int(FORGOTTEN * self.seconds * 1000))  # else they are kept for ever
            return None
        too_much = self.segments + self.on_the_way - self.seconds * min(rates)
        return too_much / min(rates) if too_much > 0 else None

    def _forget(self, until_ms: int) -> None:
        """What was written until then is in it no more."""
        while self._texts and self._texts[0][0] <= until_ms:
            self.segments -= self._texts.popleft()[1]
