"""Beeps: narrow steady tones in what is heard, as a voicemail plays before it records.

Windows of 32 ms every 10 ms. A window holds a tone when nearly all of its power lies within two bins of its peak. Five
such windows in a row, of one pitch to within a few hertz, make a beep of 80 ms. Below 700 Hz it takes 200 ms, and one
loudness: on telephone lines, which cut the lowest pitch away, vowels and hums ("no", "mm") are often one harmonic that
drowns the others, for a tenth of a second and longer, but few are held that still for that long.
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
VOICES_TO_HZ: Final = 700.0  # below it a tone may be a voice's; then it is a beep
VOICES_MS: Final = 200  # from this length on,
STEADY_DB: Final = 3.0  # with so much at most from its loudest window to its softest: 2 with noise 8 dB below a beep
WINDOWS_TO_BEGIN: Final = 5
WINDOWS_TO_END: Final = 3

Tone = tuple[float, float]  # Hz; dB, of any reference
Floats = npt.NDArray[np.float64]

_HANN: Final = np.hanning(WINDOW + 1)[:WINDOW]
_HUM: Final = 3  # bins below 94 Hz are the line's, not the far end's


def pitches(windows: npt.NDArray[np.int16]) -> list[Tone | None]:
    """The tone that each window holds, or None.

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
    loud = 10 * np.log10(around.sum(axis=1) + 1e-9)
    tones = zip(hertz.tolist(), loud.tolist(), strict=True)
    return [tone if yes else None for tone, yes in zip(tones, held.tolist(), strict=True)]


@dataclass(frozen=True, slots=True)
class Beep:
    """A tone that is over: its pitch, and how long it was heard."""

    hertz: float
    length_ms: int


class BeepWatch:
    """One call's windows, judged in order."""

    def __init__(self) -> None:
        self._hertz = 0.0
        self._levels: list[float] = []  # of the windows in a row that hold this pitch
        self._windows = 0  # with the few between them that do not
        self._missing = 0

    @property
    def length_ms(self) -> int:
        """How long the tone has lasted that sounds now; 0 where none does."""
        return (self._windows - 1) * HOP_MS + WINDOW_MS if self._windows >= WINDOWS_TO_BEGIN else 0

    @property
    def is_beep(self) -> bool:
        """Whether what sounds now is a beep already, and can be no voice."""
        if not self.length_ms or self._hertz >= VOICES_TO_HZ:
            return self.length_ms > 0
        whole = self._levels[1:-1]  # the first and the last window are filled in part
        return self.length_ms >= VOICES_MS and max(whole) - min(whole) <= STEADY_DB

    def found(self, tone: Tone | None) -> Beep | None:
        """Judge one window. Returns the beep that this window shows to be over."""
        if tone is not None and abs(tone[0] - self._hertz) <= max(STEADY_HZ, STEADY * self._hertz):
            self._windows += 1 + self._missing
            self._levels.append(tone[1])
            self._missing = 0
            return None
        self._missing += 1
        if self._windows and self._missing < WINDOWS_TO_END and (tone is None or self.length_ms):
            return None
        ended = Beep(round(self._hertz, 1), self.length_ms) if self.is_beep else None
        self._hertz, self._levels, self._windows, self._missing = 0.0, [], 0, 0
        if tone is not None:
            self._hertz, self._levels, self._windows = tone[0], [tone[1]], 1
        return ended
