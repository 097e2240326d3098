"""Join pieces of 8 kHz audio so that nothing clicks where they meet."""

import warnings
from collections.abc import Sequence
from typing import Final

from gateway.media.g711 import RATE_HZ

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # pydub looks for ffmpeg and audioop when imported; neither is missed here
    from pydub import AudioSegment

FADE_MS: Final = 5  # a jump from one waveform to another is heard as a click; 5 ms hide it and cost no consonant
LONGEST_SILENCE_S: Final = 60.0


def joined(parts: Sequence[bytes | float]) -> bytes:
    """Put pieces one after the other.

    parts:    8 kHz mono PCM16, or seconds of silence (0..60).
    Returns:  8 kHz mono PCM16; each piece fades in and out over 5 ms, so lengths add up exactly.
    Raises:   ValueError if a silence is out of range.
    """
    return b"".join(_faded(part) if isinstance(part, bytes) else _silence(part) for part in parts)


def _faded(pcm: bytes) -> bytes:
    segment = AudioSegment(data=pcm, sample_width=2, frame_rate=RATE_HZ, channels=1)
    if len(segment) < 2 * FADE_MS:
        return pcm
    faded: bytes = segment.fade_in(FADE_MS).fade_out(FADE_MS).raw_data
    return faded


def _silence(seconds: float) -> bytes:
    if not 0 <= seconds <= LONGEST_SILENCE_S:
        raise ValueError(f"{seconds=}")
    return bytes(2 * round(seconds * RATE_HZ))
