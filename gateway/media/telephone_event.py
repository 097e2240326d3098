"""Pressed keys as RTP telephone events (RFC 4733)."""

import struct
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from gateway.errors.media import InvalidDigit
from gateway.media.rtp import Packet, timestamp_distance

DIGITS: Final = "0123456789*#ABCD"  # position = event code, RFC 4733, table 3
_APART_TICKS: Final = 160
LONGEST_TICKS: Final = 0xFFFF  # a longer press goes on as a new segment, section 2.5.1.3
_PAYLOAD: Final = struct.Struct("!BBH")
SIZE: Final = _PAYLOAD.size
_REMEMBERED: Final = 64  # presses; a repeat arrives within three packets of its own


@dataclass(frozen=True, slots=True)
class TelephoneEvent:
    """One decoded payload. `code` is any event, not only a digit; see `digit`."""

    code: int
    end: bool
    level: int  # dB below 0 dBm0
    ticks: int  # how long the key has been down

    @property
    def digit(self) -> str | None:
        """The key, or None for an event that is no key (flash, fax tones and so on)."""
        return DIGITS[self.code] if self.code < len(DIGITS) else None


def encode(digit: str, *, ticks: int, level: int = 10, end: bool = False) -> bytes:
    """Encode one key as a telephone-event payload.

    digit:   one of ``0-9 * # A-D``.
    ticks:   how long it has been down, in RTP clock ticks; 160 = 20 ms at 8 kHz; 0..65535.
    level:   dB below 0 dBm0, 0..63, so 10 means -10 dBm0.
    Returns: 4 bytes, big-endian: event, E|R|volume, duration (R always 0).
    Raises:  InvalidDigit; ValueError if ticks or level is out of range.
    Source:  RFC 4733, section 2.3 (layout) and table 3 (event codes).
    """
    if len(digit) != 1 or digit not in DIGITS:
        raise InvalidDigit
    if not (0 <= ticks <= LONGEST_TICKS and 0 <= level <= 63):
        raise ValueError(f"{ticks=} {level=}")
    return _PAYLOAD.pack(DIGITS.index(digit), end << 7 | level, ticks)


def decode(payload: bytes) -> TelephoneEvent | None:
    """Decode a payload's first event; None when it is too short to hold one. Bytes behind the fourth are ignored."""
    if len(payload) < _PAYLOAD.size:
        return None
    code, flags, ticks = _PAYLOAD.unpack_from(payload)
    return TelephoneEvent(code, flags >= 0x80, flags & 0x3F, ticks)


class DigitReceiver:
    """Turns telephone-event packets into keys: one for each (SSRC, RTP timestamp), on the first packet seen.

    The first packet of a press carries a marker, but may be the one that was lost, so the marker is not asked for. No
    packet, however broken, ends the receiver.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[int, int], None] = OrderedDict()
        self._newest: tuple[int, int, int, int] | None = None  # ssrc, timestamp, code and duration of the last press

    def receive(self, packet: Packet) -> str | None:
        """Give every packet of the telephone-event payload type; the key comes back once, else None."""
        event = decode(packet.payload)
        if event is None or event.digit is None:
            return None
        press = (packet.ssrc, packet.timestamp)
        known = press in self._seen or self._goes_on(packet, event)
        self._remember(press)
        if self._newest is None or timestamp_distance(packet.timestamp, self._newest[1]) >= 0 or not known:
            self._newest = (packet.ssrc, packet.timestamp, event.code, event.ticks)
        return None if known else event.digit

    def _goes_on(self, packet: Packet, event: TelephoneEvent) -> bool:
        """Whether this is more of the press before, under another timestamp.

        So it is in the second segment of a long press (section 2.5.1.3), and with far ends that move the timestamp on
        with each packet: no second press begins within the first, nor within 20 ms of its end.
        """
        if self._newest is None or packet.marker:
            return False
        ssrc, timestamp, code, ticks = self._newest
        ahead = timestamp_distance(packet.timestamp, timestamp)
        return (ssrc, code) == (packet.ssrc, event.code) and 0 < ahead <= ticks + _APART_TICKS

    def _remember(self, press: tuple[int, int]) -> None:
        self._seen[press] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
