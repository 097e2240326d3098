"""Calls that come in over a trunk: the called sender's plan answers."""

import asyncio
from dataclasses import dataclass

import structlog

from gateway.carriers.inbound_calls import Answering, InboundCalls
from gateway.carriers.sip_trunk import InboundCall
from gateway.carriers.voice_base import TrunkRoad
from gateway.clock import now_ms
from gateway.errors import GatewayError
from gateway.model.limit import Concurrency, Limit, Refused
from gateway.workers.call_audio import CallAudio
from gateway.workers.call_bridge import Bridge
from gateway.workers.call_desk import Desk
from gateway.workers.call_record import CallRecord
from gateway.workers.call_session import CallSession

_REFUSALS = {"unknown_number": 404, "no_dialplan": 480}
_NO_ROOM = 503
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CallAnswering:
    """Answers what comes in over one trunk. `take` is what `SipTrunk.start` is given."""

    desk: Desk
    inbound: InboundCalls
    road: TrunkRoad
    mode: str

    async def take(self, ringing: InboundCall) -> None:
        """Answer one call and hold it to its end, or refuse it."""
        if self.desk.is_closing:
            await ringing.reject(_NO_ROOM)
            return
        if (task := asyncio.current_task()) is not None:  # a stop waits for it
            self.desk.tasks.add(task)
            task.add_done_callback(self.desk.tasks.discard)
        try:
            found = await self.inbound.find(
                ringing.called,
                ringing.caller,
                mode=self.mode,
                carrier=self.road.carrier.name,
                carrier_id=None,
                now_ms=now_ms(),
            )
            if not isinstance(found, Answering):
                await ringing.reject(_REFUSALS[found])
                return
            await self._hold(ringing, found)
        except (GatewayError, TimeoutError) as error:
            _log.error("cannot_answer", error=str(error))
            await ringing.reject(_NO_ROOM)

    async def _hold(self, ringing: InboundCall, found: Answering) -> None:
        """Keep its row first: whoever fills Redis anew then knows of a call that may hold a channel."""
        await self.inbound.keep(found.call, self.desk.leases.holder)
        record = CallRecord(found.call, self.desk.database, self.desk.signals)
        try:
            why = await self._with_channel(ringing, found, record)
        except (GatewayError, TimeoutError) as error:
            _log.error("cannot_answer", error=str(error))
            why = error.slug if isinstance(error, GatewayError) else "timeout"
        if why:
            await ringing.reject(_NO_ROOM)  # nothing happens where it was answered
            record.unanswered("failed", why, "")
        await record.finish()

    async def _with_channel(self, ringing: InboundCall, found: Answering, record: CallRecord) -> str:
        """Answer it on a channel of the trunk, and hold it to its end. Returns why it was not answered, if so."""
        call_id = found.call.id
        limits = self._channels()
        taken = await self.desk.counters.take(limits, [1], ahead_us=0, holders=[call_id])
        if isinstance(taken, Refused):
            return taken.reason
        self.desk.channels.hold(call_id, limits)
        try:
            return await self._answer(ringing, found, limits, record)
        finally:
            await self.desk.channels.release(call_id)

    async def _answer(
        self, ringing: InboundCall, found: Answering, limits: tuple[Limit, ...], record: CallRecord
    ) -> str:
        await ringing.ring()
        audio = CallAudio(self.desk.prompts.of(found.call.tenant_id))
        await audio.prepare(found.state)
        leg = await ringing.accept()
        if leg is None:
            return "no_usable_media"
        session = CallSession(leg, found.state, audio, record, None, Bridge(self.desk, self.road, found.call))
        self.desk.sessions[found.call.id] = session
        self.desk.channels.hold(found.call.id, limits, lambda: session.end("channel_lost"))
        try:
            await session.run()
        finally:
            del self.desk.sessions[found.call.id]
        return ""

    def _channels(self) -> tuple[Limit, ...]:
        every = self.desk.limits_of(self.road, self.mode)
        return tuple(limit for limit in every if isinstance(limit, Concurrency))
