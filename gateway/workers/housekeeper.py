"""What time alone brings about: holds end, messages expire, silence becomes `no_report`, jobs complete."""

import asyncio
import itertools
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.clock import now_ms
from gateway.errors import StoreUnavailable
from gateway.metrics import Metrics
from gateway.settings import Settings
from gateway.store import jobs, lives
from gateway.store.database import Database, Tx
from gateway.store.signals import Signals, Things

_EVERY_S: Final = 0.5
_COUNT_EVERY: Final = 20  # sweeps
_CHUNK: Final = 2_000  # rows a transaction, so that nobody waits long for the writer
_WEBHOOKS_KEPT_MS: Final = 7 * 86_400_000  # carriers repeat a webhook within minutes
_HOUR_MS: Final = 3_600_000
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Housekeeper:
    """One sweep every half second; each step is a short transaction of its own."""

    database: Database
    signals: Signals
    settings: Settings
    metrics: Metrics

    async def run(self) -> None:
        """Sweep until cancelled."""
        for number in itertools.count():
            try:
                await self.sweep(now_ms())
                if number % _COUNT_EVERY == 0:
                    await self._count()
            except StoreUnavailable as error:
                _log.error("sweep_failed", error=str(error))
            await asyncio.sleep(_EVERY_S)

    async def sweep(self, now: int) -> None:
        """Do all that is due at `now`."""
        things: Things
        for things in ("messages", "calls"):
            await self._release(things, now)
            await self._expire(things, now)
        silent_ms = now - int(self.settings.sms.no_report_after_h * _HOUR_MS)
        while await self.database.write(lambda tx: self._give_up_on_reports(tx, silent_ms, now)) == _CHUNK:
            pass
        if await self.database.write(lambda tx: jobs.complete_finished(tx, now)):
            self.signals.wake("events")
        await self.database.write(lambda tx: self._forget(tx, now))

    async def _release(self, things: Things, now: int) -> None:
        if await self.database.write(lambda tx: lives.release_due(tx, things, now, _CHUNK)):
            self.signals.wake(things)

    async def _expire(self, things: Things, now: int) -> None:
        while await self.database.write(lambda tx: lives.expire_due(tx, things, now, _CHUNK)) == _CHUNK:
            pass

    async def _give_up_on_reports(self, tx: Tx, before_ms: int, now: int) -> int:
        rows = await tx.rows("messages_silent", before_ms=before_ms, limit=_CHUNK)
        await lives.move(tx, "messages", [row["id"] for row in rows], "no_report", now, reason="no_report")
        return len(rows)

    async def _forget(self, tx: Tx, now: int) -> None:
        await tx.run("webhooks_forget", before_ms=now - _WEBHOOKS_KEPT_MS)
        await tx.run("idempotency_forget", before_ms=now - int(self.settings.retention.idempotency_h * _HOUR_MS))

    async def _count(self) -> None:
        for row in await self.database.read(lambda tx: tx.rows("waiting_counts")):
            self.metrics.waiting.labels(row["channel"], row["status"]).set(row["n"])
        self.metrics.callbacks_waiting.set(await self.database.read(lambda tx: tx.value("events_waiting")))
