"""Whether a prompt can be heard as it should: its length, its loudness, its peaks, and the silence around it."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.media.g711 import RATE_HZ
from gateway.media.level import MARGIN_DB, OVERLOAD, SILENCE_DBOV, active_level

TARGET_DBOV: Final = -20.0  # what every prompt is made to be
TOLERANCE_DB: Final = 2.0  # a peak keeps some from coming that far up
FULL_SCALE: Final = 32767
_WINDOW: Final = RATE_HZ // 100  # 10 ms


@dataclass(frozen=True, slots=True)
class Sound:
    """What is measured of a prompt. `lead_s` and `tail_s`: the silence before its first sound and after its last."""

    seconds: float
    level_dbov: float  # of its speech, pauses left out
    peak: int  # 0..32768
    lead_s: float
    tail_s: float


def measured(pcm: bytes) -> Sound:
    """Measure a prompt. pcm: 8 kHz mono PCM16."""
    samples = np.frombuffer(pcm, np.int16).astype(np.float64)
    seconds, level = len(samples) / RATE_HZ, active_level(pcm)
    if level <= SILENCE_DBOV:
        return Sound(seconds, level, 0, seconds, seconds)
    windows = samples[: len(samples) // _WINDOW * _WINDOW].reshape(-1, _WINDOW)
    floor = OVERLOAD**2 * 10 ** ((level - 2 * MARGIN_DB) / 10)
    sounding = np.flatnonzero(np.mean(windows**2, axis=1) > floor)
    lead_s, after_s = sounding[0] * _WINDOW / RATE_HZ, (sounding[-1] + 1) * _WINDOW / RATE_HZ
    return Sound(seconds, level, int(np.abs(samples).max()), float(lead_s), float(seconds - after_s))


def faults(sound: Sound) -> tuple[str, ...]:
    """What is wrong with how it sounds, a few words each."""
    if sound.level_dbov <= SILENCE_DBOV:
        return ("is silent",)
    found = []
    if abs(sound.level_dbov - TARGET_DBOV) > TOLERANCE_DB:
        is_loud = sound.level_dbov > TARGET_DBOV
        wanted = f"{TARGET_DBOV:g} ± {TOLERANCE_DB:g} dBov"
        found.append(f"is too {'loud' if is_loud else 'soft'}: {sound.level_dbov:.1f} instead of {wanted}")
    if sound.peak >= FULL_SCALE:
        found.append("is clipped: a peak reaches full scale")
    return tuple(found)
