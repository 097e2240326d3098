"""Limits as data: what a scope may send, and what the gate answered.

A limit binds to a scope through its `key`, such as `sender:+18005550199:day@America/Los_Angeles`; two limits with one
key share one counter. Instants are integers, microseconds since the epoch on Redis's clock, unless their name says
otherwise.
"""

import re
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Literal, TypeAlias

from gateway.errors import BadRate

Unit: TypeAlias = Literal["segment", "message", "call"]
Counts: TypeAlias = Literal["attempts", "accepted"]
WindowKind: TypeAlias = Literal["day", "week", "month"]
Reason: TypeAlias = Literal[
    "rate", "cap_day", "cap_week", "cap_month", "channels", "blocked", "clock_skew", "rebuild", "bounds"
]

PERIODS_US = {"s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000}
_RATE = re.compile(r"(\d{1,7}(?:\.\d{1,4})?)/(s|min|h)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Throughput:
    """At most `n` units in any `period_us`, evenly spaced.

    unit: `segment` counts a message as its segments; `message` and `call` count it as one.
    """

    key: str
    n: int
    period_us: int
    unit: Unit = "segment"
    source: str = ""
    effective_from: date | None = None


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `limit` units in each calendar window of `zone` (a name of the tz database).

    counts:     `attempts` never come back; `accepted` are given back when the carrier is known not to count them.
    week_start: 6 is Sunday, 0 is Monday, as `datetime.weekday`.
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


Limit: TypeAlias = Throughput | Cap | Concurrency | Blocked


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a message did not get a slot.

    limit_key:    the limit that holds it; "" when it is the gate itself (clock_skew, rebuild).
    opens_at_us:  when it may leave at the earliest; None: not known, or never without a change of the limit.
    """

    reason: Reason
    limit_key: str = ""
    opens_at_us: int | None = None


@dataclass(frozen=True, slots=True)
class Debit:
    """What one message took from one window of one cap. Two per cap within 2 s of a boundary."""

    limit_key: str
    window_start_us: int
    units: int


@dataclass(frozen=True, slots=True)
class Slot:
    """One message's leave to be written, not before `at_us`. `debits` go to the usage rows with `sending`."""

    at_us: int
    units: int
    debits: tuple[Debit, ...] = ()


@dataclass(frozen=True, slots=True)
class Granted:
    """Slots for the first messages of what was asked, in order.

    seq:    rises by one a grant; store the highest with the usage rows.
    epoch:  the counters' epoch. A grant of an older epoch than the database's must not be written.
    now_us: Redis's clock when it granted.
    then:   why the next message got none; None when all got one.
    """

    slots: tuple[Slot, ...]
    seq: int
    epoch: int
    now_us: int
    then: Refused | None = None


@dataclass(frozen=True, slots=True)
class UsageRow:
    """The database's memory of one window of one cap: `used` units are `sending` or further; `seq` as in Granted."""

    limit_key: str
    window_start_us: int
    used: int
    seq: int


@dataclass(frozen=True, slots=True)
class Usage:
    """How full the current window of one cap is. `reserved` was debited for slots not yet written."""

    cap: Cap
    starts_at_us: int
    resets_at_us: int
    used: int
    reserved: int

    @property
    def free(self) -> int:
        """What may still be granted before `resets_at_us`; never below 0, also where a cap was lowered."""
        return max(0, self.cap.limit - self.used - self.reserved)


def parse_rate(text: str) -> tuple[int, int]:
    """Read a rate such as `3/s`, `1.25/s`, `75/min`.

    Returns: (n, period in µs). A broken number widens the period, so `1.25/s` is 5 in 4 s.
    Raises:  BadRate.
    """
    found = _RATE.fullmatch(text.strip())
    if found is None or not Fraction(found[1]):
        raise BadRate
    count = Fraction(found[1])
    return count.numerator, count.denominator * PERIODS_US[found[2]]
