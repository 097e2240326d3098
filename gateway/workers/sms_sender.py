"""Finds the senders that have texts queued, takes their leases and runs one loop for each."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from typing import Final

import structlog

from gateway.carriers.base import SmsCarrier
from gateway.clock import now_ms
from gateway.errors.limits import RedisAway
from gateway.errors.store import StoreUnavailable
from gateway.limits.gate import Gate
from gateway.metrics import Metrics
from gateway.model.message import Message
from gateway.settings import Sms
from gateway.store.database import Database
from gateway.store.recall import make_good
from gateway.store.signals import Signals
from gateway.workers.counters import Counters
from gateway.workers.leases import Leases, Pair
from gateway.workers.plan import Plan
from gateway.workers.sender_loop import SenderLoop
from gateway.workers.settlement import Settlement
from gateway.workers.text_desk import TextDesk

_LOOK_EVERY_S: Final = 1.0
_DRAIN_S: Final = 15.0  # longer than a carrier may take to answer
_log = structlog.get_logger(__name__)


class SmsSender:
    """The texts of all senders whose leases this process has. `carriers` by name: where they leave."""

    def __init__(
        self,
        database: Database,
        signals: Signals,
        counters: Counters,
        gate: Gate,
        leases: Leases,
        carriers: Mapping[str, SmsCarrier],
        settings: Sms,
        timeout_s: float,
        metrics: Metrics,
    ) -> None:
        settlement = Settlement(database, signals, gate, metrics)
        plan = Plan[Message](signals.taken_back)
        self.desk = TextDesk(
            database, signals, counters, gate, leases, carriers, settlement, settings, timeout_s, metrics, plan
        )
        self.loops: dict[Pair, SenderLoop] = {}
        self._runs: dict[Pair, asyncio.Task[None]] = {}
        self._leaving: dict[Pair, asyncio.Task[None]] = {}  # whose leases are being given back
        signals.on_recall(self.desk.plan.recall)

    async def run(self) -> None:
        """Send until cancelled, then put back what was not written and wait for the answers of what was."""
        woken = self.desk.signals.listen("messages")
        settling = asyncio.create_task(self.desk.settlement.run(), name="sms-settlement")
        try:
            while True:
                try:
                    await self._look()
                except StoreUnavailable as error:
                    _log.error("cannot_look_for_messages", error=str(error))
                await woken.wait(_LOOK_EVERY_S)
        finally:
            try:
                await self._give_back(list(self.loops))
                await asyncio.gather(*self._leaving.values(), return_exceptions=True)
            finally:
                settling.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await settling

    async def _look(self) -> None:
        await make_good(self.desk.database, self.desk.signals, now_ms())
        rows = await self.desk.database.read(lambda tx: tx.rows("messages_senders"))
        pairs = {(row["sender"], row["mode"]) for row in rows}
        held = await self.desk.leases.acquire("messages", pairs)
        for pair, lease in held.items():
            loop = self.loops.get(pair)
            if pair in self._runs or pair in self._leaving:
                continue
            if loop is None or loop.lease is not lease:
                loop = self.loops[pair] = SenderLoop(self.desk, lease)
            task = asyncio.create_task(loop.run(), name=f"sms-sender-{pair[1]}")
            self._runs[pair] = task
            task.add_done_callback(lambda _done, pair=pair: self._ended(pair))  # type: ignore[misc]
        await self._tidy(pairs)
        if surplus := self.desk.leases.surplus("messages", held):
            self._hand_over((surplus[0].sender, surplus[0].mode))

    def _ended(self, pair: Pair) -> None:
        task = self._runs.pop(pair)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("sender_loop_failed", mode=pair[1], error=repr(error))

    async def _tidy(self, pairs: Iterable[Pair]) -> None:
        """Forget loops whose leases are lost; give back leases that nobody needs, so that others may have them."""
        lost = [pair for pair, loop in self.loops.items() if self.desk.leases.is_lost(loop.lease)]
        for pair in lost:
            if pair not in self._runs:
                del self.loops[pair]
        at_work = {pair for pair, loop in self.loops.items() if loop.dispatch.offers}
        if idle := self.desk.leases.idle("messages", {*pairs, *self._runs, *at_work}):
            for lease in idle:
                self._hand_over((lease.sender, lease.mode))

    def _hand_over(self, pair: Pair) -> None:
        """Give one sender's lease back, beside everything else: its carrier may take long to answer."""
        if pair in self.loops and pair not in self._leaving:
            task = asyncio.create_task(self._give_back([pair]), name="sms-hand-over")
            self._leaving[pair] = task
            task.add_done_callback(lambda _done: self._left(pair))

    def _left(self, pair: Pair) -> None:
        task = self._leaving.pop(pair)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("not_handed_over", mode=pair[1], error=repr(error))

    async def _give_back(self, pairs: Iterable[Pair]) -> None:
        """Stop these, take back what was not written, wait for the answers of what was, then give the leases back."""
        loops = {pair: self.loops.pop(pair) for pair in pairs if pair in self.loops}
        runs = {pair: task for pair in loops if (task := self._runs.get(pair)) is not None}
        for pair, task in runs.items():
            loops[pair].stop(task)
        await asyncio.gather(*runs.values(), return_exceptions=True)
        left = await asyncio.gather(*(loop.put_back() for loop in loops.values()), return_exceptions=True)
        offers = {offer for loop in loops.values() for offer in loop.dispatch.offers}
        if offers:
            _, offers = await asyncio.wait(offers, timeout=_DRAIN_S)
        settled = await self.desk.settlement.finish()
        for error in filter(None, left):  # the answers of the others are on disk all the same
            raise error
        if offers or not settled:
            return  # what is still under way rests `unknown` when this process is gone
        with contextlib.suppress(RedisAway):  # the next owner waits for what it is not told
            await self.desk.gate.tell()
        await self.desk.leases.release(*(loop.lease for loop in loops.values()))
