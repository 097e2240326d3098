"""Limits as data: what a scope may send, and what the gate answered.

A limit binds to a scope through its `key`, such as `sender:+18005550199:day@America/Los_Angeles`; two limits with one
key share one counter. Instants are integers, microseconds since the epoch on Redis's clock, unless their name says
otherwise.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal, TypeAlias

SOON_S: Final = 3.0  # hosts' clocks may be 2 s apart

Unit: TypeAlias = Literal["segment", "message", "call"]
Counts: TypeAlias = Literal["attempts", "accepted"]
WindowKind: TypeAlias = Literal["day", "week", "month"]
Network: TypeAlias = Literal["att", "tmobile", "verizon", "other"]
Reason: TypeAlias = Literal[
    "rate",
    "cap_day",
    "cap_week",
    "cap_month",
    "cap_rolling",
    "recipient_limit",
    "channels",
    "blocked",
    "clock_skew",
    "rebuild",
    "bounds",
]

NETWORKS: tuple[Network, ...] = ("att", "tmobile", "verizon", "other")
BUCKETS = 24  # a rolling window is counted in so many parts, and therefore closes up to one part late


@dataclass(frozen=True, slots=True)
class Throughput:
    """At most `n` units in any `period_us`, evenly spaced.

    unit:    `segment` counts a message as its segments; `message` and `call` count it as one.
    network: the destination network whose messages alone it counts; empty: all.
    """

    key: str
    n: int
    period_us: int
    unit: Unit = "segment"
    source: str = ""
    effective_from: date | None = None
    network: str = ""


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `limit` units in each calendar window of `zone` (a name of the tz database).

    counts:     `attempts` never come back; `accepted` are given back when the carrier is known not to count them.
    week_start: 6 is Sunday, 0 is Monday, as `datetime.weekday`.
    network:    as for a Throughput.
    """

    key: str
    limit: int
    window: WindowKind
    zone: str
    unit: Unit = "segment"
    counts: Counts = "attempts"
    week_start: int = 6
    source: str = ""
    effective_from: date | None = None
    network: str = ""


