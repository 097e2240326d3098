"""Writes what the carriers answered: many outcomes a commit, each with its event."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from gateway import steps
from gateway.carriers import reports
from gateway.clock import now_ms
from gateway.errors import RedisAway, StoreUnavailable
from gateway.limits.gate import Gate
from gateway.metrics import Metrics
from gateway.model.limit import Debit
from gateway.model.message import Message
from gateway.model.outcome import Accepted, NotSent, Outcome, Refused, Throttled, Unknown
from gateway.store import lives, usage
from gateway.store.database import Database, Tx
from gateway.store.signals import Signals

_BATCH: Final = 500
_AGAIN_S: Final = 0.5
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one offer. `written_ms` is None when no byte left; debits and epoch are its grant's."""

    message: Message
    carrier: str
    outcome: Outcome
    written_ms: int | None
    debits: tuple[Debit, ...]
    epoch: int
    seq: int


_WORDS: Final[dict[type, str]] = {
    Accepted: "accepted",
    Refused: "refused",
    Throttled: "throttled",
    NotSent: "not_sent",
    Unknown: "unknown",
}


def _end_of(outcome: Outcome) -> tuple[str, str, str]:
    """The state, our reason and the carrier's code that an outcome leads to."""
    match outcome:
        case Accepted():
            return "sent", "", ""
        case Refused(code, reason, final):
            return final, reason, code
        case Throttled(code):
            return "queued", "carrier_throttled", code
        case NotSent(reason):
            return "queued", f"not_sent_{reason}", ""
        case Unknown(reason):
            return "unknown", reason, ""


class Settlement:
    """A queue of results, drained in batches. Nothing in it is lost: it goes on until the database takes it."""

    def __init__(self, database: Database, signals: Signals, gate: Gate, metrics: Metrics) -> None:
        self._database = database
        self._metrics = metrics
        self._signals = signals
        self._gate = gate
        self._results: asyncio.Queue[Result] = asyncio.Queue()

    def put(self, result: Result) -> None:
        """Hand in one result."""
        outcome = _WORDS[type(result.outcome)]
        self._metrics.sends.labels(result.carrier, outcome).inc()
        self._results.put_nowait(result)

    async def finish(self) -> None:
        """Return when everything handed in is on disk."""
        await self._results.join()

    async def run(self) -> None:
        """Settle until cancelled."""
        while True:
            batch = [await self._results.get()]
            while len(batch) < _BATCH and not self._results.empty():
                batch.append(self._results.get_nowait())
            await self._settle(batch)
            for _ in batch:
                self._results.task_done()

    async def _settle(self, batch: Sequence[Result]) -> None:
        steps.reached("settle:before")
        while True:
            try:
                await self._database.write(lambda tx: self._write(tx, batch))
                break
            except StoreUnavailable as error:
                _log.error("cannot_settle", results=len(batch), error=str(error))
                await asyncio.sleep(_AGAIN_S)
        steps.reached("settle:after")
        self._signals.wake("events")
        if any(isinstance(result.outcome, Throttled | NotSent) for result in batch):
            self._signals.wake("messages")
        await self._give_back(batch)

    async def _write(self, tx: Tx, batch: Sequence[Result]) -> None:
        written = [result for result in batch if result.written_ms is not None]
        await tx.many("messages_offered", [{"id": each.message.id, "sent_ms": each.written_ms} for each in written])
        taken = [
            {"id": each.message.id, "carrier": each.carrier, "carrier_id": each.outcome.carrier_id}
            for each in batch
            if isinstance(each.outcome, Accepted)
        ]
        await tx.many("messages_taken", taken)
        ends: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
        for result in batch:
            ends[_end_of(result.outcome)].append(result.message.id)
        for (status, reason, code), ids in ends.items():
            if status == "queued":
                await lives.put_back(tx, "messages", ids, now_ms(), reason=reason, error_code=code)
            else:
                await lives.move(tx, "messages", ids, status, now_ms(), reason=reason, error_code=code)
        for carrier in {each["carrier"] for each in taken}:
            ids = [each["carrier_id"] for each in taken if each["carrier"] == carrier]
            await reports.take_early(tx, carrier, ids, now_ms())
        for result in _uncounted(batch):
            await usage.add(tx, result.debits, result.seq, sign=-1)

    async def _give_back(self, batch: Sequence[Result]) -> None:
        for result in _uncounted(batch):
            if result.debits:
                try:
                    await self._gate.give_back(result.debits, result.epoch)
                except RedisAway as error:
                    _log.warning("not_given_back", error=str(error))  # the cap stays spent: never too many


def _uncounted(batch: Sequence[Result]) -> list[Result]:
    """Offers that the carrier is known not to count: it never saw them, or turned them away unprocessed."""
    return [result for result in batch if isinstance(result.outcome, Throttled | NotSent)]
