"""What one call of `lua/take.lua` is asked and what it answered: limits to keys and words, and its answer to slots."""

from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import Any, cast

from gateway.errors.limits import BadLimits
from gateway.limits.quotas import NEAR_US
from gateway.limits.windows import Bounds
from gateway.model.limit import (
    Cap,
    Concurrency,
    Debit,
    Full,
    Granted,
    Limit,
    Reason,
    Refused,
    Rolling,
    Slot,
    Throughput,
)

_END = "\x1f"  # of each word about a message
TAG = "{gateway}"  # one hash tag: all keys of a call lie on one node of a Redis Cluster
MARKER = f"{TAG}:marker"
REACH_US = 3_000_000  # how far the server's now and a slot may lie from the caller's clock: the skew and a second ahead

Own = Sequence[Sequence[Limit]]
Windows = Callable[[Cap, int], Bounds]
Paced = Mapping[str, tuple[int, int, int]]


def key_of(limit: Throughput | Cap | Concurrency) -> str:
    """The key of a limit's counter."""
    if isinstance(limit, Cap):
        return f"{TAG}:cap:{limit.key}"
    return f"{TAG}:{'rate' if isinstance(limit, Throughput) else 'lease'}:{limit.key}"


def index_of(family: str) -> str:
    """The key of a rolling limit's index."""
    return f"{TAG}:roll:{family}"


def part_of(family: str, start_us: int) -> str:
    """The key of one part of a rolling limit."""
    return f"{TAG}:roll:{family}:{start_us}"


def counter_of(limit_key: str, window_start_us: int) -> tuple[str, str, str, str]:
    """Where a debit is counted, by what debits and usage rows say: key, field, key of the index, member.

    The index of a cap is the marker, and it has no member.
    """
    family, mark, member = limit_key.partition("#")
    if not mark:
        return f"{TAG}:cap:{limit_key}", str(window_start_us), MARKER, ""
    return part_of(family, window_start_us), member, index_of(family), member


