"""Takes delivery reports of one carrier as they come in, and writes many in one go: each is answered once on disk."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.carriers import reports
from gateway.carriers.base import Report
from gateway.carriers.reports import Effect
from gateway.clock import now_ms
from gateway.errors.store import StoreUnavailable
from gateway.store import lives
from gateway.store.database import Database, Tx

_MOST: Final = 500  # a commit


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    report: Report
    token: str
    done: asyncio.Future[Effect]


class ReportDesk:
    """Of one carrier account. What comes while a commit is under way shares the next."""

    def __init__(self, database: Database, carrier: str, mode: str) -> None:
        self._database = database
        self._carrier = carrier
        self._mode = mode
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def take(self, report: Report, token: str) -> Effect:
        """Apply a report, once for each `token`; returns what it did when that is on disk. Raises StoreUnavailable."""
        done: asyncio.Future[Effect] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(report, token, done))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all(), name=f"reports-{self._carrier}")
        return await done

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            await self._write(batch)

    async def _write(self, batch: Sequence[_Waiting]) -> None:
        """All together; where that fails for a reason of its own, one by one."""
        told = [(each.report, each.token) for each in batch]
        try:
            effects = await self._database.write(lambda tx: apply_new(tx, self._carrier, self._mode, told, now_ms()))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever told of it
            if len(batch) == 1 or isinstance(error, StoreUnavailable):
                for each in batch:
                    if not each.done.done():
                        each.done.set_exception(error)
                return
            for each in batch:
                await self._write([each])
            return
        for each, effect in zip(batch, effects, strict=True):
            if not each.done.done():
                each.done.set_result(effect)


async def apply_new(tx: Tx, carrier: str, mode: str, told: Sequence[tuple[Report, str]], now_ms: int) -> list[Effect]:
    """Apply reports in order, save those whose token was here before. Returns what each did."""
    known = await tx.rows("webhooks_known", carrier=carrier, tokens=sorted({token for _, token in told}))
    seen = {row["token"] for row in known}
    effects: list[Effect] = ["nothing"] * len(told)
    fresh: list[int] = []
    for index, (_, token) in enumerate(told):
        if token not in seen:
            seen.add(token)
            fresh.append(index)
    noted = [{"carrier": carrier, "token": told[index][1], "answer": "", "at_ms": now_ms} for index in fresh]
    await tx.many("webhooks_insert", noted)
    moved = await _move_plain(tx, mode, [told[index][0] for index in fresh], now_ms)
    for index in fresh:
        report = told[index][0]
        if report.carrier_id in moved:
            moved.remove(report.carrier_id)  # it was the first of its message; the next is looked at by itself
            effects[index] = "moved"
        else:
            effects[index] = await reports.apply(tx, carrier, mode, report, now_ms)
    return effects


async def _move_plain(tx: Tx, mode: str, fresh: Sequence[Report], now_ms: int) -> set[str]:
    """Move together what needs nothing else: the first report of a message that has the carrier's id and was written.

    Returns the carrier's ids of those that moved; all other reports are for `reports.apply`, in order.
    """
    first: dict[str, Report] = {}
    for report in fresh:
        first.setdefault(report.carrier_id, report)
    rows = await tx.rows("messages_by_carrier_ids", carrier_ids=sorted(first))
    ends: defaultdict[tuple[str, str, str], dict[str, str]] = defaultdict(dict)
    for row in rows:
        report = first[row["carrier_id"]]
        if row["mode"] == mode and row["sent_ms"] is not None and report.status:
            ends[report.status, report.reason, report.error_code][row["id"]] = report.carrier_id
    await reports.left_queue(tx, [row for row in rows if first[row["carrier_id"]].has_left], now_ms)
    moved: set[str] = set()
    for (status, reason, code), ids in ends.items():
        here = await lives.move(tx, "messages", ids, status, now_ms, reason=reason, error_code=code)
        moved.update(ids[message_id] for message_id in here)
    return moved
