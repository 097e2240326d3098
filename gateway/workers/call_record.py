"""Writes what happens in one call, in order, without the call having to wait for the disk."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.clock import now_ms
from gateway.errors.store import StoreUnavailable
from gateway.model.call import Call
from gateway.model.limit import Debit
from gateway.store import call_stops, call_texts, calls, lives, recordings, usage
from gateway.store.calls import Prompt
from gateway.store.database import Database, Tx
from gateway.store.signals import Signals
from gateway.voice.dialplan import Scope
from gateway.voice.state import State

_AGAIN_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Spent:
    """What one offer took of the caps (a person's attempts, say): `debits` of the grant `seq` in the epoch `epoch`."""

    debits: tuple[Debit, ...]
    seq: int
    epoch: int


_log = structlog.get_logger(__name__)


class CallRecord:
    """One call's row. Nothing noted is lost: each write goes on until the database takes it; `finish` waits for all.

    What cannot be written for a fault of ours is logged, and the call ends all the same.

    spent:     what comes back where the call is queued again: the carrier does not have it.
    came_back: whether that is so in the database, and Redis is to be told.
    """

    def __init__(self, call: Call, database: Database, signals: Signals, spent: Spent | None = None) -> None:
        self._call = call
        self._spent = spent
        self.came_back = False
        self._database = database
        self._signals = signals
        self._works: asyncio.Queue[Callable[[], Awaitable[object]]] = asyncio.Queue()
        self._has_lost = False
        self._task = asyncio.create_task(self._drain(), name="call-record")

    @property
    def call_id(self) -> str:
        """Whose it is."""
        return self._call.id

    def taken(self, carrier: str, carrier_id: str) -> None:
        """The carrier has it, under a name of its own."""
        self._note(lambda tx: tx.run("calls_taken", id=self._call.id, carrier=carrier, carrier_id=carrier_id))

    def ringing(self) -> None:
        """The far end rings."""
        at = now_ms()
        self._note(lambda tx: lives.move(tx, "calls", [self._call.id], "ringing", at))

    def answered(self, by: str) -> None:
        """Somebody picked up."""
        at = now_ms()
        self._note(lambda tx: calls.answered(tx, self._call.id, at, by))

    def opted_out(self, scope: Scope, key: str) -> None:
        """The person wants no more: obeyed before anything that is noted later."""
        at = now_ms()
        self._works.put_nowait(lambda: call_stops.obey(self._database, self._signals, self._call, scope, key, at))

    def texted(self, body: str) -> None:
        """The plan sends the person a text."""
        message = call_texts.text_of(self._call, body, now_ms())
        if message is not None:
            self._note(lambda tx: call_texts.add(tx, message))

    def recorded(self, recording_id: str, node: str, audio: bytes) -> None:
        """The person said something that is to be kept: G.711 mu-law."""
        at = now_ms()
        self._note(lambda tx: recordings.add(tx, self._call, recording_id, node, audio, at))

    def unanswered(self, status: str, reason: str, code: str) -> None:
        """The call never came up."""
        at = now_ms()
        if status == "queued":
            self._note(lambda tx: self._put_back(tx, at, reason, code))
        else:
            self._note(lambda tx: calls.ended(tx, self._call.id, status, at, reason=reason, error_code=code))

    def ended(
        self,
        state: State,
        prompts: Sequence[Prompt],
        status: str,
        reason: str,
        at_ms: int,
        evidence: calls.Evidence,
    ) -> None:
        """The call was up and is over."""

        async def work(tx: Tx) -> None:
            at = now_ms()
            await calls.progress(tx, self._call.id, state, prompts, at)
            await calls.found(tx, self._call.id, evidence)
            await calls.ended(tx, self._call.id, status, at, reason=reason, at_ms=at_ms)

        self._note(work)

    async def _put_back(self, tx: Tx, at_ms: int, reason: str, code: str) -> None:
        back = await lives.put_back(tx, "calls", [self._call.id], at_ms, reason=reason, error_code=code)
        if back and self._spent is not None:
            await usage.add(tx, self._spent.debits, self._spent.seq, sign=-1)
            self.came_back = True

    async def finish(self) -> None:
        """Return when everything noted is on disk."""
        await self._works.join()
        if self._has_lost:  # it may have been the end
            self.unanswered("failed", "internal", "")
            await self._works.join()
        self._task.cancel()

    def _note(self, work: Callable[[Tx], Awaitable[object]]) -> None:
        self._works.put_nowait(lambda: self._database.write(work))

    async def _drain(self) -> None:
        while True:
            work = await self._works.get()
            try:
                await self._keep(work)
            except Exception:  # noqa: BLE001 - a fault of ours: whatever comes after it must be written all the same
                _log.exception("call_write_failed", call=self._call.id)
                self._has_lost = True
            self._signals.wake("events")
            self._signals.wake("messages")
            self._works.task_done()

    @staticmethod
    async def _keep(work: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await work()
            except StoreUnavailable as error:
                _log.error("cannot_write_call", error=str(error))
                await asyncio.sleep(_AGAIN_S)
            else:
                return
