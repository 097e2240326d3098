"""One call's RTP without sockets or clocks: give it datagrams and the time, take events and datagrams.

    session = Session(ssrc=..., sequence=..., timestamp=...)      # dice
    session.connect("192.0.2.7", 4000, payload_type=0, event_payload_type=101, now=now)
    session.play(1, g711.encode(pcm, session.payload_type))
    for each datagram:    session.receive(data, (ip, port), now)
    each report:          session.reports.receive(data, (ip, port), now)
    at next_deadline():   for packet in session.to_send(now): sendto(packet, session.remote)
                          session.tick(now)
    after either:         for event in session.events(): ...

`now` is seconds of one monotonic clock. Nothing that arrives makes it raise.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from gateway.errors.media import BadRtp, MediaLimit
from gateway.media import amd, g711, goertzel, rtcp
from gateway.media.amd import Detector, Times
from gateway.media.events import Digit, Event, FirstPacket, Lost, Stats
from gateway.media.goertzel import ToneReceiver
from gateway.media.peer import Address, Peer
from gateway.media.receiver import COMFORT_NOISE, Receiver, Recorder
from gateway.media.relay import Relay
from gateway.media.report_line import ReportLine
from gateway.media.reports import Reports
from gateway.media.rtp import HEADER, VERSION_2, Packet, parse
from gateway.media.sender import Sender

MOST_EVENTS: Final = 200  # keys beyond are dropped until the events are fetched
_PLAIN: Final = bytes((VERSION_2,))  # no padding, no extension, no other sources
_HEARD: Final = frozenset({*g711.SILENCE, COMFORT_NOISE})


class Session:
    """Both halves of one stream. Whom to listen to is for `Peer` to say; all others are counted as foreign."""

    def __init__(
        self,
        *,
        ssrc: int,
        sequence: int,
        timestamp: int,
        cname: str = "",
        unix_ahead_s: float = 0.0,
        lost_after_s: float = 30.0,
    ) -> None:
        """Nothing is sent before `connect`.

        ssrc, sequence, timestamp: dice of 32, 16 and 32 bits.
        cname:                     who we are in our reports, a die too (RFC 7022).
        unix_ahead_s:              what the time since 1970 is ahead of `now`, for reports.
        lost_after_s:              so long a silence from the far end is told of.
        """
        self.foreign = self.bad = self.ignored = 0
        self._peer = Peer()
        self._sender = Sender(ssrc=ssrc, sequence=sequence, timestamp=timestamp)
        self._receiver = Receiver()
        self._joined: Session | None = None
        self.reports = ReportLine(Reports(ssrc, cname), self._peer, self._sender, self._receiver, unix_ahead_s)
        self._events: list[Event] = []
        self._lost_after_s = lost_after_s
        self._quiet_since: float | None = None  # from when on the far end should be heard
        self._reported_lost = False

    @property
    def remote(self) -> Address | None:
        """Where to send to: the address of the SDP, then where the far end was found to be."""
        return self._peer.remote

    @property
    def payload_type(self) -> int:
        """The G.711 law that is sent: 0 mu-law, 8 A-law."""
        return self._sender.payload_type

    def connect(
        self,
        ip: str,
        port: int,
        *,
        payload_type: int,
        event_payload_type: int | None,
        now: float,
        rtcp_mux: bool = False,
    ) -> None:
        """Talk to this far end from now on, as its SDP says; frames are due from `now`. Again for a changed SDP.

        event_payload_type: of telephone events, or None: then keys are sent and listened for as tones.
        rtcp_mux:           whether reports go over the port of the audio (RFC 5761), not over the one after it.
        Raises:             ValueError when the payload type is not G.711's (0 or 8).
        After a change of payload type what plays goes on where it was.
        """
        if payload_type not in g711.SILENCE:
            raise ValueError(f"{payload_type=}")
        self._peer.tell(ip, port, now)
        self.reports.connect(rtcp_mux=rtcp_mux)
        self._sender.speak(payload_type, event_payload_type)
        if event_payload_type is not None:
            self._receiver.tones = None
        elif self._receiver.tones is None:  # else a key that sounds now would be heard again
            self._receiver.tones = ToneReceiver()
        self._quiet_since, self._reported_lost = now, False
        self._sender.start(now)

    def play(self, play_id: int, coded: bytes, *, silence_s: float = 0.0, loops: int = 1) -> None:
        """Queue audio, G.711 of `payload_type`, after so much silence, so many times. Ends in one Played.

        The bytes are not copied: give the same object to every session that plays it. Raises: MediaLimit.
        """
        self._sender.play(play_id, coded, silence_s=silence_s, loops=loops)

    def stop_playing(self) -> None:
        """Drop what plays and what waits; a Played with `finished` false tells of each how much was sent."""
        self._events += self._sender.stop_playing()

    def send_digits(self, digits: str) -> None:
        """Press keys, 100 ms each and 100 ms between them; audio waits meanwhile. Raises: InvalidDigit, MediaLimit."""
        self._sender.press(digits)

    def listen(self, seconds: float) -> None:
        """Record what is heard from now on, up to so many seconds; 0 forgets the recording."""
        self._receiver.recorder = Recorder(seconds) if seconds > 0 else None

    def detect(self, times: Times, now: float) -> None:
        """Find out who answered, from now on: a Detected follows, and for a machine a GreetingEnded."""
        self._receiver.detector = Detector(times, now)

    def join(self, other: "Session") -> None:
        """Let the two far ends hear each other, keys included, whenever nothing plays; until one of them parts."""
        self.part()
        other.part()
        for session, joined in ((self, other), (other, self)):
            session._joined, session._sender.relay = joined, Relay()  # noqa: SLF001  one class, two ends

    def part(self) -> None:
        """End that."""
        for session in (self, self._joined):
            if session is not None:
                session._joined = session._sender.relay = None  # noqa: SLF001  as above

    def relay(self, coded: bytes, payload_type: int) -> None:
        """Say what the other far end said, G.711 of either law."""
        if self._sender.relay is None:
            return
        if payload_type != self.payload_type:
            coded = g711.encode(g711.decode(coded, payload_type), self.payload_type)
        self._sender.relay.add(coded)

    def recording(self) -> bytes:
        """What was recorded so far: 8 kHz PCM16, losses as silence."""
        recorder = self._receiver.recorder
        return bytes(recorder.pcm) if recorder else b""

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """Take one datagram. What is foreign, broken or of another payload type is counted and has no effect."""
        is_locked = source == self._peer.locked
        if is_locked and data[:1] == _PLAIN and len(data) >= HEADER.size and not self.is_listening:
            _, kind, sequence, timestamp, ssrc = HEADER.unpack_from(data)
            if kind & 0x7F in g711.SILENCE:  # most packets there are: audio that nobody listens to
                self._receiver.count(ssrc, sequence, timestamp, now)
                return
        if self.reports.is_mux and rtcp.is_rtcp(data):
            self.reports.receive(data, source, now)
            return
        if not is_locked and not self._peer.may_be(source, now):
            self.foreign += 1
            return
        try:
            packet = parse(data)
        except BadRtp:
            self.bad += 1
            return
        kind = packet.payload_type
        if kind not in _HEARD and kind != self._sender.event_payload_type:
            self.ignored += 1
        elif not is_locked and not self._peer.lock(source, packet.ssrc, packet.sequence, now):
            self.foreign += 1
        else:
            self._hear(packet, now)

    # --- what is heard

    def _hear(self, packet: Packet, now: float) -> None:
        receiver = self._receiver
        if receiver.heard_at is None:
            self._events.append(FirstPacket(now))
        if packet.payload_type in _HEARD:
            receiver.receive(packet, now)
            if self._joined is not None and packet.payload_type != COMFORT_NOISE:
                self._joined.relay(packet.payload, packet.payload_type)
            return
        digit = receiver.receive_event(packet, now)
        if digit is None:
            return
        self.add_digit(digit, now)
        if self._joined is not None:
            with suppress(MediaLimit):
                self._joined.send_digits(digit)

    def add_digit(self, digit: str, now: float) -> None:
        """A key that was found in the audio (see `hear_tones`)."""
        if len(self._events) < MOST_EVENTS:
            self._events.append(Digit(digit, now))

    def events(self) -> list[Event]:
        """What happened since the last time, in order."""
        if not self._events:
            return []
        happened, self._events = self._events, []
        return happened

    def to_send(self, now: float) -> list[bytes]:
        """The packets that are due; send them to `remote`."""
        return self._sender.to_send(now, self._events)

    def next_deadline(self) -> float | None:
        """When the next frame is due; None before `connect`."""
        return self._sender.due

    def tick(self, now: float) -> None:
        """Listen for tones and notice silence. Call it every 20 ms or so."""
        hear_tones((self,), now)
        detect_all((self,), now)
        self.check_silence(now)

    @property
    def has_events(self) -> bool:
        """Whether `events` has something to tell."""
        return bool(self._events)

    @property
    def is_listening(self) -> bool:
        """Whether anybody wants the audio that is heard: ears, a recorder, another call."""
        return self._receiver.is_listening or self._joined is not None

    @property
    def tones(self) -> ToneReceiver | None:
        """The ear for in-band keys, where they are listened for."""
        return self._receiver.tones

    @property
    def detector(self) -> Detector | None:
        """The ear for who answered, while it is needed."""
        return self._receiver.detector

    def detected(self, event: amd.Event) -> None:
        """What was found out about who answered (see `detect_all`)."""
        self._events.append(event)
        if self._receiver.detector is not None and self._receiver.detector.over:
            self._receiver.detector = None

    def check_silence(self, now: float) -> None:
        """Report the far end as lost when it has been silent for long; once, until it is heard again."""
        if self._quiet_since is None:
            return
        since = max(self._quiet_since, self._receiver.heard_at or self._quiet_since, self.reports.reported_at)
        if now - since < self._lost_after_s:
            self._reported_lost = False
        elif not self._reported_lost:
            self._reported_lost = True
            self._events.append(Lost(now, "no_rtp"))

    def stats(self) -> Stats:
        """The counters so far."""
        sender, receiver, reports = self._sender, self._receiver, self.reports.figures
        return Stats(
            sent=sender.sent,
            late=sender.late,
            skipped=sender.skipped,
            received=receiver.received,
            lost=receiver.arrivals.lost,
            gaps=receiver.gaps,
            foreign=self.foreign + self.reports.foreign,
            bad=self.bad + self.reports.bad,
            ignored=self.ignored,
            unused=receiver.unused,
            jitter_ms=round(receiver.arrivals.jitter * 1000 / g711.RATE_HZ, 3),
            far_lost=reports.far_lost,
            far_jitter_ms=reports.far_jitter_ms,
            round_trip_ms=reports.round_trip_ms,
        )


def hear_tones(sessions: Iterable[Session], now: float) -> None:
    """Look for in-band keys in what these sessions have heard, all at once: one matrix product serves every call."""
    listening = [(session, session.tones) for session in sessions if session.tones is not None]
    for index, key in goertzel.hear_all([tones for _, tones in listening]):
        listening[index][0].add_digit(key, now)


def detect_all(sessions: Iterable[Session], now: float) -> None:
    """Find out who answered, in what these sessions have heard, all at once."""
    listening = [(session, session.detector) for session in sessions if session.detector is not None]
    for index, event in amd.hear_all([detector for _, detector in listening], now):
        listening[index][0].detected(event)
