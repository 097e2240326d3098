"""RTCP packets to and from bytes: SR, RR, SDES and BYE, in compounds (RFC 3550, section 6)."""

import struct
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from gateway.errors.media import BadRtp

SENDER_REPORT, RECEIVER_REPORT, SOURCE_DESCRIPTION, GOODBYE = 200, 201, 202, 203
INTERVAL_S: Final = 5.0  # section 6.2; what is waited is this times 0.5 to 1.5 (6.3.1)
NTP_EPOCH_S: Final = 2_208_988_800  # from 1900 to 1970

_HEADER: Final = struct.Struct("!BBH")
_SENDER: Final = struct.Struct("!IIIIII")
_BLOCK: Final = struct.Struct("!IIIIII")
_WORD: Final = struct.Struct("!I")
_CNAME: Final = 1


class Block(NamedTuple):
    """What a receiver says of one source.

    share: lost since its last report, in 256ths. lost: in all, may be negative. jitter: in ticks.
    last_report, delay: the middle 32 bits of the NTP time of the newest SR, and what has passed since, in 1/65536 s.
    """

    ssrc: int
    share: int
    lost: int
    highest: int
    jitter: int
    last_report: int
    delay: int


class Sending(NamedTuple):
    """What a sender says of itself. `ntp` is 64 bits, in 1/2**32 s since 1900."""

    ntp: int
    timestamp: int
    packets: int
    octets: int


@dataclass(slots=True)
class Compound:
    """What one datagram said: who sent it, the blocks in it, and who has left."""

    ssrc: int
    sending: Sending | None = None
    blocks: list[Block] = field(default_factory=list)
    left: list[int] = field(default_factory=list)


def ntp_time(unix_s: float) -> int:
    """Seconds since 1970 as 64 bits of NTP."""
    return int((unix_s + NTP_EPOCH_S) * (1 << 32)) & 0xFFFF_FFFF_FFFF_FFFF


def middle(ntp: int) -> int:
    """The middle 32 bits, which reports carry: 1/65536 s."""
    return ntp >> 16 & 0xFFFF_FFFF


def build(ssrc: int, cname: str, sending: Sending | None, block: Block | None, *, is_last: bool = False) -> bytes:
    """A compound: SR where something was sent, else RR; the SDES with the CNAME; BYE where it is the last."""
    blocks = b"" if block is None else _block(block)
    if sending is None:
        report = _packet(RECEIVER_REPORT, len(blocks) // _BLOCK.size, _WORD.pack(ssrc) + blocks)
    else:
        ntp, timestamp, packets, octets = sending
        head = _SENDER.pack(ssrc, ntp >> 32, ntp & 0xFFFF_FFFF, timestamp, packets % (1 << 32), octets % (1 << 32))
        report = _packet(SENDER_REPORT, len(blocks) // _BLOCK.size, head + blocks)
    name = cname.encode()[:255]
    chunk = _WORD.pack(ssrc) + bytes((_CNAME, len(name))) + name
    described = _packet(SOURCE_DESCRIPTION, 1, chunk + bytes(4 - len(chunk) % 4))
    return report + described + (_packet(GOODBYE, 1, _WORD.pack(ssrc)) if is_last else b"")


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return _HEADER.pack(0x80 | count, kind, len(body) // 4) + body


def _block(block: Block) -> bytes:
    lost = block.share << 24 | block.lost & 0xFFFFFF
    return _BLOCK.pack(block.ssrc, lost, block.highest, block.jitter & 0xFFFF_FFFF, block.last_report, block.delay)


def is_rtcp(data: bytes) -> bool:
    """Whether a datagram on a port that carries both is RTCP (RFC 5761, section 4)."""
    return len(data) > 1 and 192 <= data[1] <= 223


def parse(data: bytes) -> Compound:
    """Read one datagram; packets of other kinds are passed over.

    Raises: BadRtp where it does not begin with a whole SR or RR of version 2, or a length reaches beyond its end.
    Source: RFC 3550, section 6.1 and appendix A.2.
    """
    if len(data) < 8 or data[0] & 0xE0 != 0x80 or data[1] not in {SENDER_REPORT, RECEIVER_REPORT}:
        raise BadRtp("no RTCP compound")
    compound = Compound(_WORD.unpack_from(data, 4)[0])
    at = 0
    while at < len(data):
        if len(data) - at < 4 or data[at] >> 6 != 2:
            raise BadRtp("RTCP packet cut short, or of another version")
        first, kind, words = _HEADER.unpack_from(data, at)
        end = at + 4 * (words + 1)
        if end > len(data):
            raise BadRtp("RTCP packet longer than its datagram")
        _read(compound, kind, first & 0x1F, data[at + 4 : end])
        at = end
    return compound


def _read(compound: Compound, kind: int, count: int, body: bytes) -> None:
    if kind == SENDER_REPORT:
        if len(body) < _SENDER.size:
            raise BadRtp("sender report cut short")
        _, high, low, timestamp, packets, octets = _SENDER.unpack_from(body)
        compound.sending = Sending(high << 32 | low, timestamp, packets, octets)
        compound.blocks += _blocks(body[_SENDER.size :], count)
    elif kind == RECEIVER_REPORT:
        compound.blocks += _blocks(body[_WORD.size :], count)
    elif kind == GOODBYE:
        if len(body) < 4 * count:
            raise BadRtp("goodbye cut short")
        compound.left += [_WORD.unpack_from(body, 4 * index)[0] for index in range(count)]


def _blocks(body: bytes, count: int) -> list[Block]:
    if len(body) < count * _BLOCK.size:
        raise BadRtp("report block cut short")
    found = []
    for index in range(count):
        ssrc, lost, highest, jitter, last_report, delay = _BLOCK.unpack_from(body, index * _BLOCK.size)
        signed = (lost & 0xFFFFFF) - (lost >> 23 & 1) * (1 << 24)
        found.append(Block(ssrc, lost >> 24, signed, highest, jitter, last_report, delay))
    return found