class Asking:
    """The limits of one call in the script's order: throughputs, caps, rollings, leases; of each the shared ones first.

    Raises: BadLimits, ValueError for what cannot be asked.
    """

    def __init__(self, limits: Sequence[Limit], segments: Sequence[int], holders: Sequence[str], own: Own) -> None:
        if not segments or min(segments) < 1:
            raise ValueError("every message has at least one segment")
        if own and len(own) != len(segments):
            raise ValueError("own limits are told for every message or for none")
        self.segments = segments
        self.throughputs = [limit for limit in limits if isinstance(limit, Throughput)]
        self.caps = [limit for limit in limits if isinstance(limit, Cap)]
        self.rollings = [limit for limit in limits if isinstance(limit, Rolling)]
        self.leases = [limit for limit in limits if isinstance(limit, Concurrency)]
        if self.leases and len(set(holders)) != len(segments):
            raise ValueError("a limit on channels needs one holder per call")
        self.holders = holders if self.leases else ()
        self.shared = (len(self.throughputs), len(self.caps), len(self.rollings))
        all_shared: list[Throughput | Cap | Concurrency] = [*self.throughputs, *self.caps, *self.leases]
        _refuse_twice([*map(key_of, all_shared), *(limit.key for limit in self.rollings)])
        self._rates = tuple(self.throughputs)  # that bind every message
        self.own: list[list[tuple[int, str]]] = [[] for _ in segments]
        if own:
            self._add(own)
        self._windows: list[Bounds] = []
        self._debits: dict[tuple[str, int, int], tuple[Debit, ...]] = {}

    def _add(self, own: Own) -> None:
        """Put the messages' own limits behind the shared ones, each once; note which bind whom."""
        places: dict[tuple[type, str], int] = {}
        lists: dict[type, list[Any]] = {Throughput: self.throughputs, Cap: self.caps, Rolling: self.rollings}
        for limits in own:
            for limit in limits:
                name = (type(limit), limit.key)
                if name not in places:
                    places[name] = len(lists[type(limit)])
                    lists[type(limit)].append(limit)
        first = {Throughput: 0, Cap: len(self.throughputs), Rolling: len(self.throughputs) + len(self.caps)}
        for mine, limits in zip(self.own, own, strict=True):
            for limit in limits:
                place = first[type(limit)] + places[type(limit), limit.key] + 1
                member = limit.member if isinstance(limit, Rolling) else ""
                if _END in member:
                    raise BadLimits("a member's name holds a control character")
                mine.append((place, member))

    def ask(
        self, wall_us: int, now_us: int, before: Sequence[int | str], windows: Windows, paced: Paced
    ) -> tuple[list[str], list[int | str]]:
        """The script's KEYS and ARGV.

        now_us: the instant whose windows are passed. before: client_us, epoch, seen, ahead_us, worker, number, more.
        paced:  by a rate's key its period with its guard, how far unit k keeps from unit k - n at least, and up to
                which of the worker's takes all is done.
        """
        keys = [MARKER, *map(key_of, self.throughputs), *map(key_of, self.caps)]
        args: list[int | str] = [*before, len(self.throughputs), len(self.caps), len(self.rollings), len(self.leases)]
        args += [len(self.segments), *self.shared]
        for throughput in self.throughputs:
            period_us, apart_us, done = paced[throughput.key]
            args += [throughput.n, period_us, apart_us, int(throughput.unit == "segment"), done]
        self._windows = [windows(cap, now_us) for cap in self.caps]
        for cap, window in zip(self.caps, self._windows, strict=True):
            args += [cap.limit, int(cap.unit == "segment")]
            args += [window.previous_us, window.start_us, window.end_us, window.after_us]
        for rolling in self.rollings:
            first, count = _parts(rolling, wall_us)
            starts = range(first * rolling.part_us, (first + count) * rolling.part_us, rolling.part_us)
            keys += [index_of(rolling.key), *(part_of(rolling.key, start) for start in starts)]
            args += [rolling.limit, int(rolling.unit == "segment"), rolling.length_us, rolling.part_us, first, count]
        args += [rolling.member for rolling in self.rollings[: self.shared[2]]]
        keys += map(key_of, self.leases)
        for lease in self.leases:
            args += [lease.limit, lease.lease_ms * 1000]
        self._add_messages(args)
        return keys, args

    def _add_messages(self, args: list[int | str]) -> None:
        rolls = len(self.throughputs) + len(self.caps)
        words: list[int | str] = []
        for count, mine in zip(self.segments, self.own, strict=True):
            words += (count, len(mine))
            for place, member in mine:
                words += (place, member) if place > rolls else (place,)
        args.append("".join([f"{word}{_END}" for word in words]))
        args += self.holders

    def read(self, answer: list[Any], number: int, epoch: int) -> Granted | Refused:
        """Read an answer whose status is `ok`, to the take of that number."""
        _, now_us, seq, slots, windows, stopped, full = answer
        then = self._refused(now_us, *stopped) if stopped else None
        if not slots:
            return then or Refused("bounds")
        read = tuple(
            self._slot(number, place, slot, mark) if isinstance(slot, int) else self._refused(now_us, *slot)
            for place, (slot, mark) in enumerate(zip(slots, windows or repeat(b"", len(slots)), strict=True))
        )
        last_us = max((slot.at_us for slot in read if isinstance(slot, Slot)), default=now_us)
        fulls = (*(self._full(each) for each in full), *self._rolled(last_us))
        return Granted(read, seq, epoch, now_us, then, fulls)

    def _rolled(self, at_us: int) -> list[Full]:
        """The part of each shared rolling limit that was charged last. One person's are nobody's news."""
        shared = [limit for limit in self.rollings[: self.shared[2]] if not limit.member]
        starts = [at_us // limit.part_us * limit.part_us for limit in shared]
        ends = [start + limit.part_us + limit.length_us + NEAR_US for limit, start in zip(shared, starts, strict=True)]
        return [Full(*each) for each in zip(shared, starts, ends, strict=True)]

    def _slot(self, number: int, place: int, at_us: int, mark: bytes) -> Slot:
        segments, mine, rates = self.segments[place], self.own[place], self._rates
        if mine:
            rates = (*rates, *(self.throughputs[i - 1] for i, _ in mine if i <= len(self.throughputs)))
        debits = self._of_caps(mark.decode(), segments) if mark else ()
        if self.rollings:
            debits += self._of_rollings(place, at_us, segments)
        return Slot(at_us, segments, debits, rates, number, place)

    def _of_caps(self, mark: str, segments: int) -> tuple[Debit, ...]:
        name = (mark, segments, 0)
        if name not in self._debits:
            found = []
            for bits, cap, window in zip(map(int, mark), self.caps, self._windows, strict=True):
                units = segments if cap.unit == "segment" else 1
                edges = (window.previous_us, window.start_us, window.end_us, window.after_us)
                accepted = cap.counts == "accepted"
                found += [Debit(cap.key, edges[j], units, edges[j + 1], accepted) for j in range(3) if bits >> j & 1]
            self._debits[name] = tuple(found)
        return self._debits[name]

    def _of_rollings(self, place: int, at_us: int, segments: int) -> tuple[Debit, ...]:
        first = len(self.throughputs) + len(self.caps)
        binding = [(rolling, rolling.member) for rolling in self.rollings[: self.shared[2]]]
        binding += [(self.rollings[i - first - 1], member) for i, member in self.own[place] if i > first]
        found = []
        for rolling, member in binding:
            part = rolling.part_us
            start = at_us // part * part
            units = segments if rolling.unit == "segment" else 1
            until = start + part + rolling.length_us + NEAR_US
            found.append(Debit(f"{rolling.key}#{member}", start, units, until, rolling.counts == "accepted"))
        return tuple(found)

    def _refused(self, now_us: int, place: int, opens_at_us: int) -> Refused:
        limits: list[Throughput | Cap | Rolling | Concurrency] = [
            *self.throughputs,
            *self.caps,
            *self.rollings,
            *self.leases,
        ]
        limit = limits[place - 1]
        return Refused(_reason(limit), limit.key, opens_at_us or None, now_us)

    def _full(self, each: int) -> Full:
        cap, window = self.caps[(each - 1) // 3], self._windows[(each - 1) // 3]
        edges = (window.previous_us, window.start_us, window.end_us, window.after_us)
        return Full(cap, edges[(each - 1) % 3], edges[(each - 1) % 3 + 1])


def _parts(rolling: Rolling, wall_us: int) -> tuple[int, int]:
    """Number of the first part that may still count, and how many there are until the latest slot there may be."""
    first = (wall_us - REACH_US - NEAR_US - rolling.length_us) // rolling.part_us - 1
    return first, (wall_us + REACH_US) // rolling.part_us - first + 1


def _refuse_twice(keys: Sequence[str]) -> None:
    if len(keys) != len(set(keys)):
        raise BadLimits("two limits of one message have the same key")


def _reason(limit: Throughput | Cap | Rolling | Concurrency) -> Reason:
    match limit:
        case Throughput():
            return "rate"
        case Cap():
            return cast("Reason", f"cap_{limit.window}")
        case Rolling():
            return "recipient_limit" if limit.member else "cap_rolling"
        case Concurrency():
            return "channels"
