"""What one call over a trunk was given to play, and how much of it was heard."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.carriers.voice_base import Played
from gateway.store import calls
from gateway.voice.dialplan import Pause, Play, Say
from gateway.voice.state import Speak


@dataclass(slots=True)
class PlayedParts:
    """Plays under way, by the leg's ids, and what has come of those that are over.

    prompts: what was heard, each with its seconds, as the call keeps it.
    left_s:  how much of the message to a machine was heard, the last time that it was begun.
    """

    prompts: list[calls.Prompt] = field(default_factory=list)
    left_s: float = 0.0
    _left: tuple[int, ...] = ()  # the plays of that message
    _playing: dict[int, tuple[Say | Play | Pause, int | None]] = field(default_factory=dict)  # part; token it ends

    def begins(self, command: Speak, plays: Sequence[int], *, is_left: bool) -> None:
        """The leg plays the parts of a command as these. is_left: they are the message to a machine."""
        if is_left:
            self._left, self.left_s = tuple(plays), 0.0
        for play, part in zip(plays, command.parts, strict=True):
            self._playing[play] = (part, command.token if play == plays[-1] else None)

    def over(self, played: Played) -> int | None:
        """A play is over. Returns the token of the prompt that was heard to its end with it, if one was."""
        part, token = self._playing.pop(played.play_id)
        if not isinstance(part, Pause) and played.seconds:
            self.prompts.append(calls.prompt(part, played.seconds))
            self.left_s += played.seconds if played.play_id in self._left else 0.0
        return token if played.finished else None
