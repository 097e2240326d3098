"""What the webhooks of a call do: the next turn of its dialplan, and how it ended. One effect each, in any order."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal
from weakref import WeakValueDictionary

import structlog
from twilio.twiml.voice_response import VoiceResponse

from gateway.carriers import handed_on
from gateway.carriers.audio_urls import AudioUrls
from gateway.carriers.inbound_calls import Answering, InboundCalls
from gateway.carriers.twilio_voice import (
    Between,
    CallReport,
    TwilioVoice,
    between,
    detection,
    message_delay_ms,
)
from gateway.carriers.voice_base import rendered
from gateway.clock import now_ms
from gateway.errors import GatewayError
from gateway.errors.carriers import BadReport
from gateway.model.call import Call
from gateway.model.event import Event
from gateway.model.message import Message
from gateway.model.states import CALL_FINALS, CALL_MOVES
from gateway.speech.prompts import Prompts
from gateway.store import call_stops, call_texts, calls, events, lives
from gateway.store.calls import Plans
from gateway.store.database import Database, Tx
from gateway.store.signals import Signals
from gateway.voice import twilio_call, twiml
from gateway.voice.dialplan import Pause, Plan, Play, Say
from gateway.voice.twiml_verbs import Clip
from gateway.voice.ways import opt_out_by

_CLOCKS_APART_S: Final = 1.0  # Twilio's Timestamp has whole seconds
_log = structlog.get_logger(__name__)


def _hangup() -> str:
    response = VoiceResponse()
    response.hangup()
    return str(response)


def _reject(reason: Literal["rejected", "busy"]) -> str:
    response = VoiceResponse()
    response.reject(reason=reason)
    return str(response)


@dataclass(frozen=True, slots=True)
class VoiceTurns:
    """The calls of one carrier account that ask by webhook what to do."""

    carrier: TwilioVoice
    mode: str
    database: Database
    signals: Signals
    prompts: Prompts
    plans: Plans
    inbound: InboundCalls
    audio: AudioUrls
    _locks: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    # --- the next turn

    async def turn(self, call_id: str, step: int, form: Mapping[str, str]) -> str:
        """Answer one webhook of a call with TwiML. The same step again gets the same answer and moves nothing."""
        async with self._lock(call_id):
            xml = None
            while xml is None:
                xml = await self._turn_of(await self._ours(call_id), step, form)
            return xml

    async def _turn_of(self, call: Call | None, step: int, form: Mapping[str, str]) -> str | None:
        """The answer to a webhook of a call as it was read; None: read it again, it has gone on in another process."""
        if call is None or call.status in CALL_FINALS or not call.engine_state:
            if call is not None:
                await self._told_late(call, step, form)
            return _hangup()
        _, plan = await self.plans.get(call.tenant_id, call.dialplan, call.dialplan_version)
        return await self._turn(call, plan, step, form)

    async def _told_late(self, call: Call, step: int, form: Mapping[str, str]) -> None:
        """Keep what became of the node in which the person hung up: what they said, or whom they spoke to.

        Who presses the key that opts out and hangs up may be told of by Twilio in the other order: it counts.
        """
        _, plan = await self.plans.get(call.tenant_id, call.dialplan, call.dialplan_version)
        over = await self._ours(call.id) or call
        node = str(over.path[-1]["node"]) if over.path else ""
        if node and (found := opt_out_by(plan, node, twiml.keys_of(form))) is not None:
            await call_stops.obey(self.database, self.signals, over, found[1].scope, found[0], now_ms())

        async def keep(tx: Tx) -> None:
            await handed_on.keep(tx, await calls.get(tx, call.id) or call, plan, node, step, form)

        await self.database.write(keep)

    async def answer(self, form: Mapping[str, str]) -> str:
        """Answer the first webhook of a call that came in. Raises BadReport."""
        sid = form.get("CallSid", "")
        if not sid or not form.get("To"):
            raise BadReport("CallSid and To are both needed")
        async with self._lock(sid):
            call = await self.inbound.known(sid) or await self._received(sid, form)
        return await self.turn(call.id, 0, form) if call is not None else _reject("rejected")

    async def _received(self, sid: str, form: Mapping[str, str]) -> Call | None:
        """The row of a call that just came in; the other's, where a second process was asked at once."""
        found = await self.inbound.find(
            form["To"],
            form.get("From", ""),
            mode=self.mode,
            carrier=self.carrier.name,
            carrier_id=sid,
            now_ms=now_ms(),
        )
        if not isinstance(found, Answering):
            return None
        call = calls.with_engine_state(found.call, Between(twilio_call.TwilioCall(found.state)).to_json())
        return call if await self.inbound.keep(call) else await self.inbound.known(sid)

    async def _turn(self, call: Call, plan: Plan, step: int, form: Mapping[str, str]) -> str | None:
        asked = now = now_ms() / 1000
        kept = between(plan, call.engine_state)
        turn = twiml.receive(kept.call, step, form, now=now)
        if turn.is_repeat:
            return twiml.reply(turn, clip=_no_clip, action=str, now=now)[1]
        try:
            parts, ours = turn.parts, self.prompts.of(call.tenant_id)
            audio = dict(zip(parts, await asyncio.gather(*(rendered(ours, part) for part in parts)), strict=True))
        except GatewayError as error:
            _log.error("call_cannot_speak", error=str(error))
            await self._cut(call, kept, error.slug)
            return _hangup()
        await self._obey(call, turn)
        clips = {part: Clip(self.audio.url(each.id), each.seconds) for part, each in audio.items()}
        now = now_ms() / 1000
        after, xml = twiml.reply(
            turn, clip=clips.__getitem__, action=lambda step: self.carrier.action(call.id, step), now=now
        )
        pieces = tuple(_piece(part, clips) for prompt in turn.prompts for part in prompt.parts)
        prompts = [*call.prompts, *kept.heard(now)]
        following = Between(after, now, pieces)
        texts = _texts(call, turn)
        delay_ms = message_delay_ms(form, now - asked)

        async def keep(tx: Tx) -> bool:
            if not await calls.turned(tx, call, following.to_json()):
                return False
            await self._keep(tx, call, following, prompts, texts, form.get("CallSid", ""))
            if step == 0:
                await calls.found(tx, call.id, calls.Evidence(detection(form), delay_ms if pieces else None))
            else:
                await handed_on.keep(tx, call, plan, kept.call.state.node or "", step, form)
            return True

        if not await self.database.write(keep):
            return None
        self.signals.wake("events")
        self.signals.wake("messages")
        return xml

    async def _keep(
        self, tx: Tx, call: Call, kept: Between, prompts: list[calls.Prompt], texts: Sequence[Message], sid: str
    ) -> None:
        for text in texts:
            await call_texts.add(tx, text)
        now, state = now_ms(), kept.call.state
        if call.carrier_id is None and sid:
            await tx.run("calls_taken", id=call.id, carrier=self.carrier.name, carrier_id=sid)
        await calls.answered(tx, call.id, now, state.answered_by or "unknown")
        await calls.progress(tx, call.id, state, prompts, now, engine_state=kept.to_json())

    async def _obey(self, call: Call, turn: twiml.Turn) -> None:
        """Record opt-outs: on disk, and what waits for that person taken back, before Twilio is answered."""
        for said in turn.opt_outs:
            key = turn.call.state.pressed[-1:]
            await call_stops.obey(self.database, self.signals, call, said.scope, key, now_ms())

    async def _cut(self, call: Call, kept: Between, reason: str) -> None:
        """End a call that cannot go on."""
        await self._end(call, kept, "failed", CallReport("", "failed", reason, "", "", None))

    # --- its states

    async def report(self, call_id: str, report: CallReport) -> None:
        """Apply what the carrier says became of a call; its repeat, or one that moves nothing, has no effect."""
        call = await self._ours(call_id) if call_id else await self.inbound.known(report.carrier_id)
        if call is None:
            return
        async with self._lock(call.id):
            is_applied = False
            while not is_applied:
                call = await self._ours(call.id)
                if call is None or await self._was_seen(report):
                    return
                is_applied = await self._apply(call, report)
        for what in ("events", "calls", "messages"):
            self.signals.wake(what)

    async def _apply(self, call: Call, report: CallReport) -> bool:
        """False: the call has gone on in another process since it was read."""
        if report.status not in CALL_FINALS or call.status in CALL_FINALS or not call.engine_state:
            await self.database.write(lambda tx: self._move(tx, call, report))
            return True
        _, plan = await self.plans.get(call.tenant_id, call.dialplan, call.dialplan_version)
        kept = between(plan, call.engine_state)
        if report.status not in CALL_MOVES[call.status]:  # "busy", of a call that asked us what to say
            return await self._end(call, kept, "completed", replace(report, reason=""))
        return await self._end(call, kept, report.status, report)

    async def _end(self, call: Call, kept: Between, status: str, report: CallReport) -> bool:
        now = now_ms()
        at_ms = min(now, report.at_ms + int(_CLOCKS_APART_S * 1000)) if report.at_ms is not None else now
        turn = twiml.hung_up(kept.call, by="person" if status == "completed" else "carrier", now=at_ms / 1000)
        await self._obey(call, turn)
        prompts = [*call.prompts, *kept.heard(at_ms / 1000)]
        texts = _texts(call, turn)

        async def work(tx: Tx) -> bool:
            if not await calls.turned(tx, call, ""):
                return False
            await self._seen(tx, call, report)
            for text in texts:
                await call_texts.add(tx, text)
            await calls.progress(tx, call.id, turn.call.state, prompts, now)
            if turn.call.state.is_leaving and call.detection:
                detection = {**call.detection, "left_s": round(sum(each["seconds"] for each in prompts), 2)}
                await calls.found(tx, call.id, calls.Evidence(detection, None, call.transfers, call.recordings))
            await calls.ended(tx, call.id, status, now, reason=report.reason, error_code=report.error_code, at_ms=at_ms)
            return True

        return await self.database.write(work)

    async def _move(self, tx: Tx, call: Call, report: CallReport) -> None:
        await self._seen(tx, call, report)
        now, moved = now_ms(), False
        if report.status == "answered":
            moved = await calls.answered(tx, call.id, now, "unknown")
        elif report.status == "ringing":
            moved = bool(await lives.move(tx, "calls", [call.id], "ringing", now))
        if not moved and report.status and report.status != call.status:
            data = {"status": call.status, "reported": report.status, "error_code": report.error_code}
            await events.add(tx, Event("call.report", call.tenant_id, call.mode, call.id, now, data, call.job_id))

    async def _was_seen(self, report: CallReport) -> bool:
        name = self.carrier.name
        seen = await self.database.read(lambda tx: tx.row("webhooks_seen", carrier=name, token=report.token))
        return seen is not None

    async def _seen(self, tx: Tx, call: Call, report: CallReport) -> None:
        if report.token:
            await tx.run("webhooks_insert", carrier=self.carrier.name, token=report.token, answer="", at_ms=now_ms())
        if call.carrier_id is None and report.carrier_id:
            await tx.run("calls_taken", id=call.id, carrier=self.carrier.name, carrier_id=report.carrier_id)

    # --- small things

    async def _ours(self, call_id: str) -> Call | None:
        call = await self.database.read(lambda tx: calls.get(tx, call_id))
        return call if call is not None and (call.mode, call.carrier) == (self.mode, self.carrier.name) else None

    def _lock(self, name: str) -> asyncio.Lock:
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = asyncio.Lock()
        return lock


def _texts(call: Call, turn: twiml.Turn) -> list[Message]:
    texts = (call_texts.text_of(call, text.body, now_ms()) for text in turn.texts)
    return [text for text in texts if text is not None]


def _no_clip(_part: Say | Play) -> Clip:
    raise AssertionError("a repeated answer needs no audio")


def _piece(part: Say | Play | Pause, clips: Mapping[Say | Play, Clip]) -> tuple[calls.Prompt | None, float]:
    if isinstance(part, Pause):
        return None, float(-(-part.seconds // 1))  # Twilio pauses for whole seconds only
    return calls.prompt(part, 0.0), clips[part].seconds
