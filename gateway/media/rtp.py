"""RTP packets to and from bytes (RFC 3550, section 5.1)."""

import struct
from typing import Final, NamedTuple

from gateway.errors.media import BadRtp

HEADER: Final = struct.Struct("!BBHII")
VERSION_2: Final = 0x80
MARKER: Final = 0x80  # in the byte of the payload type
SEQUENCES: Final = 1 << 16
TIMESTAMPS: Final = 1 << 32


class Packet(NamedTuple):
    """One RTP packet. A named tuple, for it is made fifty times a second for each call."""

    payload_type: int  # 0..127
    sequence: int  # 16 bits
    timestamp: int  # 32 bits, in ticks of 1/8000 s
    ssrc: int  # 32 bits
    marker: bool
    payload: bytes


def build(packet: Packet) -> bytes:
    """Encode a packet without CSRCs, extension or padding."""
    kind = packet.marker << 7 | packet.payload_type
    return HEADER.pack(VERSION_2, kind, packet.sequence, packet.timestamp, packet.ssrc) + packet.payload


def parse(data: bytes) -> Packet:
    """Decode one datagram; CSRCs, a header extension and padding are skipped. The payload may be empty.

    Raises: BadRtp when it is shorter than its own header says, of another version, or its padding is impossible.
    Source: RFC 3550, sections 5.1 and 5.3.1.
    """
    if len(data) < HEADER.size:
        raise BadRtp("shorter than an RTP header")
    first, kind, sequence, timestamp, ssrc = HEADER.unpack_from(data)
    payload = data[12:] if first == VERSION_2 else _payload(data, first)
    return Packet(kind & 0x7F, sequence, timestamp, ssrc, kind >= 0x80, payload)


def _payload(data: bytes, first: int) -> bytes:
    if first >> 6 != 2:
        raise BadRtp("not RTP version 2")
    start, end = HEADER.size + 4 * (first & 0x0F), len(data)
    if first & 0x10:
        if end < start + 4:
            raise BadRtp("header extension cut short")
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    if first & 0x20:
        padding = data[-1]
        if padding == 0:
            raise BadRtp("padding of no length")
        end -= padding
    if end < start:
        raise BadRtp("header, extension or padding reach beyond the end")
    return data[start:end]


def timestamp_distance(newer: int, older: int) -> int:
    """How far `newer` is ahead of `older` on the 32-bit circle, in ticks: -2**31..2**31-1."""
    return (newer - older + 0x8000_0000) % TIMESTAMPS - 0x8000_0000
