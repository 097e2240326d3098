"""The pure model of a rate as `lua/take.lua` and `lua/late.lua` keep it: a line and a log.

The line is the generic cell rate algorithm (ITU-T I.371, annex A) without burst tolerance, on an absolute schedule:
unit k of a busy stretch has its slot at base + ceil(k * period / n) at the earliest, so lateness never adds up. The log
has the instant of every unit of the last period, put right where a write was late: no n + 1 of them within `apart_us`.
While somebody waits for the rate, up to `CATCH_UP_US` of the line that nobody took stay to be taken. Instants and spans
are integers, in microseconds; the time is handed in.
"""

from bisect import bisect_right, insort
from dataclasses import dataclass, replace

CATCH_UP_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Schedule:
    """A throughput's state: the line's next slot is base + ceil(k * period / n), 0 <= k < n.

    apart_us: how far unit k keeps from unit k - n at least; the period that is aimed at is somewhat longer.
    waits_us: when it last kept somebody waiting.
    log:      when the last units leave, sorted.
    """

    n: int
    period_us: int
    apart_us: int
    base_us: int = 0
    k: int = 0
    waits_us: int = 0
    log: tuple[int, ...] = ()

    @property
    def due_us(self) -> int:
        """The line's next slot."""
        return self.base_us + -(-self.k * self.period_us // self.n)

    def changed(self, n: int, period_us: int, apart_us: int) -> "Schedule":
        """Start anew under other numbers, one new interval after the line's last slot."""
        if (n, period_us) == (self.n, self.period_us):
            return replace(self, apart_us=apart_us)
        slower = -(-period_us // n) - self.period_us // self.n
        return Schedule(n, period_us, apart_us, self.due_us + max(0, slower))

    def at(self, now_us: int, free_us: int = 0) -> "Schedule":
        """Forget what is over; the line begins anew where its next slot is too long ago, or before `free_us`."""
        log = tuple(each for each in self.log if each > now_us - self.apart_us)
        waited = now_us - self.waits_us <= 2 * CATCH_UP_US
        earliest = max(free_us, now_us - CATCH_UP_US if waited else now_us)
        if self.due_us >= earliest:
            return replace(self, log=log)
        return replace(self, base_us=earliest, k=0, log=log)

    def fits(self, from_us: int, units: int) -> int:
        """The first instant from `from_us` on at which a message of so many units may leave."""
        slot = max(from_us, self.due_us)
        if len(self.log) + units <= self.n:
            return slot
        while (later := self._crowded(slot, units)) > slot:
            slot = later
        return slot

    def _crowded(self, slot: int, units: int) -> int:
        """The slot itself where its units have room; else a later one that may be the first that has."""
        log, own = list(self.log), []
        for unit in range(units):
            own.append(bisect_right(log, slot + self._after(unit)))
            log.insert(own[-1], slot + self._after(unit))
        for last in range(max(own[0], self.n), min(len(log), own[-1] + self.n + 1)):
            first = last - self.n
            if log[last] - log[first] >= self.apart_us:
                continue
            if last in own and first not in own:
                return log[first] + self.apart_us - self._after(own.index(last))
            unit = next(unit for unit, place in enumerate(own) if place >= first)
            other = max(place for place in range(first, last + 1) if place not in own)
            return max(slot + 1, log[other] - self._after(unit))
        return slot

    def spend(self, slot_us: int, units: int) -> "Schedule":
        """Take a slot that `fits` gave."""
        log = list(self.log)
        for unit in range(units):
            insort(log, slot_us + self._after(unit))
        periods, k = divmod(self.k + units, self.n)
        return replace(self, base_us=self.base_us + periods * self.period_us, k=k, log=tuple(log))

    def late(self, slot_us: int, at_us: int, units: int) -> "Schedule":
        """The units of `slot_us` left at `at_us`: who comes a period later keeps its distance from that."""
        log = list(self.log)
        for unit in range(units):
            if slot_us + self._after(unit) in log:
                log.remove(slot_us + self._after(unit))
        for unit in range(units):
            insort(log, at_us + self._after(unit))
        return replace(self, log=tuple(log))

    def shift(self, by_us: int) -> "Schedule":
        """All that was granted may have left so much later."""
        return replace(self, base_us=self.base_us + by_us, log=tuple(each + by_us for each in self.log))

    def _after(self, unit: int) -> int:
        return -(-unit * self.apart_us // self.n)
