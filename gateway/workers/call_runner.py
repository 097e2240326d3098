"""Finds the senders that have calls queued and runs one loop for each; lets calls finish when the gateway stops."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from gateway.carriers.inbound_calls import InboundCalls
from gateway.carriers.sip_trunk import OnCall
from gateway.carriers.voice_base import Road, TrunkRoad
from gateway.carriers.voice_turns import VoiceTurns
from gateway.clock import now_ms
from gateway.errors.store import StoreUnavailable
from gateway.model.call import Call
from gateway.speech.prompts import Prompts
from gateway.store import lives
from gateway.store.calls import Plans
from gateway.store.criteria import EVERYTHING
from gateway.store.database import Database, Tx
from gateway.store.recall import make_good
from gateway.store.signals import Signals
from gateway.workers.call_answering import CallAnswering
from gateway.workers.call_desk import Desk
from gateway.workers.call_loop import CallLoop
from gateway.workers.call_watch import CallWatch
from gateway.workers.channels import Channels
from gateway.workers.counters import Counters
from gateway.workers.launch import Launches
from gateway.workers.leases import Leases, Pair
from gateway.workers.loops import kept_alive
from gateway.workers.plan import Plan
from gateway.workers.recording_fetcher import RecordingFetcher

_LOOK_EVERY_S: Final = 1.0
_GOODBYE_S: Final = 1.5  # for the far ends to agree to a BYE or CANCEL, and for the last writes
_KEPT_S: Final = 2.0  # of a stop's time, for these goodbyes and for what is closed after them …
_KEPT_SHARE: Final = 0.2  # … but no more of it than this
_log = structlog.get_logger(__name__)


class CallRunner:
    """All senders' calls on this process.

    roads:      by (mode, what a sender's `voice` says): ("live", "twilio"), ("live", "main"), ("test", "twilio") …
    turns:      who applies what carriers with webhooks say.
    shutdown_s: how long a stop may take; calls that are up may go on for most of it.
    longest_prompt_s: what one prompt of a broadcast may play.
    """

    def __init__(
        self,
        database: Database,
        signals: Signals,
        counters: Counters,
        prompts: Prompts,
        plans: Plans,
        roads: Mapping[tuple[str, str], Road],
        turns: Sequence[VoiceTurns],
        shutdown_s: float,
        leases: Leases,
        longest_prompt_s: float,
    ) -> None:
        launches = Launches(database, signals, prompts, plans, longest_prompt_s)
        channels, plan = Channels(counters), Plan[Call](signals.taken_back)
        self.desk = Desk(database, signals, counters, prompts, roads, plans, channels, leases, launches, plan)
        self._inbound = InboundCalls(database, plans)
        self._watch = CallWatch(self.desk, {(each.mode, each.carrier.name): each for each in turns})
        self._fetcher = RecordingFetcher(database, turns)
        self._shutdown_s = shutdown_s
        self._loops: dict[Pair, asyncio.Task[None]] = {}
        signals.on_recall(self.desk.plan.recall)

    async def recover(self) -> None:
        """At start: calls that live between webhooks go on. What a process that is gone held rests by `Leases`."""
        await self._watch.adopt()

    def answering(self, road: TrunkRoad, mode: str) -> OnCall:
        """Who takes the calls that come in over a trunk: for `SipTrunk.start`."""
        return CallAnswering(self.desk, self._inbound, road, mode).take

    async def run(self) -> None:
        """Dial until cancelled; then dial no more, let calls finish for a while, and end those that are left."""
        self.desk.is_closing = False
        loops = {
            "call-channels": self.desk.channels.run,
            "call-watch": self._watch.run,
            "recording-fetcher": self._fetcher.run,
        }
        beside = [asyncio.create_task(kept_alive(name, loop), name=name) for name, loop in loops.items()]
        woken = self.desk.signals.listen("calls")
        try:
            while True:
                await self._look()
                await woken.wait(_LOOK_EVERY_S)
        finally:
            await self._drain()
            running = set(beside)
            while running:  # a cancellation may be lost: see `SenderLoop.stop`
                for task in running:
                    task.cancel()
                _, running = await asyncio.wait(running, timeout=_LOOK_EVERY_S)
            await asyncio.gather(*beside, return_exceptions=True)

    async def _look(self) -> None:
        try:
            await make_good(self.desk.database, self.desk.signals, now_ms())
            rows = await self.desk.database.read(lambda tx: tx.rows("calls_senders"))
            pairs = {(row["sender"], row["mode"]) for row in rows}
            held = await self.desk.leases.acquire("calls", pairs)
        except StoreUnavailable as error:
            _log.error("cannot_look_for_calls", error=str(error))
            return
        except Exception:  # noqa: BLE001 - a fault of ours: begun anew, this would end the calls that are up
            _log.exception("look_for_calls_failed")
            return
        for pair in held.keys() - self._loops.keys():
            loop = CallLoop(*pair, self.desk, held[pair])
            task = asyncio.create_task(loop.run(), name=f"call-loop-{pair[1]}")
            self._loops[pair] = task
            task.add_done_callback(lambda _done, pair=pair: self._ended(pair))  # type: ignore[misc]
        if idle := self.desk.leases.idle("calls", {*pairs, *self._loops}):
            await self.desk.leases.release(*idle)

    def _ended(self, pair: tuple[str, str]) -> None:
        task = self._loops.pop(pair)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("call_loop_failed", mode=pair[1], error=repr(error))

    async def _drain(self) -> None:
        self.desk.is_closing = True
        for task in list(self._loops.values()):
            task.cancel()
        await asyncio.gather(*self._loops.values(), return_exceptions=True)
        await self.desk.launches.close()
        left = self.desk.plan.recall(EVERYTHING)
        with self.desk.signals.until_kept(left):
            await self.desk.database.write(lambda tx: self._put_back(tx, left))
        await self.desk.leases.release_all("calls")  # what is up goes on under this process's number
        await self._settled(self._shutdown_s - min(_KEPT_S, _KEPT_SHARE * self._shutdown_s))
        for session in list(self.desk.sessions.values()):
            session.end("gateway_stopped")
        await self._settled(_GOODBYE_S)

    async def _put_back(self, tx: Tx, ids: Sequence[str]) -> None:
        ours = await lives.may_settle(tx, "calls", ids, self.desk.signals.holders)
        await lives.put_back(tx, "calls", ours, now_ms())

    async def _settled(self, within_s: float) -> None:
        """Return when no call is under way in this process, or after so long."""
        if self.desk.tasks:
            await asyncio.wait(set(self.desk.tasks), timeout=within_s)
