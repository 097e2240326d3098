"""One call over a trunk, from dialling to its end: leg events into the engine, its commands back to the leg."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from gateway.carriers.voice_base import Digit, Ended, Leg, LegEvent, PickedUp, Played, Ringing, Spoken, Unanswered
from gateway.clock import monotonic, now_ms
from gateway.errors import GatewayError
from gateway.errors.media import MediaLimit
from gateway.media.events import Detected, GreetingEnded
from gateway.voice import engine
from gateway.voice.state import (
    Answered,
    Command,
    Elapsed,
    Event,
    Hangup,
    HungUp,
    OptOut,
    Pressed,
    PromptEnded,
    Record,
    Recorded,
    SendSms,
    Speak,
    State,
    StopSpeaking,
    Transfer,
    TransferFailed,
    Transferred,
)
from gateway.workers.call_answer import Answer
from gateway.workers.call_audio import CallAudio
from gateway.workers.call_bridge import Bridge
from gateway.workers.call_ending import Ending
from gateway.workers.call_handover import Handed, Handover
from gateway.workers.call_record import CallRecord
from gateway.workers.call_voice import CallVoice, Rendered

KEY_S: Final = (
    0.15  # a key that goes down at the last moment is known so much later: its tone, a frame, what orders them
)
_GOODBYE_S: Final = 1.0  # how long the far end may take to agree to our BYE before the call is written as over
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Stop:
    """The gateway ends the call."""

    reason: str


@dataclass(slots=True)
class CallSession:
    """One call on a leg.

    ring_timeout_s: how long to wait for an answer; None where the far end called us.
    bridge:         who puts people through where the far end does not.
    """

    leg: Leg
    state: State
    audio: CallAudio
    record: CallRecord
    ring_timeout_s: float | None
    bridge: Bridge | None = None
    _events: asyncio.Queue[LegEvent | Handed | Rendered | _Stop] = field(default_factory=asyncio.Queue)
    _answer: Answer = field(default_factory=Answer)
    _handover: Handover = field(init=False)
    _voice: CallVoice = field(init=False)
    _ending: Ending = field(init=False)
    _deadline: float | None = None  # while the engine waits for nothing: of the ringing, or of the goodbye

    def __post_init__(self) -> None:
        self._voice = CallVoice(self.record.call_id, self.leg, self.audio, self._answer, self._events.put_nowait)
        self._handover = Handover(self.leg, self.record, self._events.put_nowait, self.bridge)
        self._ending = Ending(self.record, self._answer, self._voice, self._handover)

    async def run(self) -> Unanswered | Ended:
        """Hold the call until its leg has ended; returns the leg's last event, with everything on disk."""
        if self.ring_timeout_s is not None:
            self._deadline = monotonic() + self.ring_timeout_s
        self.leg.listen(self._events.put_nowait)
        last: Unanswered | Ended | None = None
        while last is None:
            event = await self._next()
            try:
                last = self._take(event)
            except Exception:  # noqa: BLE001 - a fault of ours must leave nobody on the line
                _log.exception("call_session_failed", call=self.record.call_id)
                last = self._broken(event)
        self._voice.stop()
        self._handover.stop()
        await self.record.finish()
        return last

    def _broken(self, event: LegEvent | Handed | Rendered | _Stop | None) -> Unanswered | Ended | None:
        """Hang up; the call is written as failed when its leg has ended."""
        self._ending.reason = GatewayError.slug
        self.state, self._deadline = replace(self.state, deadline=None), None
        self.leg.hangup()
        if not isinstance(event, Unanswered | Ended):
            return None
        self.record.unanswered("failed", GatewayError.slug, "")
        return event

    def end(self, reason: str) -> None:
        """End the call from our side, whatever its state."""
        self._events.put_nowait(_Stop(reason))

    async def _next(self) -> LegEvent | Handed | Rendered | _Stop | None:
        """The next thing that happens; None when the time that is waited for has come, and nothing came before it."""
        deadline = self.state.deadline + KEY_S if self.state.deadline is not None else self._deadline
        try:
            async with asyncio.timeout_at(deadline):
                return await self._events.get()
        except TimeoutError:
            return None if self._events.empty() else self._events.get_nowait()  # both at once: the key was first

    def _take(self, event: LegEvent | Handed | Rendered | _Stop | None) -> Unanswered | Ended | None:
        match event:
            case None:
                self._time_is_up()
            case Ringing():
                self.record.ringing()
            case PickedUp():
                self._picked_up()
            case Detected():
                self._detected(event)
            case GreetingEnded():
                self._greeting_ended(event)
            case Digit() if self._answer.at is None:
                pass  # pressed before the answer: nobody was asked anything yet
            case Digit(digit):
                if self.state.answered_by is None:
                    self._tell(Answered("human"))  # who presses a key is no machine
                self._tell(Pressed(digit))
            case Played():
                self._played(event)
            case Handed():
                self._handed(event)
            case Spoken(pcm):
                self._tell(self._handover.spoken(pcm, self.state.node or ""))
            case Rendered():
                self._play_rendered(event)
            case _Stop(reason):
                self._stop(reason)
            case Unanswered():
                self._ending.unanswered(event)
                return event
            case Ended(by, reason):
                self._ending.quality = event.quality
                self._ending.reason = self._ending.reason or reason
                self._tell(HungUp(by))
                self._ending.write(self.state)
                return event
        return None

    def _time_is_up(self) -> None:
        if self.state.deadline is not None:
            self._tell(Elapsed())
        elif self.state.ended_by:
            self._deadline = None
            self._ending.write(self.state)
        else:
            self._deadline = None  # nobody answers; the leg tells how it ends
            self.leg.hangup()

    def _stop(self, reason: str) -> None:
        if not self.state.ended_by:
            self._ending.reason = reason
            if self.state.answered_by is not None:
                self._tell(HungUp("gateway"))
        self.leg.hangup()

    # --- who answered

    def _picked_up(self) -> None:
        self._deadline, self._answer.at = None, monotonic()
        self.record.answered("unknown")
        asks = self.ring_timeout_s is not None and self.state.plan.machine.action != "human"
        if not (asks and self.leg.detect()):
            self._tell(Answered("unknown"))

    def _detected(self, detected: Detected) -> None:
        """Begin, or wait for the end of a machine's greeting; a second verdict takes the first back."""
        self._answer.detected = detected
        if detected.by != "machine" or self.state.plan.machine.action == "hangup":
            self._tell(Answered(detected.by))

    def _greeting_ended(self, ended: GreetingEnded) -> None:
        """Leave the message; from its beginning, where the beep comes only now."""
        self._answer.ended = ended
        if not self._voice.has_left:
            self._tell(Answered("machine"))
        elif self.state.is_speaking:
            self._or_stop(self._voice.leave_again)

    # --- the engine

    def _tell(self, event: Event) -> None:
        self.state, commands = engine.step(self.state, event, monotonic())
        self._do(commands)
        if self.state.ended_by and self._ending.at_ms is None:
            self._ending.at_ms = now_ms()
            self._deadline = monotonic() + _GOODBYE_S

    def _do(self, commands: Iterable[Command]) -> None:
        for command in commands:
            match command:
                case Speak():
                    self._speak(command)
                case StopSpeaking():
                    self.leg.stop()
                case OptOut(scope):
                    self.record.opted_out(scope, self.state.pressed[-1:])
                case SendSms(body):
                    self.record.texted(body)
                case Transfer():
                    self._handover.transfer(command)
                case Record():
                    self._record(command)
                case Hangup():
                    self.leg.hangup()

    # --- what is handed on

    def _handed(self, handed: Handed) -> None:
        if handed.result == "unknown":
            return  # the call is over: its end follows
        if handed.result != "transferred":
            self._tell(TransferFailed(handed.result))
            return
        self._tell(Transferred())
        if handed.how == "refer":
            self.leg.hangup()  # the far end has the person

    def _record(self, wanted: Record) -> None:
        if self._handover.may_record:
            self.leg.record(max_s=wanted.max_s, finish_on=wanted.finish_on, silence_s=wanted.silence_s)
        else:
            self._tell(Recorded("", 0.0))

    # --- what is heard

    def _speak(self, command: Speak) -> None:
        self._or_stop(lambda: self._voice.speak(command, is_left=self.state.is_leaving))

    def _play_rendered(self, rendered: Rendered) -> None:
        if not self.state.is_speaking or rendered.command.token != self.state.token:
            return  # a key was quicker
        if rendered.error:
            self._stop(rendered.error)
        else:
            self._or_stop(lambda: self._voice.play(rendered.command, is_left=self.state.is_leaving))

    def _or_stop(self, play: Callable[[], None]) -> None:
        try:
            play()
        except MediaLimit as error:
            self._stop(error.slug)

    def _played(self, played: Played) -> None:
        if (token := self._voice.over(played)) is not None:
            self._tell(PromptEnded(token))
