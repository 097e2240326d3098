"""What time alone brings about: holds end, messages expire, silence becomes `no_report`, jobs complete."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import structlog

from gateway.clock import now_ms
from gateway.errors.store import StoreUnavailable
from gateway.metrics import Metrics
from gateway.settings import Settings
from gateway.store import abandonment, jobs, lives, loads, recordings, retention, usage
from gateway.store.database import Database, Tx
from gateway.store.signals import Signals, Things

_EVERY_S: Final = 0.5
_COUNT_EVERY: Final = 10  # sweeps
_COUNTED: Final = {"message": "messages", "call": "calls"}  # the metric of each kind of event
_ROUNDS: Final = 20
_CHUNK: Final = 1_000  # rows a transaction, so that nobody waits long for the writer
_BLOCKS: Final = 20  # of an upload a sweep
_WEBHOOKS_KEPT_MS: Final = 7 * 86_400_000  # carriers repeat a webhook within minutes
_HOUR_MS: Final = 3_600_000
T = TypeVar("T")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Housekeeper:
    """One sweep every half second: a look, then for what is due a short transaction each. Most find nothing."""

    database: Database
    signals: Signals
    settings: Settings
    metrics: Metrics

    async def run(self) -> None:
        """Sweep until cancelled."""
        seen = int(await self.database.read(lambda tx: tx.value("events_newest")))
        for number in itertools.count(1):
            try:
                await self.sweep()
                if number % _COUNT_EVERY == 0:
                    seen = await self.count(seen)
                    heard = await self.database.read(partial(abandonment.of_all, now_ms=now_ms()))
                    self.metrics.abandoned_share.set(heard.share)
                    while await self._write(self._forget) == _CHUNK:
                        pass
                    await self.forget_history()
            except StoreUnavailable as error:
                _log.error("sweep_failed", error=str(error))
            await asyncio.sleep(_EVERY_S)

    async def sweep(self) -> None:
        """Do all that is due. Each step reads the clock when the writer comes to it, not when it was asked for."""
        things: Things
        due = await self.database.read(self._due)
        for things in ("messages", "calls"):
            if f"{things}_ids_due" in due:
                await self._release(things)
            expire = partial(lives.expire_due, things=things, limit=_CHUNK)
            while f"{things}_ids_expired" in due and await self._write(expire) == _CHUNK:
                pass
        while "messages_silent" in due and await self._write(self._give_up_on_reports) == _CHUNK:
            pass
        await self._go_on_with_large_jobs()
        if await self.database.read(jobs.finished):
            await self._write(jobs.complete_finished)
            self.signals.wake("events")
        await self._guard_abandonment()

    async def _due(self, tx: Tx) -> set[str]:
        """Which of these queries find anything: no writer waits for a sweep that has nothing to do."""
        names = [f"{things}_ids_{what}" for things in ("messages", "calls") for what in ("due", "expired")]
        found = {name for name in names if await tx.rows(name, now_ms=now_ms(), limit=1)}
        silent = await tx.rows("messages_silent", before_ms=now_ms() - self._report_within_ms, limit=1)
        return found | {"messages_silent"} if silent else found

    @property
    def _report_within_ms(self) -> int:
        return int(self.settings.sms.no_report_after_h * _HOUR_MS)

    async def _release(self, things: Things) -> None:
        for _ in range(_ROUNDS):  # a cap's window that opens frees all at once: others' sweeps come in between
            if not await self._write(partial(lives.release_due, things=things, limit=_CHUNK)):
                break
            self.signals.wake(things)

    async def _guard_abandonment(self) -> None:
        """Pause telemarketing jobs too many of whose people heard the message late."""
        most = self.settings.abandonment
        look = partial(abandonment.above, share=most.share, least=most.least_answered, now_ms=now_ms())
        for job, heard in await self.database.read(look):
            figures: dict[str, object] = {"answered": heard.answered, "abandoned": heard.abandoned}
            _log.warning("job_paused", reason="abandonment", job_id=job.id, **figures)
            await jobs.change_with_recall(
                self.database, self.signals, job, "paused", now_ms(), reason="abandonment", data=figures
            )
            await jobs.settle(self.database, job.id)
            self.signals.wake("events")

    async def _go_on_with_large_jobs(self) -> None:
        """What a killed process, or a request that ran out of time, has left."""
        whole, given_up = await self.database.read(loads.left)
        for load_id in whole:
            await loads.fill(self.database, load_id, _BLOCKS)
        for load_id in given_up:
            await loads.drop(self.database, load_id)
        for job_id in await self.database.read(jobs.unsettled):
            await jobs.settle(self.database, job_id)

    async def _write(self, step: Callable[..., Awaitable[T]]) -> T:
        return await self.database.write(lambda tx: step(tx, now_ms=now_ms()))

    async def _give_up_on_reports(self, tx: Tx, now_ms: int) -> int:
        rows = await tx.rows("messages_silent", before_ms=now_ms - self._report_within_ms, limit=_CHUNK)
        await lives.move(tx, "messages", [row["id"] for row in rows], "no_report", now_ms, reason="no_report")
        return len(rows)

    async def _forget(self, tx: Tx, now_ms: int) -> int:
        await tx.run("webhooks_forget", before_ms=now_ms - _WEBHOOKS_KEPT_MS)
        await tx.run("idempotency_forget", before_ms=now_ms - int(self.settings.retention.idempotency_h * _HOUR_MS))
        return await usage.forget(tx, now_ms, _CHUNK)

    async def forget_history(self) -> None:
        """Forget some of what is over for longer than it is to be kept."""
        if days := self.settings.retention.history_days:
            await retention.forget(self.database, now_ms() - int(days * 24 * _HOUR_MS), _CHUNK)
        if days := self.settings.retention.recordings_days:
            before_ms = now_ms() - int(days * 24 * _HOUR_MS)
            if await self.database.read(lambda tx: recordings.over(tx, before_ms, 1)):
                await self.database.write(lambda tx: recordings.forget(tx, before_ms, _CHUNK))

    async def count(self, after: int) -> int:
        """Count the states that messages and calls entered since the event `after`; returns the newest event."""
        newest = int(await self.database.read(lambda tx: tx.value("events_newest")))
        for row in await self.database.read(lambda tx: tx.rows("events_by_type", after=after, newest=newest)):
            things, _, state = row["type"].partition(".")
            if things in _COUNTED:
                getattr(self.metrics, _COUNTED[things]).labels(state).inc(row["n"])
        return newest
