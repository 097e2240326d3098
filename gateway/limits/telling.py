"""What this process was granted and Redis has not been told of. Bookkeeping; the telling is `Gate`'s. Pure.

A unit that was granted counts in every rolling period from its slot on, until it is told that it left: however long a
process is kept from its core, the others wait for it (docs/decisions/0019). A process numbers its takes, and tells each
rate up to which number all is done: of each write, when it was; of what was not written that its slot is spent.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import takewhile

from gateway.limits.schedule import DOUBT_US
from gateway.model.limit import Slot, Throughput


@dataclass(frozen=True, slots=True)
class Late:
    """A write in this slot that happened at `at_us`, on Redis's clock."""

    slot: Slot
    at_us: int


@dataclass(slots=True)
class _Take:
    """The rates it asked for, the places of its messages that have not left, and how many have and were not told."""

    rates: Sequence[Throughput]
    waiting: set[int] = field(default_factory=set)
    untold: int = 0
    last_us: int = 0


@dataclass(slots=True)
class _Rate:
    """Numbers of the takes under way; the highest that is done; up to which number the rate was told."""

    limit: Throughput
    under_way: dict[int, None] = field(default_factory=dict)
    done: int = 0
    told: int = 0


class Telling:
    """One a gate. `worker` is a name nobody else has; letters and digits."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        self.late: list[Late] = []
        self._last = 0
        self._takes: dict[int, _Take] = {}
        self._rates: dict[str, _Rate] = {}

    def begin(self, rates: Sequence[Throughput]) -> int:
        """Give a take of these rates its number."""
        self._last += 1
        self._takes[self._last] = _Take(rates)
        for limit in rates:
            rate = self._rates.setdefault(limit.key, _Rate(limit))
            rate.limit = limit
            rate.under_way[self._last] = None
        return self._last

    def granted(self, number: int, slots: Sequence[Slot]) -> None:
        """Note which slots a take was granted; none where it failed. A take of no rate has nobody to be told."""
        take = self._takes[number]
        take.waiting = {slot.place for slot in slots} if take.rates else set()
        take.last_us = max((slot.at_us for slot in slots), default=0)
        self._end(number)

    def forget(self, now_us: int) -> int:
        """Give up slots of which nobody said what became of them: Redis does not count them any more, either.

        Returns: how many there were. Each is a fault of this process's.
        """
        granted = ((number, take.last_us) for number, take in self._takes.items() if take.waiting)  # in their order
        lost = [number for number, _ in takewhile(lambda each: each[1] < now_us - DOUBT_US, granted)]
        given_up = sum(len(self._takes[number].waiting) for number in lost)
        for number in lost:
            self._takes[number].waiting.clear()
            self._end(number)
        return given_up

    def left(self, slot: Slot, at_us: int = 0) -> None:
        """Nothing will leave in this slot from now on: it never will, or has at `at_us`. Harmless where it is known."""
        take = self._takes.get(slot.take)
        if take is None or slot.place not in take.waiting:
            return
        take.waiting.remove(slot.place)
        if at_us > slot.at_us:
            self.late.append(Late(slot, at_us))
            take.untold += 1
        self._end(slot.take)

    def _end(self, number: int) -> None:
        take = self._takes[number]
        if take.waiting or take.untold:
            return
        del self._takes[number]
        for limit in take.rates:
            rate = self._rates[limit.key]
            del rate.under_way[number]
            rate.done = max(rate.done, number)

    def done(self, key: str) -> int:
        """Up to which take all is done on this rate, and told."""
        rate = self._rates.get(key)
        return next(iter(rate.under_way)) - 1 if rate is not None and rate.under_way else self._last

    def owed(self, late: Sequence[Late]) -> dict[Throughput, int]:
        """The rates of these late writes, and others with more to be told; up to which take each then knows all."""
        untold = Counter(each.slot.take for each in late)
        ending = {number for number, count in untold.items() if self._ends(number, count)}
        found = {limit.key for each in late for limit in each.slot.rates}
        found |= {key for key, rate in self._rates.items() if rate.done > rate.told and self.done(key) > rate.told}
        return {self._rates[key].limit: self._done(key, ending) for key in found if key in self._rates}

    def _ends(self, number: int, told: int) -> bool:
        take = self._takes.get(number)
        return take is None or (not take.waiting and take.untold == told)

    def _done(self, key: str, ending: AbstractSet[int]) -> int:
        """As `done`, with these takes ended, too."""
        left = (number for number in self._rates[key].under_way if number not in ending)
        return next(left, self._last + 1) - 1

    def was_told(self, done: Mapping[str, int], late: Sequence[Late] = ()) -> None:
        """Redis knows so much, by rate, and these late writes, the first there are."""
        del self.late[: len(late)]
        for each in late:
            if (take := self._takes.get(each.slot.take)) is not None:
                take.untold -= 1
                self._end(each.slot.take)
        for key, number in done.items():
            if (rate := self._rates.get(key)) is not None:
                rate.told = max(rate.told, number)
                if not rate.under_way and rate.done <= rate.told:
                    del self._rates[key]
