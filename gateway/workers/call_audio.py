"""The audio of one call: what can be rendered before it is dialled is, so that nobody waits on the line for a voice."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.carriers.voice_base import rendered
from gateway.errors.speech import PromptTooLong
from gateway.speech.audio import Audio
from gateway.speech.prompts import TenantPrompts
from gateway.voice import filling
from gateway.voice.dialplan import Part, Pause, Play, Say
from gateway.voice.state import State


@dataclass(slots=True)
class CallAudio:
    """Parts by what they sound like. Holds what was made ahead; the rest is made when it is needed."""

    prompts: TenantPrompts
    made: dict[Say | Play, Audio] = field(default_factory=dict)

    async def prepare(self, state: State) -> None:
        """Render all that this call can need and that is known before it.

        Raises: UnspeakableText, UnknownVoice, SpeechUnavailable, UnknownPrompt, BadPrompt.
        """
        parts = filling.foreseen(state)
        self.made |= zip(parts, await asyncio.gather(*(rendered(self.prompts, part) for part in parts)), strict=True)

    def check(self, state: State, *, longest_s: float) -> None:
        """Raise PromptTooLong where what was made ahead for one node plays for longer."""
        for prompt in filling.prompts(state):
            seconds = sum(
                part.seconds if isinstance(part, Pause) else self.made[part].seconds
                for part in prompt.parts
                if isinstance(part, Pause) or part in self.made
            )
            if seconds > longest_s:
                raise PromptTooLong(prompt.node, seconds, longest_s)

    def ready(self, parts: tuple[Part, ...]) -> bool:
        """Whether all of it can be played at once."""
        return all(isinstance(part, Pause) or part in self.made for part in parts)

    async def make(self, parts: tuple[Part, ...]) -> None:
        """Render what is missing of these. Raises as `prepare`."""
        for part in parts:
            if not isinstance(part, Pause) and part not in self.made:
                self.made[part] = await rendered(self.prompts, part)

    def pieces(self, parts: tuple[Part, ...]) -> tuple[Audio | float, ...]:
        """What a leg plays for these."""
        made: Mapping[Say | Play, Audio] = self.made
        return tuple(part.seconds if isinstance(part, Pause) else made[part] for part in parts)
