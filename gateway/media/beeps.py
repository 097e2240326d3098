"""Beeps: narrow steady tones in what is heard, as a voicemail plays before it records.

Windows of 32 ms every 10 ms. A window holds a tone when nearly all of its power lies within two bins of its peak. Five
such windows in a row, of one pitch to within a few hertz, make a beep of 80 ms: vowels do have windows in which one
harmonic drowns the others, but no voice holds its pitch that still.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.media.g711 import RATE_HZ

WINDOW: Final = 256  # samples; bins are 31.25 Hz wide
HOP: Final = 80
HOP_MS: Final = 10
WINDOW_MS: Final = 32

LOWEST_HZ: Final = 295.0  # 300 to 2,500, and what an estimate may be wrong by
HIGHEST_HZ: Final = 2505.0
SHARE: Final = 0.88  # of the power in five bins: a tone 9 dB above all else that is heard with it
STEADY_HZ: Final = 4.0  # an estimate of a clean tone is within 2 Hz of it
STEADY: Final = 0.006
WINDOWS_TO_BEGIN: Final = 5
WINDOWS_TO_END: Final = 3

Floats = npt.NDArray[np.float64]

_HANN: Final = np.hanning(WINDOW + 1)[:WINDOW]
_HUM: Final = 3  # bins below 94 Hz are the line's, not the far end's


def pitches(windows: npt.NDArray[np.int16]) -> list[float | None]:
    """The pitch of the tone that each window holds, in Hz, or None.

    windows: shape (rows, 256), 8 kHz samples; rows may belong to as many calls.
    """
    power: Floats = np.abs(np.fft.rfft(windows * _HANN, axis=1)) ** 2
    power[:, :_HUM] = 0.0
    peak = np.clip(power.argmax(axis=1), _HUM + 2, power.shape[1] - 3)
    rows = np.arange(len(power))
    around = power[rows[:, None], peak[:, None] + np.arange(-2, 3)]
    total = power.sum(axis=1)
    logs = np.log(around[:, 1:4] + 1e-9)
    bend = logs[:, 0] - 2 * logs[:, 1] + logs[:, 2]
    shift = np.divide(0.5 * (logs[:, 0] - logs[:, 2]), bend, out=np.zeros(len(power)), where=bend < 0)
    hertz = (peak + np.clip(shift, -0.5, 0.5)) * RATE_HZ / WINDOW
    held = (around.sum(axis=1) >= SHARE * total) & (total > 0) & (hertz >= LOWEST_HZ) & (hertz <= HIGHEST_HZ)
    return [pitch if yes else None for pitch, yes in zip(hertz.tolist(), held.tolist(), strict=True)]


@dataclass(frozen=True, slots=True)
class Beep:
    """A tone that is over: its pitch, and how long it was heard."""

    hertz: float
    length_ms: int


class BeepWatch:
    """One call's windows, judged in order."""

    def __init__(self) -> None:
        self._hertz = 0.0
        self._windows = 0  # in a row, of this pitch
        self._missing = 0

    @property
    def length_ms(self) -> int:
        """How long the tone has lasted that sounds now; 0 where none does."""
        return (self._windows - 1) * HOP_MS + WINDOW_MS if self._windows >= WINDOWS_TO_BEGIN else 0

    def found(self, hertz: float | None) -> Beep | None:
        """Judge one window. Returns the beep that this window shows to be over."""
        if hertz is not None and abs(hertz - self._hertz) <= max(STEADY_HZ, STEADY * self._hertz):
            self._windows += 1 + self._missing
            self._missing = 0
            return None
        self._missing += 1
        if self._windows and self._missing < WINDOWS_TO_END and (hertz is None or self.length_ms):
            return None
        ended = Beep(round(self._hertz, 1), self.length_ms) if self.length_ms else None
        self._hertz, self._windows, self._missing = hertz or 0.0, int(hertz is not None), 0
        return ended
