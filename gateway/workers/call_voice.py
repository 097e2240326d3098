"""What one call over a trunk says: rendered where that was not done ahead, played, and how much of it was heard."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from gateway.carriers.voice_base import Leg, Played
from gateway.clock import monotonic
from gateway.errors import GatewayError
from gateway.voice.state import Speak
from gateway.workers.call_answer import Answer
from gateway.workers.call_audio import CallAudio
from gateway.workers.call_played import PlayedParts

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rendered:
    """The audio for a Speak that was not made ahead is there; or `error` says why it cannot be had."""

    command: Speak
    error: str = ""


@dataclass(slots=True)
class CallVoice:
    """The voice of one call. `tell` is given a Rendered when what had to be waited for can be played, or cannot.

    heard: what was played so far, and how much of it.
    """

    call_id: str
    leg: Leg
    audio: CallAudio
    answer: Answer
    tell: Callable[[Rendered], None]
    heard: PlayedParts = field(default_factory=PlayedParts)
    _left: Speak | None = None  # the message to a machine
    _rendering: asyncio.Task[None] | None = None

    def speak(self, command: Speak, *, is_left: bool) -> None:
        """Play this at once, or as soon as it is rendered. is_left: it is left to a machine. Raises MediaLimit."""
        if is_left:
            self._left = command
        if self.audio.ready(command.parts):
            self.play(command, is_left=is_left)
        else:
            self._rendering = asyncio.create_task(self._render(command), name="call-rendering")

    def play(self, command: Speak, *, is_left: bool) -> None:
        """Play what is rendered. Raises MediaLimit."""
        plays = self.leg.play(self.audio.pieces(command.parts))
        self.heard.begins(command, plays, is_left=is_left)
        self.answer.speaks(command.parts, monotonic())

    @property
    def has_left(self) -> bool:
        """Whether a machine has been spoken to."""
        return self._left is not None

    def leave_again(self) -> None:
        """Leave the message from its beginning. Raises MediaLimit."""
        if self._left is not None:
            self.leg.stop()
            self.play(self._left, is_left=True)

    def over(self, played: Played) -> int | None:
        """A play is over. Returns the token of the prompt that was heard to its end with it, if one was."""
        return self.heard.over(played)

    def stop(self) -> None:
        """The call is over: nothing more is rendered."""
        if self._rendering is not None:
            self._rendering.cancel()

    async def _render(self, command: Speak) -> None:
        try:
            await self.audio.make(command.parts)
        except GatewayError as error:
            _log.error("call_cannot_speak", error=str(error))
            self.tell(Rendered(command, error.slug))
        except Exception:  # noqa: BLE001 - a recording that vanished, a fault of ours: nobody is to wait in silence
            _log.exception("call_rendering_failed", call=self.call_id)
            self.tell(Rendered(command, GatewayError.slug))
        else:
            self.tell(Rendered(command))
