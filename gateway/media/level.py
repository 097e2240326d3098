"""How loud speech is, and making it as loud as wanted."""

from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.media.g711 import FRAME_TICKS, Samples

OVERLOAD: Final = 32768.0  # 0 dBov: the power of a full-scale square wave (ITU-T G.100.1)
MARGIN_DB: Final = 15.9  # frames this far below the active level are pauses (ITU-T P.56, section 6)
CEILING_DBOV: Final = -1.0  # no peak is raised above this
LIMITED_DB: Final = 3.0  # how much of the highest peaks is rounded off for a prompt that would stay too soft
KNEE: Final = 0.7  # from this share of the ceiling on
SILENCE_DBOV: Final = -96.0


def active_level(pcm: bytes) -> float:
    """The level of speech without its pauses, in dBov, -96 for silence.

    pcm: 8 kHz mono PCM16. The method is that of ITU-T P.56 (power over the frames within 15.9 dB of the answer), on
    frames of 20 ms instead of an envelope.
    """
    samples = np.frombuffer(pcm, np.int16).astype(np.float64)
    whole = len(samples) // FRAME_TICKS * FRAME_TICKS
    if whole == 0:
        return SILENCE_DBOV
    powers = np.mean(samples[:whole].reshape(-1, FRAME_TICKS) ** 2, axis=1) / OVERLOAD**2
    level = _decibels(float(powers.max()))
    for _ in range(20):  # falls from the loudest frame and settles within a few rounds
        active = powers[powers >= 10 ** ((level - MARGIN_DB) / 10)]
        lower = _decibels(float(active.mean())) if len(active) else SILENCE_DBOV
        if lower > level - 0.01:
            break
        level = lower
    return level


def levelled(pcm: bytes, target_dbov: float = -20.0) -> bytes:
    """The same audio with its active level at the target; silence as it is.

    No peak passes -1 dBov. One that would by up to 3 dB is rounded off: one loud syllable must not make a whole prompt
    soft. One that would by more keeps the audio that much softer.
    """
    level = active_level(pcm)
    if level <= SILENCE_DBOV:
        return pcm
    samples = np.frombuffer(pcm, np.int16)
    peak_dbov = 20 * np.log10(np.abs(samples.astype(np.float64)).max() / OVERLOAD)
    headroom_db = CEILING_DBOV - float(peak_dbov)
    raised_db = min(target_dbov - level, headroom_db + LIMITED_DB)
    if raised_db <= headroom_db:
        return gain(samples, raised_db).tobytes()
    return _rounded_off(samples.astype(np.float64) * 10 ** (raised_db / 20)).tobytes()


def gain(samples: Samples, decibels: float) -> Samples:
    """Louder or softer by so many dB; what would pass full scale is clipped."""
    scaled = np.rint(samples.astype(np.float64) * 10 ** (decibels / 20))
    return np.clip(scaled, -32768, 32767).astype(np.int16)


def _rounded_off(wave: npt.NDArray[np.float64]) -> Samples:
    """Peaks bent towards the ceiling from the knee on; below it nothing changes."""
    ceiling = OVERLOAD * 10 ** (CEILING_DBOV / 20)
    knee, above = ceiling * KNEE, ceiling * (1 - KNEE)
    size = np.abs(wave)
    bent = knee + above * np.tanh((size - knee) / above)
    rounded: Samples = np.rint(np.sign(wave) * np.where(size > knee, bent, size)).astype(np.int16)
    return rounded


def _decibels(power: float) -> float:
    return max(SILENCE_DBOV, 10 * float(np.log10(power))) if power > 0 else SILENCE_DBOV
