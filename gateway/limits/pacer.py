"""What a worker keeps beside its slots: when a write may really begin, by its own monotonic clock. Pure.

Slots tell when a write may begin at the earliest on Redis's clock. A write that was late takes its lateness with it:
the unit one rate's worth later (segment k, where k-N was late) must wait for one period after that actual write.
"""

import math
from collections import deque

from gateway.model.limit import Throughput

DRIFT = 0.0005  # what Linux slews a clock by at most: adjtimex(2)
MARGIN = DRIFT  # of the period; less than the gate's guard, so that the rest makes lateness up again


class WriteClock:
    """Keeps one throughput's last N writes, so that segment k never leaves within a period of segment k-N.

    One a throughput, for as long as this worker writes for it. Times are integers, us on the caller's monotonic clock.
    A message's segments count as leaving one interval apart from its write on.
    """

    def __init__(self, throughput: Throughput, margin: float = MARGIN) -> None:
        self._n = throughput.n
        self._period_us = throughput.period_us
        self._wait_us = throughput.period_us + round(throughput.period_us * margin)
        self._by_segment = throughput.unit == "segment"
        self._left: deque[int] = deque(maxlen=throughput.n)
        self._total = 0  # that ever left

    def keeps(self, throughput: Throughput) -> bool:
        """Whether it keeps this rate, in these numbers. Slots of other numbers keep their distance by themselves."""
        numbers = (throughput.n, throughput.period_us, throughput.unit == "segment")
        return numbers == (self._n, self._period_us, self._by_segment)

    def due(self, slot_us: int, segments: int = 1) -> int:
        """Give the earliest instant at which a message may be written: its slot, or later after late writes."""
        free = self._n - len(self._left)
        units = min(segments if self._by_segment else 1, self._n)
        waits = [self._left[j - free] + self._wait_us - self._after(j) for j in range(free, units)]
        return max([slot_us, *waits])

    def wrote(self, at_us: int, segments: int = 1) -> int:
        """Note that a message's write begins at `at_us`. Returns what `moved` knows it by."""
        units = segments if self._by_segment else 1
        self._left.extend(at_us + self._after(j) for j in range(units))
        self._total += units
        return self._total - units

    def moved(self, write: int, at_us: int, segments: int = 1) -> None:
        """Correct a write: the socket took its bytes only at `at_us`. Whoever comes a period later waits for that."""
        units = segments if self._by_segment else 1
        first = write - (self._total - len(self._left))
        for unit in range(max(0, -first), units):
            self._left[first + unit] = at_us + self._after(unit)

    def _after(self, unit: int) -> int:
        return -(-unit * self._period_us // self._n)


class RedisClock:
    """Turns instants of Redis's clock into this process's monotonic clock. Times in us.

    The answer that came back fastest of the last `keep` tells the offset best; the others were only delayed. What an
    answer told is the less exact the older it is, since one of the two clocks may run up to DRIFT faster. Where two
    cannot both be so, one of the clocks was set, and the newer one holds.
    read_us: when it was asked for nothing but the time.
    """

    read_us: int

    def __init__(self, keep: int = 32) -> None:
        self.read_us = -(10**12)
        self._answers: deque[tuple[int, int, int]] = deque(maxlen=keep)  # when; the offset at most, and at least
        self._offset = 0
        self._earliest = 0

    def observe(self, redis_us: int, received_us: int, asked_us: int) -> None:
        """Note an answer: Redis said `redis_us` (Granted.now_us), asked for at `asked_us` and here at `received_us`."""
        most, least = received_us - redis_us, asked_us - redis_us
        self._look_back(received_us)
        if least > self._offset or most < self._earliest:  # one of the clocks was set: what was told before is not so
            self._answers.clear()
        self._answers.append((received_us, most, least))
        self._look_back(received_us)

    def _look_back(self, now_us: int) -> None:
        if not self._answers:
            return
        drifted = [(math.ceil((now_us - at) * DRIFT), most, least) for at, most, least in self._answers]
        self._offset = min(most + drift for drift, most, _ in drifted)
        self._earliest = max(least - drift for drift, _, least in drifted)

    @property
    def doubt_us(self) -> int:
        """By how much `local` may be too late at most."""
        return max(0, self._offset - self._earliest)

    def local(self, redis_us: int) -> int:
        """Give the monotonic instant of `redis_us`, early by nothing and late by at most the fastest answer's way back.

        Raises: ValueError before the first `observe`.
        """
        if not self._answers:
            raise ValueError("Redis has not told its time yet")
        return redis_us + self._offset
