"""Finds the senders that have texts queued and runs one loop for each; settles what the carriers answered."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Final

import structlog

from gateway.carriers.base import SmsCarrier
from gateway.clock import now_ms
from gateway.errors import StoreUnavailable
from gateway.limits.gate import Gate
from gateway.metrics import Metrics
from gateway.model.message import Message
from gateway.settings import Sms
from gateway.store import lives
from gateway.store.database import Database, Tx
from gateway.store.signals import Signals
from gateway.workers.counters import Counters
from gateway.workers.plan import Plan
from gateway.workers.sender_loop import SenderLoop
from gateway.workers.settlement import Settlement

_LOOK_EVERY_S: Final = 1.0
_DRAIN_S: Final = 15.0  # longer than a carrier may take to answer
_log = structlog.get_logger(__name__)


class SmsSender:
    """All senders' texts on this process. `carriers` by name: where live and test messages leave."""

    def __init__(
        self,
        database: Database,
        signals: Signals,
        counters: Counters,
        gate: Gate,
        carriers: Mapping[str, SmsCarrier],
        settings: Sms,
        timeout_s: float,
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._signals = signals
        self._counters = counters
        self._carriers = carriers
        self._settings = settings
        self._timeout_s = timeout_s
        self._plan = Plan[Message]()
        self._metrics = metrics
        self._settlement = Settlement(database, signals, gate, metrics)
        self._loops: dict[tuple[str, str], SenderLoop] = {}
        self._runs: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._offers: set[asyncio.Task[None]] = set()
        signals.on_recall(self._plan.recall)

    async def recover(self) -> None:
        """At start: what a killed process left `sending` may or may not be out there. It is never sent again."""

        async def rest(tx: Tx) -> int:
            await tx.run("messages_left_sending")
            rows = await tx.rows("messages_with_status", status="sending", limit=-1)
            moved = await lives.move(
                tx, "messages", [row["id"] for row in rows], "unknown", now_ms(), reason="gateway_restarted"
            )
            return len(moved)

        if found := await self._database.write(rest):
            _log.warning("unknown_after_restart", messages=found)

    async def run(self) -> None:
        """Send until cancelled, then put back what was not written and wait for the answers of what was."""
        woken = self._signals.listen("messages")
        settling = asyncio.create_task(self._settlement.run(), name="sms-settlement")
        try:
            while True:
                await self._look()
                await woken.wait(_LOOK_EVERY_S)
        finally:
            await self._drain()
            await self._settlement.finish()
            settling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await settling

    async def _look(self) -> None:
        try:
            pairs = await self._database.read(lambda tx: tx.rows("messages_senders"))
        except StoreUnavailable as error:
            _log.error("cannot_look_for_messages", error=str(error))
            return
        for row in pairs:
            pair = (row["sender"], row["mode"])
            if pair not in self._runs:
                loop = self._loops.setdefault(pair, self._loop(*pair))
                task = asyncio.create_task(loop.run(), name=f"sms-sender-{row['mode']}")
                self._runs[pair] = task
                task.add_done_callback(lambda _done, pair=pair: self._ended(pair))  # type: ignore[misc]

    def _loop(self, number: str, mode: str) -> SenderLoop:
        return SenderLoop(
            number=number,
            mode=mode,
            database=self._database,
            signals=self._signals,
            counters=self._counters,
            carriers=self._carriers,
            plan=self._plan,
            settlement=self._settlement,
            offers=self._offers,
            settings=self._settings,
            timeout_s=self._timeout_s,
            metrics=self._metrics,
        )

    def _ended(self, pair: tuple[str, str]) -> None:
        task = self._runs.pop(pair)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("sender_loop_failed", mode=pair[1], error=repr(error))

    async def _drain(self) -> None:
        for task in list(self._runs.values()):
            task.cancel()
        await asyncio.gather(*self._runs.values(), return_exceptions=True)
        left = self._plan.recall(lambda _thing: True)
        await self._database.write(lambda tx: lives.put_back(tx, "messages", left, now_ms()))
        if self._offers:
            await asyncio.wait(self._offers, timeout=_DRAIN_S)
