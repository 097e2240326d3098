"""The pure model of `lua/take.lua`: the same inputs give the same outputs. Tests hold the two against each other.

Rates are `schedule.py`'s, caps and rolling limits `quotas.py`'s. All instants and spans are integers, in microseconds;
the time is handed in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from gateway.limits.quotas import NEVER, Quota, Roll, full, rolled_full, starts_of, windows_of
from gateway.limits.schedule import Schedule

SKEW_US = 2_000_000  # clocks that differ by more are not trusted

Refusal: TypeAlias = tuple[int, int]  # place of the limit, when it opens or NEVER
Own: TypeAlias = tuple[int, str]  # place of a limit among throughputs, caps, rollings; a rolling one's member


@dataclass(frozen=True, slots=True)
class Pace:
    """One throughput as the script sees it: `n` units a `period_us` (guard included)."""

    key: str
    n: int
    period_us: int
    segments: bool = True
    apart_us: int = 0  # 0: the period
    done: int = 0  # all the worker's takes up to this number have left, or never will

    @property
    def keeps_us(self) -> int:
        """How far unit k keeps from unit k - n at least."""
        return self.apart_us or self.period_us


@dataclass(frozen=True, slots=True)
class Lease:
    """One concurrency limit as the script sees it."""

    key: str
    limit: int
    lease_us: int


@dataclass(frozen=True, slots=True)
class Ask:
    """One message: its segments, its holder if there are leases, and the limits that bind it beside the shared ones."""

    segments: int
    holder: str = ""
    own: tuple[Own, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What `take` is asked.

    shared: how many paces, quotas and rolls, from the first on, bind every message.
    worker, number: who asks, and which of its takes this is.
    more: who asks has more than it asks for, and will be back as soon as it can.
    """

    client_us: int
    epoch: int
    seen: int
    ahead_us: int
    paces: tuple[Pace, ...] = ()
    quotas: tuple[Quota, ...] = ()
    rolls: tuple[Roll, ...] = ()
    leases: tuple[Lease, ...] = ()
    shared: tuple[int, int, int] = (0, 0, 0)
    asks: tuple[Ask, ...] = ()
    worker: str = ""
    number: int = 1
    more: bool = False


