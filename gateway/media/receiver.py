"""The receiving half of a stream: keys, audio, and what was missing."""

from typing import Final

from gateway.media import g711
from gateway.media.amd import Detector
from gateway.media.goertzel import ToneReceiver
from gateway.media.rtp import Packet, timestamp_distance
from gateway.media.telephone_event import DigitReceiver

GAP_S: Final = 0.030
DROPOUT: Final = 3000  # a jump in sequence numbers beyond this is a restart (RFC 3550, appendix A.1)
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
        self.received = self.gaps = self.lost = 0
        self.heard_at: float | None = None  # when the last packet came
        self.recorder: Recorder | None = None
        self.tones: ToneReceiver | None = None  # set where keys have to be heard in the audio
        self.detector: Detector | None = None  # set while it is asked who answered
        self._digits = DigitReceiver()
        self._ssrc: int | None = None
        self._highest = 0

    def receive(self, packet: Packet, *, is_event: bool, now: float) -> str | None:
        """Take one packet of audio (G.711, either law) or telephone events. Returns a key that is new."""
        if self.heard_at is not None and now - self.heard_at > GAP_S:
            self.gaps += 1
        self.heard_at = now
        self.received += 1
        self._count_lost(packet)
        if is_event:
            return self._digits.receive(packet)
        if self.recorder is not None or self.tones is not None or self.detector is not None:
            self._hear(packet)
        return None

    def _hear(self, packet: Packet) -> None:
        pcm = g711.decode(packet.payload, packet.payload_type)
        if self.recorder is not None:
            self.recorder.add(packet, pcm)
        if self.tones is not None:
            self.tones.hear(pcm)
        if self.detector is not None:
            self.detector.hear(pcm)

    def _count_lost(self, packet: Packet) -> None:
        ahead = (packet.sequence - self._highest) & 0xFFFF
        if packet.ssrc != self._ssrc:
            self._ssrc = packet.ssrc
        elif ahead < DROPOUT:
            self.lost += max(0, ahead - 1)
        elif -ahead & 0xFFFF < DROPOUT:  # late: it was counted as lost when it was overtaken
            self.lost -= self.lost > 0
            return
        self._highest = packet.sequence
