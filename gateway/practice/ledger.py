"""What reached the far end, and when: its own record, against which a gateway's claims can be checked."""

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from typing import Any

from gateway.errors.practice import InvalidPracticeOption
from gateway.practice.journal import Journal, id_in

_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)/(s|min)")
_SECONDS = {"s": 1, "min": 60}


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `segments` in any rolling `period_s` seconds."""

    segments: int
    period_s: int

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """Read "25/s", "1.25/s" (5 in 4 s) or "75/min". Raises InvalidPracticeOption."""
        match = _RATE.fullmatch(text)
        if not match or not Fraction(match[1]):
            raise InvalidPracticeOption(f"rate {text!r} is not like 25/s, 1.25/s or 75/min")
        number = Fraction(match[1])
        return cls(number.numerator, number.denominator * _SECONDS[match[2]])

    @property
    def per_second(self) -> Fraction:
        """Segments per second."""
        return Fraction(self.segments, self.period_s)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request to send a text or place a call, as it came in.

    seq:         its place in the ledger, from 1.
    at_s, at_ms: monotonic seconds, and wall-clock milliseconds since 1970.
    body_sha256: hexadecimal.
    outcome:     what was done with it: accepted, refused, throttled, failed, reset.
    copy:        1 for the first accepted text of its sender, recipient, words and StatusCallback, 2 for a repetition.
    """

    seq: int
    channel: str
    at_s: float
    at_ms: int
    sender: str
    to: str
    body_sha256: str
    segments: int
    sid: str
    outcome: str
    copy: int
    status_callback: str


@dataclass(frozen=True, slots=True)
class RateReport:
    """One sender's traffic against its rate; times are seconds between arrivals here.

    allowed is 1 + floor(rate x (last - first)). over_rate counts the segments that came within one period of the
    segment `rate` before them; tightest_s is the shortest such distance, so a few microseconds of jitter on the way
    can be told from a real burst.
    """

    sender: str
    rate: str | None
    messages: int
    segments: int
    first_ms: int
    seconds: float
    achieved_per_s: float
    max_in_rolling_second: int
    per_second: dict[int, int]
    allowed: int | None
    over_rate: int
    tightest_s: float | None
    over_rate_at_ms: tuple[int, ...]