@dataclass(slots=True)
class State:
    """What the server keeps.

    longest: the most segments of a message before the last rebuild.
    unheld_us: when channels were forgotten that others may hold, who renew them within a lease; 0: none were.
    used:    by (cap key, window start). held: by lease key, holder to expiry.
    heard_us, waits_us: by lease key, when it was last asked for, and until when none is granted: see channels.lua.
    rolled:  by (rolling key, member, number of the part).
    """

    epoch: int = 0
    seq: int = 0
    last_us: int = 0
    quiet_us: int = 0
    longest: int = 1
    unheld_us: int = 0
    schedules: dict[str, Schedule] = field(default_factory=dict)
    used: dict[tuple[str, int], int] = field(default_factory=dict)
    rolled: dict[tuple[str, str, int], int] = field(default_factory=dict)
    held: dict[str, dict[str, int]] = field(default_factory=dict)
    heard_us: dict[str, int] = field(default_factory=dict)
    waits_us: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What `take` answers, one entry a message that was looked at.

    slots:   its instant, or the Refusal of one of its own limits, for which it was passed over.
    charged: the (cap place, window 0..2) pairs it was charged to.
    refused: the next message's.
    full:    the (cap place, window) pairs at four fifths or more after this grant.
    """

    status: Literal["ok", "rebuild", "clock_skew", "bounds"]
    seq: int
    slots: tuple[int | Refusal, ...] = ()
    charged: tuple[frozenset[tuple[int, int]], ...] = ()
    refused: Refusal | None = None
    full: frozenset[tuple[int, int]] = frozenset()


def take(state: State, request: Request, now_us: int) -> Answer:
    """Grant what fits, in order, and change `state` accordingly."""
    if now_us < state.last_us or abs(now_us - request.client_us) > SKEW_US:
        return Answer("clock_skew", state.seq)
    if state.epoch != request.epoch or state.seq < request.seen:
        return Answer("rebuild", state.seq)
    return _Grant(state, request, now_us).answer()


def _free(state: State, lease: Lease, now_us: int) -> None:
    """Free what ran out. Where that was while nobody was heard, whoever lives is given the time to renew."""
    held, heard_us, silence_us = (
        state.held.get(lease.key, {}),
        state.heard_us.get(lease.key, now_us),
        lease.lease_us // 3,
    )
    ran_out = now_us - heard_us > silence_us and any(heard_us <= until <= now_us for until in held.values())
    if ran_out or heard_us - now_us > silence_us:
        state.waits_us[lease.key] = now_us + silence_us
    state.heard_us[lease.key] = now_us
    state.held[lease.key] = {holder: until for holder, until in held.items() if until > now_us}


@dataclass(frozen=True, slots=True)
class _Bound:
    """Places of the limits of each kind that bind a message."""

    paces: tuple[int, ...]
    quotas: tuple[int, ...]
    rolls: tuple[Own, ...]


class _Grant:
    """One call of the script at work. Schedules change in `state` only where something was granted."""

    def __init__(self, state: State, request: Request, now_us: int) -> None:
        self.state, self.request, self.now = state, request, now_us
        self.horizon = now_us + request.ahead_us
        self.schedules = [self._schedule(pace) for pace in request.paces]
        for lease in request.leases:
            _free(state, lease, now_us)
        paces, quotas, rolls = request.shared
        members = tuple((place, request.rolls[place].member) for place in range(rolls))
        self.shared = _Bound(tuple(range(paces)), tuple(range(quotas)), members)
        self.changed: set[tuple[int, int]] = set()
        self.hopes = True  # nothing was granted yet: who gets nothing is told when to ask again

    def answer(self) -> Answer:
        slots: list[int | Refusal] = []
        charged: list[frozenset[tuple[int, int]]] = []
        refused: Refusal | None = None
        for index, ask in enumerate(self.request.asks):
            outside, found, refused = self._look(ask)
            if index == 0 and outside:
                return Answer("bounds", self.state.seq)
            if refused is not None:
                break
            slots.append(found)
            charged.append(self._take(ask, found) if isinstance(found, int) else frozenset())
            self.hopes = self.hopes and not isinstance(found, int)
        waited = set(self.shared.paces) if self.request.more else set[int]()
        for place in (waited | {refused[0]} if refused is not None else waited) & set(range(len(self.schedules))):
            self.schedules[place] = replace(self.schedules[place], waits_us=self.now)
        if any(isinstance(slot, int) for slot in slots):
            self.state.seq, self.state.last_us = self.state.seq + 1, self.now
            keys = [pace.key for pace in self.request.paces]
            self.state.schedules.update(zip(keys, self.schedules, strict=True))
        return Answer("ok", self.state.seq, tuple(slots), tuple(charged), refused, self._full())

    def _schedule(self, pace: Pace) -> Schedule:
        beyond = max(0, self.state.longest - pace.n) if pace.segments else 0
        free_us = self.state.quiet_us + pace.period_us + -(-beyond * pace.period_us // pace.n)
        numbers = (pace.n, pace.period_us, pace.keeps_us)
        known = self.state.schedules.get(pace.key, Schedule(*numbers))
        return known.told(self.request.worker, pace.done).changed(*numbers).at(self.now, free_us)

    def _look(self, ask: Ask) -> tuple[bool, int | Refusal, Refusal | None]:
        """Whether the bounds passed do not reach; its slot, or why it is passed over; what ends the grant here."""
        own, horizon = self._own(ask), self.horizon
        slot, slowest = self._earliest(self.now, -1, ask, self.shared.paces)
        refusals = [(slowest, slot)] if slot > horizon else []
        if slot <= horizon and own.paces:
            later, which = self._earliest(slot, slowest, ask, self.shared.paces + own.paces)
            if later > horizon:
                return False, (which, later), None
            slot = later
        outside = self._outside(self.shared, slot)
        refusals += [*self._refusals(self.shared, ask, slot), *self._leases_full()]
        if refusals:
            return outside, slot, _binding(refusals)
        refusals = self._refusals(own, ask, slot)
        return outside or self._outside(own, slot), _binding(refusals) or slot, None

    def _own(self, ask: Ask) -> _Bound:
        paces, caps = len(self.request.paces), len(self.request.paces) + len(self.request.quotas)
        return _Bound(
            tuple(place for place, _ in ask.own if place < paces),
            tuple(place - paces for place, _ in ask.own if paces <= place < caps),
            tuple((place - caps, member) for place, member in ask.own if place >= caps),
        )

    def _earliest(self, from_us: int, slowest: int, ask: Ask, places: tuple[int, ...]) -> tuple[int, int]:
        slot, moved = from_us, True
        while moved:
            moved = False
            for place in places:
                units = self._units(self.request.paces[place], ask)
                best = self.schedules[place].fits(slot, units, self.horizon, hopes=self.hopes)
                if best > slot:
                    slot, slowest, moved = best, place, True
        return slot, slowest

    @staticmethod
    def _units(limit: Pace | Quota | Roll, ask: Ask) -> int:
        return ask.segments if limit.segments else 1

    def _outside(self, bound: _Bound, slot: int) -> bool:
        return any(windows_of(self.request.quotas[place].bounds, slot) is None for place in bound.quotas)

    def _refusals(self, bound: _Bound, ask: Ask, slot: int) -> list[Refusal]:
        found: list[Refusal] = []
        first = len(self.request.paces)
        for place in bound.quotas:
            quota = self.request.quotas[place]
            charged = windows_of(quota.bounds, slot)
            opens = [slot] if charged is None else full(self.state.used, quota, charged, self._units(quota, ask))
            found += [(first + place, each) for each in opens]
        first += len(self.request.quotas)
        for place, member in bound.rolls:
            roll = self.request.rolls[place]
            found += [
                (first + place, each)
                for each in rolled_full(self.state.rolled, roll, member, slot, self._units(roll, ask))
            ]
        return found

    def _leases_full(self) -> list[Refusal]:
        first = len(self.request.paces) + len(self.request.quotas) + len(self.request.rolls)
        found: list[Refusal] = []
        for place, lease in enumerate(self.request.leases):
            held, unheld_us = self.state.held[lease.key], self.state.unheld_us
            known_us = max(self.state.waits_us.get(lease.key, 0), unheld_us + lease.lease_us if unheld_us else 0)
            if self.now < known_us:
                found.append((first + place, known_us))
            elif len(held) + 1 > lease.limit:
                found.append((first + place, min(held.values(), default=NEVER)))
        return found

    def _take(self, ask: Ask, slot: int) -> frozenset[tuple[int, int]]:
        charged: set[tuple[int, int]] = set()
        for bound in (self.shared, self._own(ask)):
            for place in bound.paces:
                units = self._units(self.request.paces[place], ask)
                self.schedules[place] = self.schedules[place].spend(
                    slot, units, self.request.worker, self.request.number
                )
            for place in bound.quotas:
                quota = self.request.quotas[place]
                for window in windows_of(quota.bounds, slot) or ():
                    key = (quota.key, starts_of(quota.bounds)[window])
                    self.state.used[key] = self.state.used.get(key, 0) + self._units(quota, ask)
                    charged.add((place, window))
            for place, member in bound.rolls:
                roll = self.request.rolls[place]
                part = (roll.key, member, slot // roll.part_us)
                self.state.rolled[part] = self.state.rolled.get(part, 0) + self._units(roll, ask)
        for lease in self.request.leases:
            self.state.held[lease.key][ask.holder] = slot + lease.lease_us
        self.changed |= charged
        return frozenset(charged)

    def _full(self) -> frozenset[tuple[int, int]]:
        quotas = self.request.quotas
        used = {
            each: self.state.used[quotas[each[0]].key, starts_of(quotas[each[0]].bounds)[each[1]]]
            for each in self.changed
        }
        return frozenset(each for each, units in used.items() if units * 5 >= quotas[each[0]].limit * 4)


def _binding(refusals: Sequence[Refusal]) -> Refusal | None:
    """Pick the limit that opens last: it is what really holds the message. NEVER beats all; the first of equals."""
    if not refusals:
        return None
    return max(refusals, key=lambda refusal: float("inf") if refusal[1] == NEVER else refusal[1])
