"""The three rising tones before an operator's announcement: the number is out of service, or all lines are busy.

Each lasts 274 or 380 ms, the next follows at once (special information tones: ITU-T E.180; Telcordia SR-2275). The
first alone is like a voicemail's beep, so it is held back for as long as the second may come.
"""

from typing import Final

from gateway.media.beeps import Beep

STEPS_HZ: Final = ((913.8, 985.2, 950.0), (1370.6, 1428.5, 1400.0), (1776.7, 1800.0))  # American, then E.180's own
OFF: Final = (
    0.012  # what a pitch may be wrong by. 1.5 % is allowed, but then the commonest beep, of 1,000 Hz, is one of them
)
SHORTEST_MS: Final = 200
LONGEST_MS: Final = 450
GAP_MS: Final = 80  # at most, between two of them; a tone must last so long to be seen as one


class SpecialTones:
    """One call's beeps, in order, and how many of the three they make."""

    def __init__(self) -> None:
        self.heard = 0
        self._held: Beep | None = None  # which may turn out to be a voicemail's
        self.ended_ms = 0  # the last of them

    def add(self, beep: Beep, at_ms: int) -> bool:
        """Take a beep that ended just now; whether it may belong to the three, or does."""
        begins = at_ms - beep.length_ms
        if self.heard and begins - self.ended_ms > GAP_MS:
            self.heard = 0
        expected = STEPS_HZ[self.heard] if self.heard < len(STEPS_HZ) else ()
        is_long = SHORTEST_MS <= beep.length_ms <= LONGEST_MS
        if not is_long or not any(abs(beep.hertz - hertz) <= OFF * hertz for hertz in expected):
            self.heard, self._held = 0, None
            return False
        self.heard, self.ended_ms = self.heard + 1, at_ms
        self._held = beep if self.heard == 1 else None
        return True

    @property
    def are_three(self) -> bool:
        """Whether they are complete."""
        return self.heard == len(STEPS_HZ)

    def released(self, at_ms: int) -> Beep | None:
        """The beep that was held back, once nothing has followed it."""
        if self._held is None or at_ms - self.ended_ms <= GAP_MS:
            return None
        beep, self._held, self.heard = self._held, None, 0
        return beep
