"""What one call hears, to be said in another: the two are bridged."""

from typing import Final

from gateway.media.g711 import FRAME_TICKS

START: Final = 2 * FRAME_TICKS  # held back before the first frame, so that a late packet leaves no hole
MOST: Final = 10 * FRAME_TICKS  # no conversation lags by more than 200 ms; what is older is dropped


class Relay:
    """Audio that waits for its turn: packets of any length in, frames of 20 ms out."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._flows = False

    def add(self, coded: bytes) -> None:
        """Add what was heard, G.711 in the law that it is going to be said in."""
        self._held += coded
        del self._held[: max(0, len(self._held) - MOST)]

    def take(self) -> bytes | None:
        """The next frame; None while there is none, and until two are there again."""
        if len(self._held) < (FRAME_TICKS if self._flows else START):
            self._flows = False
            return None
        self._flows = True
        frame = bytes(self._held[:FRAME_TICKS])
        del self._held[:FRAME_TICKS]
        return frame
