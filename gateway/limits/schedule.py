"""The pure model of a rate as `lua/rate.lua` keeps it: a line and a log.

The line is the generic cell rate algorithm (ITU-T I.371, annex A) without burst tolerance, on an absolute schedule:
unit k of a busy stretch has its slot at base + ceil(k * period / n) at the earliest, so lateness never adds up. The log
has the instant of every unit of the last period: no n + 1 of them within `apart_us`. While somebody waits for the rate,
up to `CATCH_UP_US` of the line that nobody took stay to be taken.

A unit that was granted leaves at its slot or later, however late: until its worker has told when, it is open. An open
unit whose slot lies ahead counts at its slot. One whose slot has passed is in doubt: it counts in every stretch.
So no rolling period has more than n, whatever keeps a worker from its core: docs/decisions/0019. Instants and spans are
integers, in microseconds; the time is handed in.
"""

from bisect import bisect_right, insort
from dataclasses import dataclass, field, replace

CATCH_UP_US = 1_000_000
MADE_UP = 4
DOUBT_US = 5_000_000  # no write is begun 2 s after its slot; what was begun by then has left so long after it


@dataclass(frozen=True, slots=True, order=True)
class Open:
    """A unit that may leave at `at_us` or later, by a worker's take of that number."""

    at_us: int
    worker: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """A throughput's state: the line's next slot is base + ceil(k * period / n), 0 <= k < n.

    apart_us: how far unit k keeps from unit k - n at least; the period that is aimed at is somewhat longer.
    waits_us: when somebody last waited for more.
    log:      when the last units left, sorted.
    open:     those of which that is not known yet, sorted.
    dense_us: no slot is before it: what is made up comes `MADE_UP` times as fast as the line, not all at once.
    now_us:   what `at` was told last.
    """

    n: int
    period_us: int
    apart_us: int
    base_us: int = 0
    k: int = 0
    waits_us: int = 0
    log: tuple[int, ...] = ()
    open: tuple[Open, ...] = ()
    dense_us: int = 0
    now_us: int = field(default=0, compare=False)

    @property
    def due_us(self) -> int:
        """The earliest next slot."""
        return max(self._line_us, self.dense_us)

    @property
    def _line_us(self) -> int:
        return self.base_us + -(-self.k * self.period_us // self.n)

    def changed(self, n: int, period_us: int, apart_us: int) -> "Schedule":
        """Begin a line of other numbers, one new interval after the old one's last slot. The log stays."""
        if (n, period_us) == (self.n, self.period_us):
            return replace(self, apart_us=apart_us)
        slower = -(-period_us // n) - self.period_us // self.n
        base_us = self._line_us + max(0, slower)
        return replace(self, n=n, period_us=period_us, apart_us=apart_us, base_us=base_us, k=0, waits_us=0, dense_us=0)

    def at(self, now_us: int, free_us: int = 0) -> "Schedule":
        """Forget what is over; the line begins anew where its next slot is too long ago, or before `free_us`."""
        log = tuple(each for each in self.log if each > now_us - self.apart_us)
        left = tuple(each for each in self.open if each.at_us > now_us - DOUBT_US)
        waited = now_us - self.waits_us <= 2 * CATCH_UP_US
        earliest = max(free_us, now_us - CATCH_UP_US if waited else now_us)
        base_us, k = (self.base_us, self.k) if self._line_us >= earliest else (earliest, 0)
        dense_us = max(self.dense_us, now_us)
        return replace(self, base_us=base_us, k=k, log=log, open=left, dense_us=dense_us, now_us=now_us)

    def fits(self, from_us: int, units: int, horizon_us: int, *, hopes: bool = True) -> int:
        """The first instant from `from_us` on at which a message of so many units may leave.

        Where that is beyond the horizon, or too many are open, one beyond the horizon: when it is worth asking again,
        where `hopes`.
        """
        slot = max(from_us, self.due_us)
        if len(self.log) + len(self.open) + units <= self.n:
            return slot
        ahead, most, found = self._ahead(), min(units, self.n), horizon_us + 1  # of its own in one period
        in_doubt = len(self.open) - len(ahead)
        if in_doubt + most <= self.n:
            found = self._climb(sorted([*self.log, *ahead]), self.n - in_doubt, slot, units)
            all_may_leave_at_once = len(self.open) + most > self.n
            if found <= horizon_us and not all_may_leave_at_once:
                return found
        return self._hoped_for(slot, units, horizon_us) if hopes else max(found, horizon_us + 1)

    def _ahead(self) -> list[int]:
        return [each.at_us for each in self.open if each.at_us >= self.now_us]

    def _hoped_for(self, slot: int, units: int, horizon_us: int) -> int:
        """Where there will be room if all that is in doubt has left in its slot: it may be told so at any moment."""
        log = sorted([*self.log, *(each.at_us for each in self.open)])
        return max(self._climb(log, self.n, slot, units), horizon_us + 1)

    def _climb(self, log: list[int], n: int, slot: int, units: int) -> int:
        """The first slot from `slot` on that has room among `n` a period."""
        while (later := self._crowded(log, n, slot, units)) > slot:
            slot = later
        return slot

    def _crowded(self, left: list[int], n: int, slot: int, units: int) -> int:
        """The slot itself where its units have room; else a later one that may be the first that has."""
        log, own = list(left), list[int]()
        for unit in range(units):
            own.append(bisect_right(log, slot + self._after(unit)))
            log.insert(own[-1], slot + self._after(unit))
        for last in range(max(own[0], n), min(len(log), own[-1] + n + 1)):
            first = last - n
            if log[last] - log[first] >= self.apart_us:
                continue
            if last in own and first not in own:
                return log[first] + self.apart_us - self._after(own.index(last))
            unit = next(unit for unit, place in enumerate(own) if place >= first)
            other = max(place for place in range(first, last + 1) if place not in own)
            return max(slot + 1, log[other] - self._after(unit))
        return slot

    def spend(self, slot_us: int, units: int, worker: str = "", number: int = 0) -> "Schedule":
        """Take a slot that `fits` gave, in a worker's take of that number."""
        taken = [Open(slot_us + self._after(unit), worker, number) for unit in range(units)]
        periods, k = divmod(self.k + units, self.n)
        left = tuple(sorted([*self.open, *taken]))
        base_us = self.base_us + periods * self.period_us
        dense_us = self.dense_us + -(-units * self.period_us // (MADE_UP * self.n))
        return replace(self, base_us=base_us, k=k, open=left, dense_us=dense_us)

    def late(self, taken: Open, later_us: int, units: int) -> "Schedule":
        """The units of the slot `taken` left at `later_us`. They are open until all of that take is told."""
        left = list(self.open)
        for unit in range(units):
            instant = replace(taken, at_us=taken.at_us + self._after(unit))
            if instant in left:
                left.remove(instant)
        for unit in range(units):
            insort(left, replace(taken, at_us=later_us + self._after(unit)))
        return replace(self, open=tuple(left))

    def told(self, worker: str, done: int) -> "Schedule":
        """All takes of a worker up to this number have left, or never will."""
        is_done = {each: each.worker == worker and each.number <= done for each in self.open}
        left = [each.at_us for each in self.open if is_done[each]]
        return replace(
            self, log=tuple(sorted([*self.log, *left])), open=tuple(each for each in self.open if not is_done[each])
        )

    def _after(self, unit: int) -> int:
        return -(-unit * self.apart_us // self.n)
