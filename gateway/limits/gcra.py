"""The pure model of `lua/take.lua`: the same inputs give the same outputs. Tests hold the two against each other.

GCRA is the generic cell rate algorithm (ITU-T I.371, annex A) with no burst tolerance: spacing, not a bucket. Here its
schedule is absolute: slot k of a busy stretch lies at base + ceil(k * period / n), so lateness never adds up.
All instants and spans are integers, in microseconds; the time is handed in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from gateway.limits.windows import Bounds

NEAR_US = 2_000_000  # a slot this close to a boundary is charged to both windows
SKEW_US = 2_000_000  # clocks that differ by more are not trusted
NEVER = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """One throughput as the script sees it: `n` units a `period_us` (guard included)."""

    key: str
    n: int
    period_us: int
    segments: bool = True


@dataclass(frozen=True, slots=True)
class Quota:
    """One cap as the script sees it, with the windows around the caller's idea of now."""

    key: str
    limit: int
    segments: bool
    bounds: Bounds


@dataclass(frozen=True, slots=True)
class Lease:
    """One concurrency limit as the script sees it."""

    key: str
    limit: int
    lease_us: int


@dataclass(frozen=True, slots=True)
class Request:
    """What `take` is asked: limits, then one segment count (and one holder, if there are leases) per message."""

    client_us: int
    epoch: int
    seen: int
    ahead_us: int
    paces: tuple[Pace, ...] = ()
    quotas: tuple[Quota, ...] = ()
    leases: tuple[Lease, ...] = ()
    segments: tuple[int, ...] = ()
    holders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """A throughput's state: the next slot is base + ceil(k * period / n), 0 <= k < n."""

    n: int
    period_us: int
    base_us: int = 0
    k: int = 0

    @property
    def due_us(self) -> int:
        """The next slot."""
        return self.base_us + -(-self.k * self.period_us // self.n)

    def changed(self, n: int, period_us: int) -> "Schedule":
        """Start anew under other numbers, one new interval after the last slot."""
        if (n, period_us) == (self.n, self.period_us):
            return self
        slower = -(-period_us // n) - self.period_us // self.n
        return Schedule(n, period_us, self.due_us + max(0, slower))

    def not_before(self, at_us: int) -> "Schedule":
        """Start anew at `at_us` if the next slot would come earlier."""
        return self if self.due_us >= at_us else replace(self, base_us=at_us, k=0)

    def spend(self, slot_us: int, units: int) -> "Schedule":
        """Take `units` slots from `slot_us` on. Time not used is gone."""
        start = self if slot_us <= self.due_us else replace(self, base_us=slot_us, k=0)
        periods, k = divmod(start.k + units, self.n)
        return replace(start, base_us=start.base_us + periods * self.period_us, k=k)


@dataclass(slots=True)
class State:
    """What the server keeps. `used` is by (cap key, window start), `held` by lease key: holder to expiry."""

    epoch: int = 0
    seq: int = 0
    last_us: int = 0
    quiet_us: int = 0
    schedules: dict[str, Schedule] = field(default_factory=dict)
    used: dict[tuple[str, int], int] = field(default_factory=dict)
    held: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What `take` answers. `charged` holds, per message, the (cap index, window 0..2) pairs it was charged to.

    refused: (index of the limit: throughputs, caps, leases in order; opens at, or NEVER), for the next message.
    """

    status: Literal["ok", "rebuild", "clock_skew", "bounds"]
    seq: int
    slots: tuple[int, ...] = ()
    charged: tuple[frozenset[tuple[int, int]], ...] = ()
    refused: tuple[int, int] | None = None


def take(state: State, request: Request, now_us: int) -> Answer:
    """Grant what fits, in order, and change `state` accordingly."""
    if state.epoch != request.epoch or state.seq < request.seen:
        return Answer("rebuild", state.seq)
    if now_us < state.last_us or abs(now_us - request.client_us) > SKEW_US:
        return Answer("clock_skew", state.seq)
    _load(state, request, now_us)
    slots: list[int] = []
    charged: list[frozenset[tuple[int, int]]] = []
    refusals: list[tuple[int, int]] = []
    for index, segments in enumerate(request.segments):
        slot = max([now_us, *(state.schedules[pace.key].due_us for pace in request.paces)])
        windows = [_windows(quota.bounds, slot) for quota in request.quotas]
        if index == 0 and None in windows:
            return Answer("bounds", state.seq)
        refusals = _refusals(state, request, now_us, slot, segments, windows)
        if refusals:
            break
        _spend(state, request, index, slot, windows)
        slots.append(slot)
        charged.append(frozenset((i, w) for i, found in enumerate(windows) for w in found or ()))
    if slots:
        state.seq, state.last_us = state.seq + 1, now_us
    return Answer("ok", state.seq, tuple(slots), tuple(charged), _binding(refusals))


def late(state: State, pace: Pace, slot_us: int, at_us: int, exact_us: int) -> None:
    """Push the next slot: the write of `slot_us` happened at `at_us`. `exact_us` is the period without its guard."""
    schedule = state.schedules.get(pace.key)
    if schedule is not None:
        pushed = at_us + (schedule.due_us - slot_us) * exact_us // pace.period_us
        state.schedules[pace.key] = schedule.not_before(pushed)


def _load(state: State, request: Request, now_us: int) -> None:
    for pace in request.paces:
        schedule = state.schedules.get(pace.key, Schedule(pace.n, pace.period_us))
        state.schedules[pace.key] = schedule.changed(pace.n, pace.period_us).not_before(state.quiet_us + pace.period_us)
    for lease in request.leases:
        held = state.held.get(lease.key, {})
        state.held[lease.key] = {holder: until for holder, until in held.items() if until > now_us}


def _windows(bounds: Bounds, slot_us: int) -> tuple[int, ...] | None:
    if slot_us < bounds.start_us or slot_us + NEAR_US >= bounds.after_us:
        return None
    charged = (
        slot_us - bounds.start_us <= NEAR_US,
        slot_us <= bounds.end_us + NEAR_US,
        slot_us >= bounds.end_us - NEAR_US,
    )
    return tuple(window for window, yes in enumerate(charged) if yes)


def _refusals(
    state: State, request: Request, now_us: int, slot: int, segments: int, windows: Sequence[tuple[int, ...] | None]
) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    if slot > now_us + request.ahead_us:
        dues = [state.schedules[pace.key].due_us for pace in request.paces]
        found.append((dues.index(slot), slot))
    for index, (quota, charged) in enumerate(zip(request.quotas, windows, strict=True), start=len(request.paces)):
        if charged is None:
            found.append((index, slot))
            continue
        found += [(index, opens) for opens in _full(state, quota, charged, segments if quota.segments else 1)]
    for index, lease in enumerate(request.leases, start=len(request.paces) + len(request.quotas)):
        held = state.held[lease.key]
        if len(held) + 1 > lease.limit:
            found.append((index, min(held.values(), default=NEVER)))
    return found


def _full(state: State, quota: Quota, charged: tuple[int, ...], need: int) -> list[int]:
    starts = (quota.bounds.previous_us, quota.bounds.start_us, quota.bounds.end_us, quota.bounds.after_us)
    if need > quota.limit:
        return [NEVER]
    return [
        starts[window + 1] + NEAR_US + 1
        for window in charged
        if state.used.get((quota.key, starts[window]), 0) + need > quota.limit
    ]


def _binding(refusals: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """Pick the limit that opens last: it is what really holds the message. NEVER beats all; the first of equals."""
    if not refusals:
        return None
    return max(refusals, key=lambda refusal: float("inf") if refusal[1] == NEVER else refusal[1])


def _spend(state: State, request: Request, index: int, slot: int, windows: Sequence[tuple[int, ...] | None]) -> None:
    segments = request.segments[index]
    for pace in request.paces:
        state.schedules[pace.key] = state.schedules[pace.key].spend(slot, segments if pace.segments else 1)
    for quota, charged in zip(request.quotas, windows, strict=True):
        starts = (quota.bounds.previous_us, quota.bounds.start_us, quota.bounds.end_us)
        for window in charged or ():
            key = (quota.key, starts[window])
            state.used[key] = state.used.get(key, 0) + (segments if quota.segments else 1)
    for lease in request.leases:
        state.held[lease.key][request.holders[index]] = slot + lease.lease_us
