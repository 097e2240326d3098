"""Calls over Twilio's API: ring, answer, run the TwiML that the gateway gives, press keys, report the progress.

Source: Twilio, "Call resource" (StatusCallback events, AnsweredBy) and "TwiML for Programmable Voice" (Gather).
"""

import asyncio
import time
from collections.abc import Mapping
from email.utils import formatdate

from gateway.practice.leg import Goto, Leg
from gateway.practice.options import Options
from gateway.practice.scripts import CallScript
from gateway.practice.texts import Spawn
from gateway.practice.twilio_json import Call
from gateway.practice.twilio_player import Player
from gateway.practice.webhooks import Webhooks

_ENDINGS = {486: "busy", 0: "no-answer", 480: "no-answer", 603: "busy"}
_MOST_KEPT = 5000  # calls that are remembered
_LONGEST_S = 4 * 3600  # Twilio's limit of a call


class TwilioCalls:
    """All calls of the REST side, in both directions."""

    def __init__(self, options: Options, webhooks: Webhooks, player: Player, spawn: Spawn) -> None:
        """`spawn` starts a task that the server ends when it stops."""
        self._speed = options.speed
        self._account = options.account_sid
        self._webhooks = webhooks
        self._player = player
        self._spawn = spawn
        self.legs: dict[str, Leg] = {}
        self._deleted: set[str] = set()  # recordings

    def start(self, call: Call, script: CallScript, form: Mapping[str, list[str]]) -> None:
        """Begin the life of a call that was accepted over REST; `form` is what CreateCall was given."""
        self._spawn(self._outbound(self._keep(Leg(call, script, form))))

    def inbound(self, person: str, sender: str, script: CallScript, voice_url: str, status_url: str) -> str:
        """A person calls a sender: its TwiML is asked of `voice_url`. Returns the call's SID."""
        call = Call(self._account, sender, person, direction="inbound", status="ringing")
        form = {"Url": [voice_url]} | ({"StatusCallback": [status_url]} if status_url else {})
        self._spawn(self._talk(self._keep(Leg(call, script, form))))
        return call.sid

    def _keep(self, leg: Leg) -> Leg:
        self.legs[leg.call.sid] = leg
        oldest = next(iter(self.legs.values()))
        if len(self.legs) > _MOST_KEPT and oldest.call.end is not None:
            del self.legs[oldest.call.sid]
        return leg

    def has_recording(self, sid: str) -> bool:
        """Whether a call that is remembered was recorded under this id."""
        is_known = any(entry.get("sid") == sid for leg in self.legs.values() for entry in leg.transcript)
        return is_known and sid not in self._deleted

    def delete_recording(self, sid: str) -> None:
        """Have it no more."""
        self._deleted.add(sid)

    def clear(self) -> None:
        """Forget the calls that are over."""
        self.legs = {sid: leg for sid, leg in self.legs.items() if leg.call.end is None}

    def hang_up(self, leg: Leg) -> None:
        """End a call from the API's side: cancelled while it rings, completed once answered."""
        leg.cancelled = leg.call.start is None
        self._interrupt(leg)

    def send_to(self, leg: Leg, goto: Goto) -> None:
        """Move a call in progress to another document."""
        leg.redirect = goto
        self._interrupt(leg)

    @staticmethod
    def _interrupt(leg: Leg) -> None:
        if leg.limit:
            leg.limit.reschedule(asyncio.get_running_loop().time())

    async def _outbound(self, leg: Leg) -> None:
        await self._report(leg, "initiated")
        try:
            async with asyncio.timeout(_LONGEST_S) as leg.limit:
                status = await self._ring(leg)
        except TimeoutError:
            status = -1
        if status == 200:
            await self._talk(leg)
        else:
            leg.call.move("canceled" if leg.cancelled else _ENDINGS.get(status, "failed"))
            await self._report(leg, "completed", SipResponseCode=str(status if status > 0 else 487))

    async def _ring(self, leg: Leg) -> int:
        """Ring as the script says and return the SIP status it ends with; 0 when nobody answers in time."""
        script, patience_s = leg.script, int(leg.first("Timeout", "60")) + 5
        if script.rings:
            leg.call.move("ringing")
            await self._report(leg, "ringing")
        gives_up = script.status == 0 or script.ring_s > patience_s
        await self._sleep(patience_s if gives_up else script.ring_s)
        return 0 if gives_up else script.status

    async def _talk(self, leg: Leg) -> None:
        """Answer, run documents until one ends the call, and report the end."""
        leg.call.move("in-progress")
        await self._report(leg, "answered")
        await self._detect(leg)
        goto: Goto | None = Goto(leg.first("Url"), leg.first("Method", "POST"), {}, leg.first("Twiml").encode())
        hangs_up_s = leg.script.hangs_up_s
        while goto:
            leg.redirect = None
            try:
                async with asyncio.timeout(_LONGEST_S if hangs_up_s is None else hangs_up_s / self._speed) as leg.limit:
                    await self._player.run(leg, goto)
            except TimeoutError:
                leg.transcript.append({"ended": "early"})
            goto = leg.redirect
        leg.call.move("completed")
        await self._report(leg, "completed", SipResponseCode="200")

    async def _detect(self, leg: Leg) -> None:
        """Say who answered, if CreateCall asked: before the first document, or in a webhook of its own."""
        mode = leg.first("MachineDetection")
        if not mode:
            return
        greeting_s = leg.script.greeting_s
        if greeting_s is None:
            found, after_s = "human", 1.2
        elif mode == "Enable":
            found, after_s = "machine_start", min(greeting_s, 2.4)
        else:
            found, after_s = "machine_end_beep", greeting_s + 0.5
        if leg.first("AsyncAmd") == "true":
            self._spawn(self._detected_later(leg, found, after_s))
            return
        await self._sleep(after_s)
        leg.call.answered_by = found

    async def _detected_later(self, leg: Leg, found: str, after_s: float) -> None:
        await self._sleep(after_s)
        leg.call.answered_by = found
        url = leg.first("AsyncAmdStatusCallback")
        if url and leg.call.end is None:
            params = {
                "CallSid": leg.call.sid,
                "AccountSid": leg.call.account_sid,
                "AnsweredBy": found,
                "MachineDetectionDuration": str(round(after_s * 1000)),
            }
            await self._webhooks.send(url, params, method=leg.first("AsyncAmdStatusCallbackMethod", "POST"))

    async def _report(self, leg: Leg, event: str, **more: str) -> None:
        """Post one progress event, if CreateCall asked for it (only `completed` by default)."""
        sequence, leg.sequence = leg.sequence, leg.sequence + 1
        url = leg.first("StatusCallback")
        if not url or event not in leg.form.get("StatusCallbackEvent", ["completed"]):
            return
        params = leg.params() | more
        params |= {
            "Timestamp": formatdate(time.time()).replace("-0000", "+0000"),
            "SequenceNumber": str(sequence),
            "CallbackSource": "call-progress-events",
        }
        if event == "initiated":
            params["CallStatus"] = "initiated"
        duration_s = leg.call.duration_s
        if duration_s is not None:
            params |= {"CallDuration": str(duration_s), "Duration": str(-(-duration_s // 60))}
        await self._webhooks.send(url, params, method=leg.first("StatusCallbackMethod", "POST"))

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)
