"""Tones: DTMF as sound, a voicemail's beep, silence. All 8 kHz mono PCM16."""

from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.errors.media import InvalidDigit
from gateway.media.g711 import RATE_HZ

LOW_HZ: Final = (697.0, 770.0, 852.0, 941.0)  # ITU-T Q.23: rows of the keypad
HIGH_HZ: Final = (1209.0, 1336.0, 1477.0, 1633.0)  # and its columns
KEYPAD: Final = "123A456B789C*0#D"  # row by row


def silence(seconds: float) -> bytes:
    """So many seconds of nothing."""
    return bytes(2 * round(seconds * RATE_HZ))


def tone(frequencies_hz: tuple[float, ...], seconds: float, *, level_dbov: float = -10.0) -> bytes:
    """Steady sines together; each one is at `level_dbov` (a sine at full scale is -3 dBov)."""
    ticks = np.arange(round(seconds * RATE_HZ))
    amplitude = 32768 * np.sqrt(2) * 10 ** (level_dbov / 20)
    waves: npt.NDArray[np.float64] = np.zeros(len(ticks))
    for hertz in frequencies_hz:
        waves += amplitude * np.sin(2 * np.pi * hertz / RATE_HZ * ticks)
    return np.clip(np.rint(waves), -32768, 32767).astype(np.int16).tobytes()


def beep(seconds: float = 0.4, hertz: float = 1000.0) -> bytes:
    """What a voicemail plays before it records."""
    return tone((hertz,), seconds)


def speak_now() -> bytes:
    """What is played before a spoken answer is recorded; two at once: heard back, it is no voicemail's beep."""
    return tone((440.0, 620.0), 0.25, level_dbov=-20.0)


def dtmf(digit: str, seconds: float = 0.1) -> bytes:
    """One key as it sounds. Raises: InvalidDigit."""
    if len(digit) != 1 or digit not in KEYPAD:
        raise InvalidDigit
    row, column = divmod(KEYPAD.index(digit), 4)
    return tone((LOW_HZ[row], HIGH_HZ[column]), seconds, level_dbov=-14.0)
