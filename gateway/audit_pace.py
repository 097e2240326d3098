"""Windows and rates judged afterwards: what was written in each window of a cap, and how near to each other. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.limits.windows import bounds
from gateway.model.limit import Cap, Rolling, Throughput


@dataclass(frozen=True, slots=True)
class Write:
    """One text's bytes, at `at_us` of whatever clock all of them are read on."""

    at_us: int
    segments: int


def window_of(cap: Cap, at_us: int) -> int:
    """Where the calendar window of `cap` that holds an instant begins; both in us since the epoch."""
    return bounds(cap, at_us).start_us


def over_cap(cap: Cap, writes: Sequence[Write]) -> list[tuple[int, int]]:
    """Every window that holds more than the cap allows, as (where it begins, units in it)."""
    used: Counter[int] = Counter()
    for write in writes:
        used[window_of(cap, write.at_us)] += write.segments if cap.unit == "segment" else 1
    return [(window, units) for window, units in sorted(used.items()) if units > cap.limit]


def over_rolling(limit: Rolling, writes: Sequence[Write]) -> list[tuple[int, int]]:
    """Every write that ends a stretch of the limit's length with more in it than is allowed, as (when, units in it)."""
    ordered = sorted(writes, key=lambda write: write.at_us)
    units = [write.segments if limit.unit == "segment" else 1 for write in ordered]
    found, first, inside = [], 0, 0
    for write, its in zip(ordered, units, strict=True):
        inside += its
        while write.at_us - ordered[first].at_us >= limit.length_us:
            inside -= units[first]
            first += 1
        if inside > limit.limit:
            found.append((write.at_us, inside))
    return found


def over_rate(limit: Throughput, writes: Sequence[Write], slack_us: int) -> list[tuple[int, int]]:
    """Every unit that came within a period, less `slack_us`, of the one N before it, as (when, distance in us).

    A message's segments count as leaving one after the other, a period / N apart, from its write on.
    """
    times = sorted(
        write.at_us + number * limit.period_us // limit.n
        for write in writes
        for number in range(write.segments if limit.unit == "segment" else 1)
    )
    pairs = zip(times, times[limit.n :], strict=False)
    return [(now, now - before) for before, now in pairs if now - before < limit.period_us - slack_us]
