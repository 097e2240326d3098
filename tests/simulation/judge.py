"""What must hold after any history: the promises, read off three ledgers (acknowledged, database, carrier)."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.limits.windows import bounds
from gateway.model.limit import Cap, Limit, Throughput
from gateway.model.states import MESSAGE_FINALS, MESSAGE_MOVES
from gateway.sms.pipeline import ALLOWED_AFTER_STOP
from tests.simulation.wire import Copy

EVERYBODY = ""  # in place of a sender: what all of them share
_ROUNDING_US = 3  # of a clock in seconds, as a float


@dataclass(slots=True)
class Span:
    """While this lasts nothing that `covers` describes may be written. `until_us` None: to the end."""

    what: str
    of: str
    begins_us: int
    until_us: int | None = None

    def holds(self, at_us: int) -> bool:
        """Whether it lasts at this instant."""
        return self.begins_us <= at_us and (self.until_us is None or at_us < self.until_us)


@dataclass(slots=True)
class Record:
    """What was acknowledged, and when it was asked to be undone. Instants are true time, us."""

    accepted: set[str] = field(default_factory=set)
    stops: list[Span] = field(default_factory=list)  # of: "person scope"
    jobs: list[Span] = field(default_factory=list)  # of: job id
    complaints: list[str] = field(default_factory=list)  # what was seen to be wrong while it ran


@dataclass(frozen=True, slots=True)
class Ledgers:
    """The three, at the end."""

    record: Record
    rows: Mapping[str, Mapping[str, Any]]
    events: Sequence[tuple[str, str]]  # (subject, state), in order
    usage: Mapping[tuple[str, int], int]
    copies: Sequence[Copy]
    limits: Mapping[str, Sequence[Limit]]  # by sender
    debited: Mapping[tuple[str, int], int] | None  # Redis's counters, while they are in step
    counted: Mapping[str, int] = field(default_factory=dict)  # since when, of caps something was asked for under
    before: int = 0  # segments of all senders that had left when what they share came

    def faults(self) -> Iterator[str]:
        """Everything that is wrong, in words."""
        yield from self.record.complaints
        yield from self._lost()
        yield from self._twice()
        yield from self._caps()
        yield from self._rates()
        yield from self._stopped()
        yield from self._walks()

    def _lost(self) -> Iterator[str]:
        """P1: what was accepted has ended, or rests where it may, with its reason."""
        for each in sorted(self.record.accepted - self.rows.keys()):
            yield f"P1 lost: {each} was accepted and is not in the database"
        for each, row in self.rows.items():
            status, reason = row["status"], row["reason"]
            if status in {"queued", "sending"}:
                yield f"P1 stuck: {each} is {status} ({reason}) at the end"
            elif status in {"held", "unknown"} and not reason:
                yield f"P6: {each} is {status} without a reason"
            elif status not in MESSAGE_FINALS | {"held", "unknown", "sent"}:
                yield f"P1: {each} is {status}"

    def _twice(self) -> Iterator[str]:
        """P2: one copy at most, or flagged; and none of what is said never to have left."""
        counted = Counter(copy.message.id for copy in self.copies if copy.counted)
        for each, times in counted.items():
            if times > 1 + self._copies(each):
                yield f"P2 twice: {each} left {times} times, with {self._copies(each)} copies flagged"
        for each in sorted({copy.message.id for copy in self.copies if copy.has}):
            row = self.rows.get(each, {"status": "not there", "copies": 0})
            status = row["status"]
            if row["copies"] == 0 and status in {"cancelled", "suppressed", "expired", "held", "queued", "not there"}:
                yield f"P2: {each} left, and is {status}"

    def _copies(self, message_id: str) -> int:
        return int(self.rows[message_id]["copies"]) if message_id in self.rows else 0

    def _caps(self) -> Iterator[str]:
        """P3: no window above its cap, and every unit that left is in its row."""
        for sender, limits in self.limits.items():
            for cap in (limit for limit in limits if isinstance(limit, Cap)):
                left: Counter[int] = Counter()
                for copy in self.copies:
                    if copy.counted and sender in {EVERYBODY, copy.message.sender}:
                        left[bounds(cap, copy.at_us).start_us] += copy.message.segments
                for start, units in left.items():
                    row = self.usage.get((cap.key, start), 0)
                    if units > (max(cap.limit, self.before) if sender == EVERYBODY else cap.limit):
                        yield f"P3: {units} left in a window of {cap.key} ({cap.limit})"
                    since_us = self.counted.get(cap.key)
                    older = sender == EVERYBODY and (since_us is None or bounds(cap, start).end_us <= since_us)
                    if units > row and not older:
                        yield f"P3 uncharged: {units} left in a window of {cap.key}, its row says {row}"
                    debited = row if self.debited is None else self.debited.get((cap.key, start), 0)
                    if debited < row and since_us is not None:
                        yield f"P3 forgotten: Redis has {debited} of {cap.key}, the row {row}"

    def _rates(self) -> Iterator[str]:
        """P4: segment k never within a period of segment k-N, numbered as segments leave: as `gateway audit` judges.

        Not as their texts do: another process's text may begin before the last segment of the one before it leaves.
        """
        for sender, limits in self.limits.items():
            for rate in (limit for limit in limits if isinstance(limit, Throughput)):
                left: list[int] = []
                for copy in self.copies:
                    if sender in {EVERYBODY, copy.message.sender}:
                        units = copy.message.segments if rate.unit == "segment" else 1
                        left += [copy.at_us + -(-k * rate.period_us // rate.n) for k in range(units)]
                left.sort()
                for earlier, later in zip(left, left[rate.n :], strict=False):
                    if later - earlier < rate.period_us - _ROUNDING_US:
                        yield f"P4: {rate.n + 1} of {sender} in {later - earlier} us of {rate.period_us}, at {later}"
                        break

    def _stopped(self) -> Iterator[str]:
        """P5, and a paused or cancelled job: nothing written once that was acknowledged."""
        stops: defaultdict[str, list[Span]] = defaultdict(list)
        for span in (*self.record.stops, *self.record.jobs):
            stops[span.of].append(span)
        for copy in self.copies:
            message = copy.message
            of = [message.job_id or ""]
            if message.kind not in ALLOWED_AFTER_STOP:
                of += [f"{message.recipient} tenant", f"{message.recipient} {message.sender}"]
            for span in (span for each in of for span in stops[each]):
                if span.holds(copy.at_us):
                    yield f"P5: {message.id} was written after {span.what} of {span.of}"

    def _walks(self) -> Iterator[str]:
        """Events tell a legal walk, which ends where the row is; a final state is never left. A hold may be for another reason."""
        at = {each: row["began"] for each, row in self.rows.items()}
        for subject, state in self.events:
            if subject not in at:
                continue
            if state not in MESSAGE_MOVES[at[subject]] and (at[subject], state) != ("held", "held"):
                yield f"P7: {subject} went from {at[subject]} to {state}"
            at[subject] = state
        yield from (
            f"P7: {each} is {row['status']}, its events say {at[each]}"
            for each, row in self.rows.items()
            if at[each] != row["status"]
        )
