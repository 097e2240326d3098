"""G.711: 16-bit linear audio to and from 8-bit mu-law and A-law, by table.

The tables follow ITU-T G.711, tables 1a to 2b (14-bit mu-law and 13-bit A-law, left-aligned in 16 bits). A sample is
encoded to the nearest decision value; that two encoders differ by one step at a boundary is allowed by the standard.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

RATE_HZ: Final = 8000
FRAME_TICKS: Final = 160  # 20 ms, the packet time of RFC 3551, section 4.2
FRAME_S: Final = 0.020

PCMU: Final = 0  # RFC 3551, table 4
PCMA: Final = 8
SILENCE: Final = {PCMU: b"\xff", PCMA: b"\xd5"}  # the code word nearest to zero

Samples = npt.NDArray[np.int16]


def _ulaw_values() -> npt.NDArray[np.int32]:
    codes = ~np.arange(256, dtype=np.int32) & 0xFF
    size = (((codes & 0x0F) << 3) + 0x84 << (codes >> 4 & 7)) - 0x84
    return np.where(codes & 0x80, -size, size)


def _alaw_values() -> npt.NDArray[np.int32]:
    codes = np.arange(256, dtype=np.int32) ^ 0x55
    segment = codes >> 4 & 7
    size = np.where(
        segment == 0, ((codes & 0x0F) << 4) + 8, (((codes & 0x0F) << 4) + 0x108) << np.maximum(segment - 1, 0)
    )
    return np.where(codes & 0x80, size, -size)


def _encoder(values: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
    """For each of the 65536 samples (as unsigned), the code whose value is nearest."""
    order = np.argsort(values, kind="stable")
    middles = (values[order][1:] + values[order][:-1] + 1) // 2
    samples = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    return order[np.searchsorted(middles, samples, side="right")].astype(np.uint8)


_DECODE: Final = {PCMU: _ulaw_values().astype(np.int16), PCMA: _alaw_values().astype(np.int16)}
_ENCODE: Final = {law: _encoder(table.astype(np.int32)) for law, table in _DECODE.items()}


def encode(pcm: bytes, payload_type: int = PCMU) -> bytes:
    """Compress 8 kHz mono PCM16 in the machine's byte order (an odd last byte is left out); one byte a sample.

    payload_type: PCMU (0) or PCMA (8); another is a KeyError.
    """
    samples = np.frombuffer(pcm, np.uint16, count=len(pcm) // 2)
    return _ENCODE[payload_type][samples].tobytes()


def decode(coded: bytes, payload_type: int = PCMU) -> bytes:
    """Expand G.711 to 8 kHz mono PCM16 in the machine's byte order; two bytes for each byte given."""
    return _DECODE[payload_type][np.frombuffer(coded, np.uint8)].tobytes()
