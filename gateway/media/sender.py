"""The sending half of a stream: one packet every 20 ms, whatever there is to say.

Frame n is due at start + n * 20 ms, so that lateness never adds up. While nothing plays, silence is sent: translators
of addresses and far ends that time out both want a steady stream. Keys go before audio, which waits for them.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from gateway.errors.media import MediaLimit
from gateway.media import g711, telephone_event, tones
from gateway.media.events import Event, Played
from gateway.media.relay import Relay
from gateway.media.rtp import HEADER, MARKER, SEQUENCES, TIMESTAMPS, VERSION_2

LATE_S: Final = 0.030
STALL_S: Final = 0.200  # a clock that stood still for longer leaves frames out instead of sending them all at once
ROUNDING_S: Final = 1e-6  # floats of one clock may differ in their last digits
KEY_FRAMES: Final = 5  # 100 ms down and 100 ms up; Q.24 asks for 40 of each
END_PACKETS: Final = 3  # RFC 4733, section 2.5.1.4
_SILENT_FRAME: Final = {law: silent * g711.FRAME_TICKS for law, silent in g711.SILENCE.items()}

MOST_PLAYS: Final = 200
MOST_KEYS: Final = 64


@dataclass(slots=True)
class _Play:
    """One piece of audio in the queue. `coded` is shared between all streams that play it: its bytes never change."""

    play_id: int
    coded: bytes
    lead_frames: int
    loops: int
    position: int = 0
    frames: int = 0

    def take(self) -> bytes | None:
        """The next frame: b"" during the leading silence, None when the audio is over."""
        if self.lead_frames:
            self.lead_frames -= 1
            return b""
        if self.position >= len(self.coded):
            self.loops -= 1
            if self.loops <= 0 or not self.coded:
                return None
            self.position = 0
        frame = self.coded[self.position : self.position + g711.FRAME_TICKS]
        self.position += g711.FRAME_TICKS
        self.frames += 1
        return frame

    def ended(self, *, finished: bool) -> Played:
        full = -(-len(self.coded) // g711.FRAME_TICKS)
        spare = full * g711.FRAME_TICKS - len(self.coded)
        ticks = self.frames * g711.FRAME_TICKS - (self.frames // full * spare if full else 0)
        return Played(self.play_id, ticks / g711.RATE_HZ, finished)


@dataclass(frozen=True, slots=True)
class _KeyFrame:
    """20 ms of a key press: an event packet, or (`event` false) audio in its place; b"" is silence."""

    payload: bytes
    event: bool
    first: bool = False


class Sender:
    """One stream's packets, in order, with their times. Feed it with `play` and `press`, drain it with `to_send`."""

    def __init__(self, *, ssrc: int, sequence: int, timestamp: int) -> None:
        """All three are dice, handed in (RFC 3550, section 5.1): 32, 16 and 32 bits."""
        self.sent = self.late = self.skipped = self._events = 0
        self.due: float | None = None  # when the next frame leaves; None before `start`
        self.payload_type = g711.PCMU
        self._silence = _SILENT_FRAME[g711.PCMU]
        self.event_payload_type: int | None = None
        self.relay: Relay | None = None  # what is said while nothing plays
        self._ssrc, self._sequence, self._timestamp = ssrc, sequence, timestamp
        self._start, self._frames = 0.0, 0
        self._sent_at = math.inf  # when the last packet left
        self._marker = True
        self._plays: deque[_Play] = deque()
        self._keys: deque[_KeyFrame] = deque()
        self._key_timestamp = 0

    def speak(self, payload_type: int, event_payload_type: int | None) -> None:
        """Send this law from now on, and keys as these events, or as tones where that is None."""
        for play in self._plays if payload_type != self.payload_type else ():
            play.coded = g711.encode(g711.decode(play.coded, self.payload_type), payload_type)
        self.payload_type, self.event_payload_type = payload_type, event_payload_type
        self._silence = _SILENT_FRAME[payload_type]

    def start(self, at: float) -> None:
        """Let the clock run: the first frame is due at `at`. Does nothing when it runs already."""
        if self.due is None:
            self._start = self.due = at

    def play(self, play_id: int, coded: bytes, *, silence_s: float = 0.0, loops: int = 1) -> None:
        """Queue G.711 audio of this stream's payload type, after so much silence, so many times.

        Raises: MediaLimit when 200 pieces wait already.
        """
        if len(self._plays) >= MOST_PLAYS:
            raise MediaLimit("too many pieces of audio wait to be played")
        self._plays.append(_Play(play_id, coded, round(silence_s / g711.FRAME_S), loops))

    def stop_playing(self) -> list[Played]:
        """Drop all audio that plays or waits, and say of each piece how much was really sent."""
        stopped = [play.ended(finished=False) for play in self._plays]
        self._plays.clear()
        return stopped

    def so_far(self, now: float) -> tuple[int, int, int]:
        """For a report: the RTP timestamp of now, the packets sent, and the octets of payload in them."""
        behind = 0.0 if self.due is None else (self.due - now) * g711.RATE_HZ
        octets = (self.sent - self._events) * g711.FRAME_TICKS + self._events * telephone_event.SIZE
        return int(self._timestamp - behind) % TIMESTAMPS, self.sent, octets

    def press(self, digits: str) -> None:
        """Queue keys: telephone events, or their sound where none were agreed. Raises: InvalidDigit, MediaLimit."""
        if len(self._keys) > (MOST_KEYS - len(digits)) * 2 * KEY_FRAMES:
            raise MediaLimit("too many keys wait to be sent")
        as_frames = self._sounded if self.event_payload_type is None else _evented
        self._keys.extend([frame for digit in digits for frame in as_frames(digit)])

    def _sounded(self, digit: str) -> list[_KeyFrame]:
        seconds = KEY_FRAMES * g711.FRAME_S
        coded = g711.encode(tones.dtmf(digit, seconds) + tones.silence(seconds), self.payload_type)
        starts = range(0, len(coded), g711.FRAME_TICKS)
        return [_KeyFrame(coded[start : start + g711.FRAME_TICKS], event=False) for start in starts]

    def to_send(self, now: float, ended: list[Event]) -> list[bytes]:
        """The packets that are due, oldest first. Plays that came to their end are added to `ended`."""
        until = now + ROUNDING_S
        packets: list[bytes] = []
        while self.due is not None and self.due <= until:
            if now - self.due > STALL_S:
                self._skip(int((now - self.due) / g711.FRAME_S))
            packets.append(self._packet(now, ended))
        return packets

    def _skip(self, frames: int) -> None:
        self.skipped += frames
        self._marker = True
        self._frames += frames
        self._timestamp = (self._timestamp + frames * g711.FRAME_TICKS) % TIMESTAMPS

    def _packet(self, now: float, ended: list[Event]) -> bytes:
        """The next packet. All in one: this runs fifty times a second for each call."""
        if now - self._sent_at > LATE_S:
            self.late += 1
        self._sent_at = now
        self.sent += 1
        self._sequence = sequence = (self._sequence + 1) % SEQUENCES
        if self._keys:
            packet = self._key_packet(self._keys.popleft())
        else:
            payload = self._audio(ended) if self._plays else self._relayed()
            kind = self.payload_type
            if self._marker:
                kind, self._marker = kind | MARKER, False
            packet = HEADER.pack(VERSION_2, kind, sequence, self._timestamp, self._ssrc) + payload
        self._frames += 1
        self._timestamp = (self._timestamp + g711.FRAME_TICKS) % TIMESTAMPS
        self.due = self._start + self._frames * g711.FRAME_S
        return packet

    def _key_packet(self, key: _KeyFrame) -> bytes:
        if key.event and self.event_payload_type is not None:
            self._events += 1
            kind, payload, marker = self.event_payload_type, key.payload, key.first
            self._key_timestamp = timestamp = self._timestamp if key.first else self._key_timestamp
        else:
            kind, payload, timestamp = self.payload_type, self._padded(key.payload), self._timestamp
            marker, self._marker = self._marker, False
        return HEADER.pack(VERSION_2, marker << 7 | kind, self._sequence, timestamp, self._ssrc) + payload

    def _audio(self, ended: list[Event]) -> bytes:
        while self._plays:
            frame = self._plays[0].take()
            if frame is not None:
                return frame if len(frame) == g711.FRAME_TICKS else self._padded(frame)
            ended.append(self._plays.popleft().ended(finished=True))
        return self._silence

    def _relayed(self) -> bytes:
        return self._silence if self.relay is None else self.relay.take() or self._silence

    def _padded(self, frame: bytes) -> bytes:
        return frame + self._silence[len(frame) :]


def _evented(digit: str) -> list[_KeyFrame]:
    """A press: its growing duration, the end said three times, and silence until the next may start."""
    down = [telephone_event.encode(digit, ticks=160 * (n + 1)) for n in range(KEY_FRAMES)]
    end = telephone_event.encode(digit, ticks=160 * KEY_FRAMES, end=True)
    events = [_KeyFrame(payload, event=True, first=n == 0) for n, payload in enumerate(down + [end] * END_PACKETS)]
    return events + [_KeyFrame(b"", event=False)] * (KEY_FRAMES - END_PACKETS)