@dataclass(frozen=True, slots=True)
class Rolling:
    """At most `limit` units in any stretch of `length_us`, for each `member` apart (a person; empty: there is one).

    Units are counted by parts of length / 24, each until its end is a whole length old: on the safe side by at most
    one part. One `key` is one family of counters; its members share limit, length and unit.
    """

    key: str
    limit: int
    length_us: int
    unit: Unit = "message"
    counts: Counts = "attempts"
    member: str = ""
    source: str = ""
    effective_from: date | None = None

    @property
    def part_us(self) -> int:
        """How long one part is."""
        return max(1, self.length_us // BUCKETS)

    @property
    def counter(self) -> str:
        """What debits and usage rows name it by. No key holds a `#`."""
        return f"{self.key}#{self.member}"


@dataclass(frozen=True, slots=True)
class Concurrency:
    """At most `limit` holders at once. A holder that does not renew within `lease_ms` is taken for dead."""

    key: str
    limit: int
    lease_ms: int = 30_000
    source: str = ""
    effective_from: date | None = None


@dataclass(frozen=True, slots=True)
class Blocked:
    """Nothing leaves this scope, whatever else it may: an unverified sender's texts, say."""

    key: str
    source: str = ""
    effective_from: date | None = None


Limit: TypeAlias = Throughput | Cap | Rolling | Concurrency | Blocked


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a message did not get a slot.

    limit_key:    the limit that holds it; "" when it is the gate itself (clock_skew, rebuild).
    opens_at_us:  when it may leave at the earliest; None: not known, or never without a change of the limit.
    now_us:       Redis's clock when it refused, as `opens_at_us` is; 0 where the gate itself refused.
    version:      of the limits it was refused under; set by `Counters`.
    """

    reason: Reason
    limit_key: str = ""
    opens_at_us: int | None = None
    now_us: int = field(default=0, compare=False)
    version: int = field(default=0, compare=False)

    @property
    def opens_in_s(self) -> float | None:
        """How long that is from now, whatever the host's clock says."""
        return None if self.opens_at_us is None else (self.opens_at_us - self.now_us) / 1e6

    @property
    def is_waited_for(self) -> bool:
        """Whether nothing is held for it: a rate; and what opens so soon that whose clock is ahead would release it."""
        return self.reason == "rate" or (self.opens_in_s is not None and self.opens_in_s <= SOON_S)


@dataclass(frozen=True, slots=True)
class Debit:
    """What one message took from one window of one cap (two within 2 s of a boundary), or from one part of a Rolling.

    until_us: when the window no longer matters, for whoever keeps its usage.
    is_of_accepted: the limit counts what the carrier accepts: a refusal gives the units back.
    """

    limit_key: str
    window_start_us: int
    units: int
    until_us: int = field(default=0, compare=False)
    is_of_accepted: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Slot:
    """One message's leave to be written, not before `at_us`. `debits` go to the usage rows with `sending`.

    rates: what paces it: each needs a WriteClock of its own.
    take, place: which of its process's takes it came by, and where in that.
    """

    at_us: int
    units: int
    debits: tuple[Debit, ...] = ()
    rates: tuple[Throughput, ...] = field(default=(), compare=False)
    take: int = field(default=0, compare=False)
    place: int = field(default=0, compare=False)

    def units_of(self, rate: Throughput) -> int:
        """How much of a rate it takes."""
        return self.units if rate.unit == "segment" else 1


@dataclass(frozen=True, slots=True)
class Full:
    """A window of a cap that is four fifths full or more after a grant; its usage row may be less so by now.

    Of a rolling limit it is the part that was charged last, however full.
    """

    cap: Cap | Rolling
    window_start_us: int
    resets_at_us: int


@dataclass(frozen=True, slots=True)
class Reached:
    """A window that has come to `percent` of its cap (80 or 100) with `used` units, in the database's rows."""

    window: Full
    percent: int
    used: int


@dataclass(frozen=True, slots=True)
class Granted:
    """Slots for the first messages of what was asked, in order.

    slots:   a Refused stands for a message that one of its own limits holds (its recipient's, its network's), and
             which holds up nobody else. Times need not rise: a short message may fit before a long one.
    seq:     rises by one a grant; store the highest with the usage rows.
    epoch:   the counters' epoch. A grant of an older epoch than the database's must not be written.
    now_us:  Redis's clock when it granted.
    then:    why the next message got none; None when all were answered.
    full:    windows that are nearly full.
    version, callbacks: of the limits it was granted under, and who is told what they come to; set by `Counters`.
    """

    slots: tuple[Slot | Refused, ...]
    seq: int
    epoch: int
    now_us: int
    then: Refused | None = None
    full: tuple[Full, ...] = ()
    version: int = 0
    callbacks: Mapping[str, str] = field(default_factory=dict)

    @property
    def granted(self) -> tuple[Slot, ...]:
        """The slots alone."""
        return tuple(slot for slot in self.slots if isinstance(slot, Slot))

    @property
    def debits(self) -> tuple[Debit, ...]:
        """What all of it took."""
        return tuple(debit for slot in self.granted for debit in slot.debits)

    @property
    def again_us(self) -> int:
        """When asking again makes sense: at the latest slot; where all were passed over, when one opens."""
        if granted := self.granted:
            return max(slot.at_us for slot in granted)
        opens = [slot.opens_at_us for slot in self.slots if isinstance(slot, Refused) and slot.is_waited_for]
        return min([each for each in opens if each is not None] + [self.now_us + 1_000_000]) if opens else self.now_us


@dataclass(frozen=True, slots=True)
class UsageRow:
    """The database's memory of one window of one cap: `used` units are `sending` or further; `seq` as in Granted."""

    limit_key: str
    window_start_us: int
    used: int
    seq: int
    until_us: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """How full the current window of one cap is. `reserved` was debited for slots not yet written.

    resets_at_us: of a Rolling: when the oldest of what was used comes back.
    """

    cap: Cap | Rolling
    starts_at_us: int
    resets_at_us: int
    used: int
    reserved: int

    @property
    def free(self) -> int:
        """What may still be granted before `resets_at_us`; never below 0, also where a cap was lowered."""
        return max(0, self.cap.limit - self.used - self.reserved)