@dataclass(slots=True)
class Ledger:
    """All arrivals in order, and the rate each sender should keep. `journal` keeps them on disk too."""

    rates: dict[str, Rate] = field(default_factory=dict)
    arrivals: list[Arrival] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    tallies: Counter[str] = field(default_factory=Counter)
    journal: Journal = field(default_factory=lambda: Journal(None))
    _copies: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def record(
        self,
        channel: str,
        stamp: tuple[float, int],
        *,
        sender: str,
        to: str,
        body: str,
        segments: int,
        sid: str,
        outcome: str,
        status_callback: str,
    ) -> Arrival:
        """Append one arrival. `stamp` is (monotonic seconds, wall milliseconds) taken when the request came in."""
        digest = hashlib.sha256(body.encode()).hexdigest()
        key = (channel, sender, to, digest, status_callback)
        self._copies[key] += channel == "text" and outcome == "accepted"  # to be called twice is no fault
        copy = max(1, self._copies[key])
        arrival = Arrival(
            len(self.arrivals) + 1,
            channel,
            *stamp,
            sender=sender,
            to=to,
            body_sha256=digest,
            segments=segments,
            sid=sid,
            outcome=outcome,
            copy=copy,
            status_callback=status_callback,
        )
        self.arrivals.append(arrival)
        self.tallies[f"{channel} {outcome}"] += 1
        if self.journal.keeps:
            more = {"message_id": id_in(status_callback), "body": body}
            self.journal.add("text" if channel == "text" else "call", asdict(arrival) | more)
        return arrival

    def restore(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Know again what a journal holds."""
        names = [each.name for each in fields(Arrival)]
        for line in lines:
            if line["kind"] in {"text", "call"}:
                arrival = Arrival(**{name: line[name] for name in names})
                self.arrivals.append(arrival)
                self.tallies[f"{arrival.channel} {arrival.outcome}"] += 1
                key = (arrival.channel, arrival.sender, arrival.to, arrival.body_sha256, arrival.status_callback)
                self._copies[key] += arrival.channel == "text" and arrival.outcome == "accepted"

    def complain(self, what: str) -> None:
        """Note something a client did that the real carrier would not like; the last 1,000 are kept."""
        self.tallies["complaints"] += 1
        del self.complaints[:-999]
        self.complaints.append(what)

    def clear(self) -> None:
        """Forget everything but the rates; the journal notes it."""
        self.journal.add("reset")
        for kept in (self.arrivals, self.complaints, self.tallies, self._copies):
            kept.clear()

    def counts(self) -> dict[str, object]:
        """Return totals: requests received by channel, accepted texts, their segments, repeated copies, outcomes."""
        accepted = [a for a in self.arrivals if a.channel == "text" and a.outcome == "accepted"]
        return {
            "messages_received": len(accepted),
            "segments_received": sum(a.segments for a in accepted),
            "calls_received": sum(a.channel != "text" and a.outcome == "accepted" for a in self.arrivals),
            "copies": sum(a.copy > 1 and a.outcome == "accepted" for a in self.arrivals),
            "tallies": dict(self.tallies),
        }

    def rate_reports(self) -> list[RateReport]:
        """Judge every sender of texts. Refused requests count too: a request that arrives was sent."""
        by_sender: defaultdict[str, list[Arrival]] = defaultdict(list)
        for arrival in self.arrivals:
            if arrival.channel == "text":
                by_sender[arrival.sender].append(arrival)
        return [judge(sender, arrivals, self.rates.get(sender)) for sender, arrivals in sorted(by_sender.items())]


def judge(sender: str, arrivals: Sequence[Arrival], rate: Rate | None) -> RateReport:
    """Compare one sender's arrivals, in order of time, with its rate.

    A message's segments count as coming one after the other, 1/rate apart from its arrival on; without a rate, all
    at once.
    """
    gap = float(1 / rate.per_second) if rate else 0.0
    times = sorted(a.at_s + gap * k for a in arrivals for k in range(a.segments))
    span = times[-1] - times[0] if times else 0.0
    spans = _spans(times, rate)
    offset_ms = arrivals[0].at_ms - arrivals[0].at_s * 1000
    over = [end for end, length in spans if length < (rate.period_s if rate else 0)]
    return RateReport(
        sender=sender,
        rate=f"{rate.segments}/{rate.period_s}s" if rate else None,
        messages=len(arrivals),
        segments=len(times),
        first_ms=arrivals[0].at_ms,
        seconds=span,
        achieved_per_s=(len(times) - 1) / span if span else 0.0,
        max_in_rolling_second=busiest(times, 1.0),
        per_second=dict(sorted(Counter(int((t * 1000 + offset_ms) // 1000) for t in times).items())),
        allowed=1 + math.floor(rate.per_second * Fraction(span)) if rate else None,
        over_rate=len(over),
        tightest_s=min((length for _, length in spans), default=None),
        over_rate_at_ms=tuple(int(t * 1000 + offset_ms) for t in over[:20]),
    )


def _spans(times: Sequence[float], rate: Rate | None) -> list[tuple[float, float]]:
    """Pair each segment's time with the seconds since the segment `rate.segments` before it."""
    if not rate:
        return []
    return [(now, now - before) for before, now in zip(times, times[rate.segments :], strict=False)]


def busiest(times: Sequence[float], period_s: float) -> int:
    """Return the most entries of sorted `times` in any window that is open at one end and `period_s` long."""
    most = start = 0
    for end, now in enumerate(times):
        while now - times[start] >= period_s:
            start += 1
        most = max(most, end - start + 1)
    return most
