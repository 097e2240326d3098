"""Keys heard as sound: DTMF in the audio itself, for far ends that offer no telephone events.

Windows of 20 ms every 10 ms. A window counts as a key when the strongest row and column tone together hold most of
its power, stand clear of the other tones and are near each other in level. Three such windows in a row make a key:
40 ms of tone always fills three, 20 ms never more than two (ITU-T Q.24 asks that the one is taken and a blip is not).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.media.tones import HIGH_HZ, KEYPAD, LOW_HZ

WINDOW: Final = 160  # samples; bins are 50 Hz wide, so that a tone 1.5 % off stays in its bin
HOP: Final = 80

QUIETEST_RMS: Final = 260.0  # -42 dBov, about what Q.24 asks a receiver to hear
SHARE: Final = 0.53  # of the window's power in the two tones; a tone that fills half the window reaches 0.5
CLEAR: Final = 4.0  # the strongest tone of a group has so many times the power of the next (6 dB)
ROW_LOUDER: Final = 10.0  # at most, times the column's power (Q.24: 4 dB to 8 dB of twist, with room to spare)
COLUMN_LOUDER: Final = 10.0
WINDOWS_TO_PRESS: Final = 3
WINDOWS_TO_RELEASE: Final = 4  # a lost packet is 20 ms of silence: three windows, and does not make one key two

Floats = npt.NDArray[np.float32]

_ANGLES: Final = 2 * np.pi / 8000 * np.outer(np.arange(WINDOW), np.array(LOW_HZ + HIGH_HZ))
_PROBES: Final = np.concatenate([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1).astype(np.float32)


def keys_in(windows: npt.NDArray[np.int16]) -> list[str | None]:
    """The key that sounds in each window, or None.

    windows: shape (rows, 160), 8 kHz samples; rows may belong to as many calls, so that one product serves them all.
    """
    samples: Floats = windows.astype(np.float32)
    mean_square = np.einsum("ij,ij->i", samples, samples) / WINDOW
    products = samples @ _PROBES
    # A sine of amplitude A correlates to A * WINDOW / 2 and has power A ** 2 / 2.
    powers: Floats = (products[:, :8] ** 2 + products[:, 8:] ** 2) * np.float32(2 / WINDOW**2)
    row, row_power, row_clear = _strongest(powers[:, :4])
    column, column_power, column_clear = _strongest(powers[:, 4:])
    is_key = (
        (mean_square >= QUIETEST_RMS**2)
        & (row_power + column_power >= SHARE * mean_square)
        & row_clear
        & column_clear
        & (row_power <= ROW_LOUDER * column_power)
        & (column_power <= COLUMN_LOUDER * row_power)
    )
    return [
        KEYPAD[4 * r + c] if yes else None
        for r, c, yes in zip(row.tolist(), column.tolist(), is_key.tolist(), strict=True)
    ]


def _strongest(
    powers: Floats,
) -> tuple[npt.NDArray[np.intp], Floats, npt.NDArray[np.bool_]]:
    """For each row: which tone is the strongest, its power, and whether it stands clear of the next."""
    order = np.sort(powers, axis=1)
    return powers.argmax(axis=1), order[:, 3], order[:, 3] >= CLEAR * order[:, 2]


class ToneReceiver:
    """One call's ear: collects its audio into windows and tells presses from what was found in them."""

    def __init__(self) -> None:
        self._audio = bytearray()
        self._sounding: str | None = None  # the key that was reported and still sounds
        self._candidate: str | None = None
        self._agreeing = 0
        self._missing = 0

    def hear(self, pcm: bytes) -> None:
        """Add what was received, PCM16 at 8 kHz."""
        self._audio += pcm

    def windows(self) -> list[bytes]:
        """Take out the windows that are complete, each 160 samples, oldest first. Give their keys to `found`."""
        count = max(0, (len(self._audio) // 2 - WINDOW) // HOP + 1)
        taken = [bytes(self._audio[2 * HOP * n : 2 * (HOP * n + WINDOW)]) for n in range(count)]
        del self._audio[: 2 * HOP * count]
        return taken

    def found(self, key: str | None) -> str | None:
        """Judge one window, in order. Returns the key when this window makes it a press."""
        self._agreeing = self._agreeing + 1 if key is not None and key == self._candidate else 1
        self._candidate = key
        self._missing = 0 if key == self._sounding else self._missing + 1
        if self._missing >= WINDOWS_TO_RELEASE:
            self._sounding = None
        if key is None or key == self._sounding or self._agreeing < WINDOWS_TO_PRESS:
            return None
        self._sounding = key
        self._missing = 0
        return key


def hear_all(receivers: Sequence[ToneReceiver]) -> list[tuple[int, str]]:
    """Judge all that these calls have heard since the last time. Returns (index of the call, key), in order."""
    taken = [(index, window) for index, receiver in enumerate(receivers) for window in receiver.windows()]
    if not taken:
        return []
    samples = np.frombuffer(b"".join(window for _, window in taken), np.int16).reshape(-1, WINDOW)
    judged = ((index, receivers[index].found(key)) for (index, _), key in zip(taken, keys_in(samples), strict=True))
    return [(index, key) for index, key in judged if key is not None]
