"""What one SIP call of the practice phone is, does and tells."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from gateway.media import wav
from gateway.practice.greetings import greeting
from gateway.practice.rtp_leg import RtpLeg
from gateway.practice.scripts import CallScript, Press
from gateway.sip.sdp import Media


@dataclass(slots=True)
class PhoneCall:
    """A call from its INVITE to its end; times are event-loop seconds.

    handle: the user agent's name for it; "" before it has one.
    state:  ringing, answered, ended, failed.
    """

    id: str
    direction: str
    caller: str
    called: str
    script: CallScript
    handle: str = ""
    state: str = "ringing"
    status: int = 0
    ended_by: str = ""
    answered_at: float | None = None
    ended_at: float | None = None
    leg: RtpLeg | None = None
    task: asyncio.Task[None] | None = None
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    pressed: list[dict[str, object]] = field(default_factory=list)
    waiting: list[Press] = field(default_factory=list)

    def answered(self, media: Media, hang_up: Callable[[], None]) -> None:
        """Begin the conversation: greet or listen, and plan what happens at fixed times."""
        if self.leg is None:
            return
        loop = asyncio.get_running_loop()
        self.state, self.answered_at = "answered", loop.time()
        self.leg.connect(media)
        if self.script.greeting_s is not None or self.direction == "from the gateway":
            self.leg.greet(greeting(self.script))
        for press in self.script.presses:
            if press.at_s is None:
                self.waiting.append(press)
            else:
                self.timers.append(loop.call_later(press.at_s, self._press, press.keys))
        if self.script.hangs_up_s is not None:
            self.timers.append(loop.call_later(self.script.hangs_up_s, hang_up))

    def prompt_ended(self) -> None:
        """Press what is next; an empty press lets this prompt pass."""
        if self.waiting:
            self._press(self.waiting.pop(0).keys)

    def _press(self, keys: str) -> None:
        if self.leg and self.answered_at is not None and keys:
            self.leg.press(keys)
            at_s = asyncio.get_running_loop().time() - self.answered_at
            self.pressed.append({"keys": keys, "at_s": round(at_s, 3)})

    def ended(self, *, status: int, by: str) -> None:
        """Close the call; the leg keeps its recording until it is forgotten."""
        self.state = "failed" if self.answered_at is None else "ended"
        self.status, self.ended_by, self.ended_at = status, by, asyncio.get_running_loop().time()
        for timer in self.timers:
            timer.cancel()
        if self.task:
            self.task.cancel()
        if self.leg:
            self.leg.close()

    def wav(self) -> bytes | None:
        """Return what was heard, at most a minute, as a WAV file; None when nothing can have been."""
        return wav.write(self.leg.session.recording()) if self.leg else None

    def facts(self) -> dict[str, object]:
        """Return what is known of the call, for /practice/calls. speech_s is the time in which speech was heard."""
        seconds = None
        if self.answered_at is not None and self.ended_at is not None:
            seconds = round(self.ended_at - self.answered_at, 3)
        told = {"id": self.id, "via": "sip", "direction": self.direction, "from": self.caller, "to": self.called}
        told |= {"script": self.script.says, "state": self.state, "ended_by": self.ended_by}
        heard: dict[str, object] = {}
        if self.leg:
            ear = self.leg.ear
            heard = {"rtp": asdict(self.leg.stats()), "prompts": ear.prompts, "speech_s": round(ear.speech_s, 2)}
            heard |= {"keys_heard": self.leg.keys_heard}
        return {**told, "status": self.status, "seconds": seconds, "pressed": self.pressed, **heard}
