"""The receiving half of a stream: keys, audio, and what was missing."""

from typing import Final

from gateway.media import g711
from gateway.media.amd import Detector
from gateway.media.arrivals import Arrivals
from gateway.media.goertzel import ToneReceiver
from gateway.media.jitter import JitterBuffer
from gateway.media.rtp import Packet, timestamp_distance
from gateway.media.telephone_event import DigitReceiver

GAP_S: Final = 0.030
COMFORT_NOISE: Final = 13  # RFC 3389, section 4
JUMP_TICKS: Final = 10 * g711.RATE_HZ  # a jump in timestamps beyond this is a restart
MOST_SECONDS: Final = 600.0


class Recorder:
    """Received audio in the order it was spoken: placed by timestamp, what was lost is silence.

    Audio past `seconds` is left out.
    """

    def __init__(self, seconds: float) -> None:
        self.pcm = bytearray()
        self._room = 2 * round(seconds * g711.RATE_HZ)
        self._ssrc: int | None = None
        self._base = 0  # the RTP timestamp of offset 0, minus what restarts have added

    def add(self, packet: Packet, pcm: bytes) -> None:
        """Place one packet's audio."""
        offset = 2 * timestamp_distance(packet.timestamp, self._base)
        if packet.ssrc != self._ssrc or not 0 <= offset <= len(self.pcm) + 2 * JUMP_TICKS:
            if packet.ssrc == self._ssrc and -2 * JUMP_TICKS < offset < 0:
                return  # from before the recording
            self._ssrc, offset = packet.ssrc, len(self.pcm)
            self._base = packet.timestamp - offset // 2
        end = min(offset + len(pcm), self._room)
        if offset >= end:
            return
        self.pcm += bytes(max(0, end - len(self.pcm)))
        self.pcm[offset:end] = pcm[: end - offset]


class Receiver:
    """Judges the packets of one far end. Whose packets these are is for the session to know."""

    def __init__(self) -> None:
        self.received = self.gaps = 0
        self.heard_at: float | None = None  # when the last packet came
        self.arrivals = Arrivals()
        self.recorder: Recorder | None = None
        self.tones: ToneReceiver | None = None  # set where keys have to be heard in the audio
        self.detector: Detector | None = None  # set while it is asked who answered
        self._in_order = JitterBuffer()
        self._digits = DigitReceiver()

    @property
    def unused(self) -> int:
        """Packets of audio that came too late, or twice, for those who listen to it."""
        return self._in_order.unused

    def receive_event(self, packet: Packet, now: float) -> str | None:
        """Take one packet of telephone events. Returns a key that is new."""
        self.heard_at = now
        self.received += 1
        self.arrivals.add_event(packet.ssrc, packet.sequence)
        return self._digits.receive(packet)

    @property
    def is_listening(self) -> bool:
        """Whether anybody wants the audio."""
        return self.tones is not None or self.detector is not None or self.recorder is not None

    def count(self, ssrc: int, sequence: int, timestamp: int, now: float) -> bool:
        """Take one packet of audio that nobody wants; whether it follows the one before."""
        if self.heard_at is not None and now - self.heard_at > GAP_S:
            self.gaps += 1
        self.heard_at = now
        self.received += 1
        return self.arrivals.add(ssrc, sequence, timestamp, now)

    def receive(self, packet: Packet, now: float) -> None:
        """Take one packet of audio (G.711, either law), or of comfort noise, which is silence (RFC 3389)."""
        follows = self.count(packet.ssrc, packet.sequence, packet.timestamp, now)
        if packet.payload_type != COMFORT_NOISE and self.is_listening:
            self._hear(packet, follows=follows)

    def _hear(self, packet: Packet, *, follows: bool) -> None:
        pcm = g711.decode(packet.payload, packet.payload_type)
        if self.recorder is not None:
            self.recorder.add(packet, pcm)  # which has all the time there is to put it in order
        pcm = self._in_order.add(packet.ssrc, packet.timestamp, pcm, follows=follows)
        if self.tones is not None:
            self.tones.hear(pcm)
        if self.detector is not None:
            self.detector.hear(pcm)
