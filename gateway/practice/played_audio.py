"""Reading the header of audio that a gateway serves for <Play>: it must be what a telephone network can play."""

import struct
from dataclasses import dataclass

from gateway.errors.media import BadWav

_PCM, _A_LAW, _MU_LAW = 1, 6, 7  # RFC 2361, WAVE format tags


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """Format tag (1 PCM, 6 A-law, 7 mu-law), samples a second, bits a sample, channels and length in seconds."""

    tag: int
    rate: int
    bits: int
    channels: int
    seconds: float


def read_wav(data: bytes) -> AudioFacts:
    """Read a RIFF/WAVE file's header and check that it is telephone audio: 8 kHz, one channel, PCM16 or G.711.

    Raises: BadWav, with what is wrong.
    """
    chunks = _chunks(data)
    if "fmt " not in chunks or "data" not in chunks or len(chunks["fmt "]) < 16:
        raise BadWav("not a WAV file: no RIFF header, fmt or data chunk")
    tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", chunks["fmt "][:16])
    if (tag, bits) not in {(_PCM, 16), (_A_LAW, 8), (_MU_LAW, 8)} or channels != 1 or rate != 8000:
        raise BadWav(f"not telephone audio: format {tag}, {rate} Hz, {channels} channels, {bits} bits")
    return AudioFacts(tag, rate, bits, channels, len(chunks["data"]) / (rate * bits // 8))


def _chunks(data: bytes) -> dict[str, bytes]:
    """Split a RIFF file; nothing when it is none. A chunk cut short is kept as far as it goes."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return {}
    chunks, at = {}, 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        chunks[data[at : at + 4].decode("latin-1")] = data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    return chunks
