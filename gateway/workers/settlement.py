"""Writes what the carriers answered: many outcomes a commit, each with its event."""

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import structlog

from gateway import steps
from gateway.carriers import reports
from gateway.clock import now_ms
from gateway.errors.limits import RedisAway
from gateway.errors.store import StoreUnavailable
from gateway.limits.gate import Gate
from gateway.metrics import Metrics
from gateway.model.limit import Debit
from gateway.model.message import Message
from gateway.model.opt_out import OptOut
from gateway.model.outcome import Accepted, NotSent, Outcome, Refused, Throttled, Unknown
from gateway.store import lives, opt_outs, usage
from gateway.store.database import Database, Tx
from gateway.store.signals import Signals

_BATCH: Final = 500
_AGAIN_S: Final = 0.5
_FINISH_S: Final = 20.0
_CAPS: Final = ("cap_day", "cap_week", "cap_month", "cap_rolling")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one offer. `written_ms` is None when no byte left; debits and epoch are its grant's.

    holder: who committed it; what another process committed since is not this result's to queue again.
    """

    message: Message
    carrier: str
    outcome: Outcome
    written_ms: int | None
    debits: tuple[Debit, ...]
    epoch: int
    seq: int
    holder: int


Back: TypeAlias = tuple[Result, Sequence[Debit]]  # what of its debits comes back
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
        self._results: asyncio.Queue[Result | asyncio.Event] = asyncio.Queue()  # an event: all before it is on disk

    def put(self, result: Result) -> None:
        """Hand in one result."""
        outcome = _WORDS[type(result.outcome)]
        self._metrics.sends.labels(result.carrier, outcome).inc()
        self._results.put_nowait(result)

    async def finish(self, within_s: float = _FINISH_S) -> bool:
        """Return when everything handed in so far is on disk, or after so long: False, and it rests `unknown` later."""
        reached = asyncio.Event()
        self._results.put_nowait(reached)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await reached.wait()
        if not reached.is_set():
            _log.error("not_settled", results=self._results.qsize())
        return reached.is_set()

    async def run(self) -> None:
        """Settle until cancelled. What cannot be settled keeps nobody else's result waiting."""
        while True:
            batch = [await self._results.get()]
            while len(batch) < _BATCH and not self._results.empty():
                batch.append(self._results.get_nowait())
            await self._settle_somehow([each for each in batch if isinstance(each, Result)])
            for each in batch:
                if isinstance(each, asyncio.Event):
                    each.set()

    async def _settle_somehow(self, batch: Sequence[Result]) -> None:
        """All together; where that fails for a reason of its own, one by one."""
        try:
            if batch:
                await self._settle(batch)
        except Exception as error:  # noqa: BLE001 - a bug with one result must not keep the others in memory
            _log.exception("settlement_failed", results=len(batch), error=repr(error))
            for each in batch if len(batch) > 1 else ():
                await self._settle_somehow([each])

    async def _settle(self, batch: Sequence[Result]) -> None:
        steps.reached("settle:before")
        while True:
            try:
                back = await self._database.write(lambda tx: self._write(tx, batch))
                break
            except StoreUnavailable as error:
                _log.error("cannot_settle", results=len(batch), error=str(error))
                await asyncio.sleep(_AGAIN_S)
        steps.reached("settle:after")
        self._signals.wake("events")
        await self._give_back(back)
        if back or any(isinstance(result.outcome, Throttled | NotSent) for result in batch):
            self._signals.wake("messages")

    async def _write(self, tx: Tx, batch: Sequence[Result]) -> list[Back]:
        """Write what became of them. Returns what the carrier is known not to count: these caps come back."""
        taken: list[dict[str, Any]] = []
        offered: list[dict[str, Any]] = []
        for each in batch:
            row = {"id": each.message.id, "sent_ms": each.written_ms}
            if isinstance(each.outcome, Accepted):
                taken.append({**row, "carrier": each.carrier, "carrier_id": each.outcome.carrier_id})
            elif each.written_ms is not None:
                offered.append(row)
        await tx.many("messages_offered", offered)
        await tx.many("messages_accepted", taken)
        again = await self._queue_again(tx, batch)
        ends: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
        for result in batch:
            ends[_end_of(result.outcome)].append(result.message.id)
        for (status, reason, code), ids in ends.items():
            if status != "queued":
                await lives.move(tx, "messages", ids, status, now_ms(), reason=reason, error_code=code)
        await _believe(tx, batch)
        for carrier in {each["carrier"] for each in taken}:
            ids = [each["carrier_id"] for each in taken if each["carrier"] == carrier]
            await reports.take_early(tx, carrier, ids, now_ms())
        back: list[Back] = [(each, each.debits) for each in again if _comes_back(each.outcome)]
        back += [(each, _of_accepted(each)) for each in batch if isinstance(each.outcome, Refused)]
        back = [(result, debits) for result, debits in back if debits]
        for result, debits in back:
            await usage.add(tx, debits, result.seq, sign=-1)
        return back

    async def _queue_again(self, tx: Tx, batch: Sequence[Result]) -> list[Result]:
        """Queue what never left, also from `unknown` where a next holder called it that: only we know better.

        What another process has committed since is none of ours. Returns those that were still ours.
        """
        groups: defaultdict[tuple[str, str, int], list[Result]] = defaultdict(list)
        for result in batch:
            status, reason, code = _end_of(result.outcome)
            if status == "queued":
                groups[reason, code, result.holder].append(result)
        again: list[Result] = []
        for (reason, code, holder), results in groups.items():
            ids = await lives.of_holder(tx, "messages", [each.message.id for each in results], holder)
            await lives.put_back(tx, "messages", sorted(ids), now_ms(), reason=reason, error_code=code)
            again += [each for each in results if each.message.id in ids]
        return again

    async def _give_back(self, back: Sequence[Back]) -> None:
        """Others may have the room of what was refused: as many as it was go on, of those that a cap holds."""
        try:
            for result, debits in back:
                await self._gate.give_back(debits, result.epoch)
            if refused := Counter(each.message.sender for each, _ in back if isinstance(each.outcome, Refused)):
                await self._database.write(lambda tx: _let_on(tx, refused))
        except (RedisAway, StoreUnavailable) as error:
            _log.warning("not_given_back", error=str(error))  # the cap stays spent: never too many


def _comes_back(outcome: Outcome) -> bool:
    """Whether its caps do: the carrier never saw it. A slot that we let pass, or whose lease we lost, stays spent."""
    return isinstance(outcome, Throttled) or outcome not in {NotSent("late"), NotSent("lease_lost")}


def _of_accepted(result: Result) -> list[Debit]:
    """What a refused text took of limits that count only what the carrier accepts."""
    return [debit for debit in result.debits if debit.is_of_accepted]


async def _believe(tx: Tx, batch: Sequence[Result]) -> None:
    """A carrier that refuses a text because of an opt-out knows of one that we missed: it is ours from now on, too.

    Nobody is told that nothing leaves any more: what is committed already is refused like this one.
    """
    for result in batch:
        match result.outcome:
            case Refused(code, reason="opted_out_at_carrier"):
                text = result.message
                whose = (text.tenant_id, text.mode, text.recipient, text.sender)
                said = OptOut(*whose, "carrier", f"the carrier refused a text: {code}", now_ms())
                await opt_outs.stop(tx, said, callback_url=text.callback_url)


async def _let_on(tx: Tx, refused: Mapping[str, int]) -> None:
    for sender, count in refused.items():
        await lives.release_held(tx, "messages", sender, _CAPS, now_ms(), count)
