"""Make any audio a telephone prompt: 8 kHz mono PCM16 without silence around it, decoded from what people record."""

import io
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from gateway.errors.speech import BadPrompt
from gateway.media.g711 import RATE_HZ
from gateway.media.level import active_level

SILENT_DBOV: Final = -70.0  # below this there is nothing that a caller would hear
TRIM_DB: Final = 35.0  # what is this far below the active level, at either end, is cut off
FRAME: Final = RATE_HZ // 100  # 10 ms
LEAD_FRAMES: Final = 3  # soft consonants begin below the threshold; endings fade for longer
TAIL_FRAMES: Final = 8
RATES_HZ: Final = range(6000, 96_001)
MOST_CHANNELS: Final = 8
EXTENSIONS: Final = {"WAV": "wav", "WAVEX": "wav", "RF64": "wav", "FLAC": "flac", "OGG": "ogg", "MP3": "mp3"}

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Decoded:
    """What was in an audio file: `pcm` at 8 kHz, mono, not yet trimmed or levelled, and what it was before."""

    pcm: bytes
    format: str  # wav | flac | ogg | mp3
    rate_hz: int
    channels: int

    @property
    def seconds(self) -> float:
        """How long it plays."""
        return len(self.pcm) / (2 * RATE_HZ)


def decoded(data: bytes, *, max_seconds: float) -> Decoded:
    """Decode a recording in wav, flac, ogg or mp3, mixing its channels into one.

    max_seconds:  the most it may play, counted in decoded samples: a header can lie and a small file can be long.
    Raises:       BadPrompt, saying what is wrong with it.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            _check(file)
            return Decoded(
                _at_8_khz(file, max_seconds), EXTENSIONS[file.format], int(file.samplerate), int(file.channels)
            )
    except soundfile.LibsndfileError as error:
        raise BadPrompt(
            f"not a readable recording ({error.error_string.strip(' .')}); give wav, flac, ogg or mp3"
        ) from error


def _check(file: Any) -> None:
    if file.format not in EXTENSIONS:
        raise BadPrompt(f"the format {file.format} is not taken; give wav, flac, ogg or mp3")
    if file.samplerate not in RATES_HZ:
        raise BadPrompt(f"{file.samplerate} samples a second; needed are {RATES_HZ.start} to {RATES_HZ.stop - 1}")
    if file.channels > MOST_CHANNELS:
        raise BadPrompt(f"{file.channels} channels; at most {MOST_CHANNELS} are taken")


def _at_8_khz(file: Any, max_seconds: float) -> bytes:
    """Block by block, so that memory stays small however long the file claims to be."""
    resampler = soxr.ResampleStream(file.samplerate, RATE_HZ, 1, dtype="float32", quality="HQ")
    pieces: list[Floats] = []
    samples = 0
    for block in file.blocks(blocksize=file.samplerate, dtype="float32", always_2d=True):
        samples += len(block)
        if samples > max_seconds * file.samplerate:
            raise BadPrompt(f"it plays longer than {max_seconds:g} seconds")
        pieces.append(resampler.resample_chunk(np.nan_to_num(block.mean(axis=1))))
    pieces.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    return pcm16(np.concatenate(pieces))


def resampled(samples: Floats, rate_hz: int) -> bytes:
    """One channel at any rate to 8 kHz PCM16; full scale is 1.0."""
    return pcm16(soxr.resample(samples, rate_hz, RATE_HZ, quality="HQ"))


def pcm16(samples: Floats) -> bytes:
    """Floats to 16 bits, little-endian; what passes full scale (float files may) is made softer as a whole, not cut."""
    peak = float(np.abs(samples).max(initial=0.0))
    scaled = np.rint(samples * np.float32(32767 / max(peak, 1.0)))
    return bytes(scaled.astype("<i2").data)


def trimmed(pcm: bytes) -> bytes:
    """The same audio without the silence before and after it; empty if there is nothing else."""
    level = active_level(pcm)
    if level < SILENT_DBOV:
        return b""
    samples = np.frombuffer(pcm, "<i2").astype(np.float64) / 32768
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    loud = np.flatnonzero(np.mean(frames**2, axis=1) > 10 ** ((level - TRIM_DB) / 10))
    start = max(0, int(loud[0]) - LEAD_FRAMES) * FRAME
    return pcm[2 * start : 2 * (int(loud[-1]) + 1 + TAIL_FRAMES) * FRAME]
