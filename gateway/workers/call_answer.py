"""Who answered one call, how that was found out, and how soon they heard the message."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.media.events import Detected, GreetingEnded
from gateway.voice.dialplan import Part, Pause


@dataclass(slots=True)
class Answer:
    """What is known of an answer. Times are monotonic seconds; those in events are milliseconds from `at`.

    at:     when it was picked up. message_at: when the first words of the plan began.
    ended:  the end of a machine's greeting.
    """

    at: float | None = None
    detected: Detected | None = None
    ended: GreetingEnded | None = None
    message_at: float | None = None

    def speaks(self, parts: Sequence[Part], now: float) -> None:
        """These parts of the plan are played from now on."""
        for part in parts:
            if self.message_at is None and not isinstance(part, Pause):
                self.message_at = now
            now += part.seconds if isinstance(part, Pause) else 0.0

    def message_delay_ms(self) -> int | None:
        """From the end of the greeting to the message, never below 0; None for a machine, or where nothing was heard.

        Where nobody listened for a greeting, or none came, it counts from the answer.
        """
        if self.at is None or self.message_at is None or self._by == "machine":
            return None
        greeted_ms = (self.detected.voice_to_ms or 0) if self.detected is not None else 0
        return max(0, round((self.message_at - self.at) * 1000) - greeted_ms)

    @property
    def _by(self) -> str:
        return self.detected.by if self.detected is not None else ""

    def evidence(self, left_s: float) -> dict[str, object]:
        """What `Call.detection` keeps. left_s: how much of the message a machine was played."""
        found = self.detected
        if found is None:
            return {}
        told: dict[str, object] = {"by": found.by, "why": found.why, "known_after_s": _s(found.at_ms)}
        heard_to_ms = found.voice_to_ms if self.ended is None else self.ended.voice_to_ms
        if found.voice_from_ms is not None and heard_to_ms is not None:
            told |= {"greeting_s": _s(heard_to_ms - found.voice_from_ms), "words": found.words}
        if self.ended is None or found.by != "machine":
            return told
        if self.ended.beep_ms is not None:
            told |= {"beep_s": _s(self.ended.beep_ms), "beep_hz": self.ended.hertz}
        return {**told, "left_after": self.ended.why, "left_s": round(left_s, 2)}


def _s(milliseconds: int) -> float:
    return milliseconds / 1000
