"""What a far end sends as audio, keys and reports: into a session that is up."""

from gateway.errors.media import BadRtp
from gateway.media import rtcp, rtp, telephone_event
from gateway.media.events import Digit
from gateway.media.session import Session, hear_tones
from gateway.media.telephone_event import DigitReceiver

FAR = ("192.0.2.7", 4000)
VOICE = bytes(range(96, 256))


def packet(payload: bytes, *, kind: int = 0, number: int = 1, ssrc: int = 9, marker: bool = False) -> bytes:
    return rtp.build(rtp.Packet(kind, number, number * 160, ssrc, marker, payload))


class _Up:
    """A session with every ear open; the clock goes on 20 ms an input."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._start()

    def _start(self) -> None:
        self.session = Session(ssrc=1, sequence=1, timestamp=1, cname="here")
        self.session.connect(*FAR, payload_type=0, event_payload_type=101, now=self.now, rtcp_mux=True)
        self.session.listen(5.0)

    def settle(self) -> None:
        """Whatever came before, the session hears a key from its far end, speaks, and keeps no more than it may."""
        self.now += 0.02
        self.session.events()
        for number in range(3):
            press = telephone_event.encode("7", ticks=160 * (number + 1))
            self.session.receive(
                rtp.build(rtp.Packet(101, 60000 + number, 77_777, 0xABCD, marker=False, payload=press)), FAR, self.now
            )
        assert [event.digit for event in self.session.events() if isinstance(event, Digit)] == ["7"]
        assert self.session.to_send(self.now)
        assert len(self.session.recording()) <= 80_000
        self._start()


class RtpTarget(_Up):
    """Datagrams on the port of the audio, from the far end."""

    seeds = (
        packet(VOICE),
        packet(VOICE, number=2, kind=8),
        packet(b"\x40", kind=13),
        packet(VOICE, number=0xFFFF, marker=True),
        b"\xb1\x00\x00\x05\x00\x00\x03\x20\x00\x00\x00\x09\x00\x00\x00\x05\xbe\xde\x00\x01\x10\xff\x00\x00"
        + VOICE
        + b"\x01",
        packet(telephone_event.encode("5", ticks=160), kind=101),
    )
    refused = (BadRtp,)

    def feed(self, data: bytes) -> None:
        self.now += 0.02
        self.session.receive(data, FAR, self.now)
        self.session.to_send(self.now)
        hear_tones((self.session,), self.now)
        self.session.events()
        read = rtp.parse(data)
        assert len(read.payload) <= len(data) - 12


class RtcpTarget(_Up):
    """Reports, on their own port and on the audio's."""

    _sending = rtcp.Sending(0xE1234567_80000000, 1600, 10, 1600)
    _block = rtcp.Block(1, 32, -2, 65_541, 16, 0x45678000, 0x8000)
    seeds = (
        rtcp.build(9, "far", _sending, _block, is_last=True),
        rtcp.build(9, "far", None, _block),
        rtcp.build(9, "a longer name@far.example", _sending, None),
        rtcp.build(9, "", None, None, is_last=True),
    )
    refused = (BadRtp,)

    def feed(self, data: bytes) -> None:
        self.now += 0.02
        self.session.reports.receive(data, (FAR[0], FAR[1] + 1), self.now)
        self.session.receive(data, FAR, self.now)
        self.session.reports.report(self.now, 0.5)
        self.session.stats()
        read = rtcp.parse(data)
        assert len(read.blocks) * 24 + len(read.left) * 4 <= len(data)


class TelephoneEventTarget:
    """Payloads of key presses, each taken as it comes and as part of a row."""

    seeds = (
        telephone_event.encode("5", ticks=160),
        telephone_event.encode("#", ticks=800, end=True),
        telephone_event.encode("0", ticks=0xFFFF) + telephone_event.encode("1", ticks=160),
        b"\x10\x0a\x00\xa0",
    )
    refused: tuple[type[Exception], ...] = ()

    def __init__(self) -> None:
        self._receiver = DigitReceiver()
        self._number = 0

    def feed(self, data: bytes) -> None:
        self._number += 1
        at = self._number // 4 * 1600 % rtp.TIMESTAMPS
        keys = [self._receiver.receive(rtp.Packet(101, n, at, 9, n == 0, data)) for n in range(3)]
        assert keys[1:] == [None, None]
        event = telephone_event.decode(data)
        if event is not None and event.digit is not None:
            assert telephone_event.encode(event.digit, ticks=event.ticks, level=event.level, end=event.end)

    def settle(self) -> None:
        """It remembers a bounded number of presses."""
        assert len(self._receiver._seen) <= 64
