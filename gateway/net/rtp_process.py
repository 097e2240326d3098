"""The media process: all RTP sockets, one clock, nothing else, so that no work of the API can delay a frame.

Started by `rtp_engine` as ``python -m gateway.net.rtp_process FD CONFIG`` and spoken to over the inherited socket FD
(see `rtp_wire`). It ends when that socket does, so it never outlives the gateway.

Every 5 ms a phase: the streams of that phase send the frame that is due, then what has arrived on any socket is taken.
Four phases make the 20 ms of a frame and spread the work over it. Phase k is due at epoch + k * 5 ms, so lateness
never adds up.
"""

import gc
import os
import random
import selectors
import signal
import socket
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Final

import orjson

from gateway.errors.media import MediaLimit
from gateway.lifeline import end_with_parent
from gateway.media.amd import Times
from gateway.media.events import Stats
from gateway.media.session import Session, detect_all, hear_tones
from gateway.net.rtp_wire import Message, Unpacker, pack, pack_events

PHASE_S: Final = 0.005
PHASES: Final = 4
SILENCE_CHECK_TICKS: Final = 100  # each half second
STALL_TICKS: Final = 40  # a clock that stood still goes on from here; sessions know what they missed
MOST_DATAGRAM: Final = 2048
DRAIN_ROUNDS: Final = 8  # datagrams taken from one socket in one phase; a flood cannot hold the clock up
CONTROL_READ: Final = 1 << 16  # a long prompt arrives over several phases
EXPEDITED: Final = 46 << 2  # DSCP EF for voice (RFC 4594, section 4.1)
URGENT: Final = -19  # the scheduler's most, short of real time


@dataclass(frozen=True, slots=True)
class Config:
    """How the process is started. Ports are the first and the last; 0, 0 lets the system choose."""

    bind_ip: str
    first_port: int
    last_port: int
    drain_s: float
    lost_after_s: float
    most_streams: int


class Ports:
    """Even ports in turn; one that was used rests for a while, so that no late packet of its last call is heard."""

    def __init__(self, config: Config) -> None:
        self._config = config
        first = config.first_port + config.first_port % 2
        self._free = deque((port, 0.0) for port in range(first, config.last_port + 1, 2)) if first else None

    def bind(self, now: float) -> socket.socket | None:
        """A bound socket, or None when no port is free."""
        if self._free is None:
            return self._bound(0)
        for _ in range(len(self._free)):
            port, free_at = self._free[0]
            if free_at > now:
                return None
            self._free.popleft()
            bound = self._bound(port)
            if bound is not None:
                return bound
            self.rest(port, now)  # somebody else holds it
        return None

    def rest(self, port: int, now: float) -> None:
        """Take a port back."""
        if self._free is not None:
            self._free.append((port, now + self._config.drain_s))

    def _bound(self, port: int) -> socket.socket | None:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind((self._config.bind_ip, port))
        except OSError:
            udp.close()
            return None
        udp.setblocking(False)
        with suppress(OSError):  # a mark is a wish
            udp.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, EXPEDITED)
        return udp


@dataclass(slots=True, eq=False)
class Stream:
    """One call's socket and session, and the phase in which it sends."""

    number: int
    udp: socket.socket
    session: Session
    phase: int
    unsent: int = 0

    def send(self, now: float) -> None:
        """Send what is due."""
        remote = self.session.remote
        if remote is None:
            return
        for packet in self.session.to_send(now):
            try:
                self.udp.sendto(packet, remote)
            except OSError:
                self.unsent += 1

    def receive(self, now: float) -> None:
        """Take one datagram, if one is there."""
        with suppress(OSError):
            data, source = self.udp.recvfrom(MOST_DATAGRAM)
            self.session.receive(data, source, now)

    def stats(self) -> Stats:
        """The session's counters, less what the system would not send."""
        seen = self.session.stats()
        return replace(seen, sent=seen.sent - self.unsent, unsent=self.unsent)


@dataclass(slots=True)
class MediaProcess:
    """The clock and all streams."""

    control: socket.socket
    config: Config
    ports: Ports
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    streams: dict[int, Stream] = field(default_factory=dict)
    phases: tuple[list[Stream], ...] = field(default_factory=lambda: tuple([] for _ in range(PHASES)))
    audio: dict[str, bytes] = field(default_factory=dict)
    unpacker: Unpacker = field(default_factory=Unpacker)
    outgoing: bytearray = field(default_factory=bytearray)
    epoch: float = 0.0
    tick: int = 0
    running: bool = True

    def run(self) -> None:
        """Keep the clock until the gateway closes its end."""
        self.control.setblocking(False)
        self.selector.register(self.control, selectors.EVENT_READ)
        self.epoch = time.monotonic()
        self._say({"re": "ready"})
        while self.running:
            self._wait()
            self._phase()
            self._flush()

    def _wait(self) -> None:
        """Until the next phase; without streams, until the gateway has something to say."""
        if not self.streams and not self.outgoing:
            self.selector.select()
        behind = int((time.monotonic() - self.epoch) / PHASE_S) - self.tick
        self.tick += behind if behind > STALL_TICKS else 1
        delay = self.epoch + self.tick * PHASE_S - time.monotonic()
        if delay > 0:
            time.sleep(delay)

    def _phase(self) -> None:
        now = time.monotonic()
        turn = self.phases[self.tick % PHASES]
        for stream in turn:
            stream.send(now)
        touched = dict.fromkeys(turn)
        until = self.epoch + (self.tick + 1) * PHASE_S
        for _ in range(DRAIN_ROUNDS):
            if not self._take_what_arrived(touched) or time.monotonic() > until:
                break
        if self.tick % SILENCE_CHECK_TICKS == 0:
            for stream in self.streams.values():
                stream.session.check_silence(now)
        self._report([stream for stream in touched if stream.number in self.streams])

    def _take_what_arrived(self, touched: dict[Stream, None]) -> bool:
        ready = self.selector.select(0)
        now = time.monotonic()
        for key, _ in ready:
            if key.data is None:
                self._obey()
            elif key.data.number in self.streams:  # not closed by the message before
                key.data.receive(now)
                touched[key.data] = None
        return bool(ready)

    def _report(self, touched: list[Stream]) -> None:
        """Hear keys in the audio of these streams, and pass on what they have to say."""
        hear_tones((stream.session for stream in touched), time.monotonic())
        detect_all((stream.session for stream in touched), time.monotonic())
        for stream in touched:
            events = stream.session.events()
            if events:
                self.outgoing += pack_events(stream.number, events)

    def _obey(self) -> None:
        try:
            data = self.control.recv(CONTROL_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.running = False
        for message, blob in self.unpacker.feed(data):
            self._act(message, blob)

    def _act(self, message: Message, blob: bytes) -> None:
        match message:
            case {"op": "load", "audio": audio}:
                self.audio[audio] = blob
            case {"op": "unload", "audio": audio}:
                self.audio.pop(audio, None)
            case {"op": "open", "stream": number}:
                self._open(number)
            case {"stream": number} if number in self.streams:
                self._act_on(self.streams[number], message)

    def _act_on(self, stream: Stream, message: Message) -> None:
        session = stream.session
        match message:
            case {"op": "connect", "ip": ip, "port": port, "payload_type": kind, "event_payload_type": events}:
                at = self._next_turn(stream.phase)
                session.connect(ip, port, payload_type=kind, event_payload_type=events, now=at)
            case {"op": "play", "play_id": play_id, "audio": audio, "silence_s": silence_s, "loops": loops}:
                session.play(play_id, self.audio[audio], silence_s=silence_s, loops=loops)
            case {"op": "stop"}:
                session.stop_playing()
            case {"op": "digits", "digits": digits}:
                with suppress(MediaLimit):  # the engine counts them too; this is the second lock
                    session.send_digits(digits)
            case {"op": "listen", "seconds": seconds}:
                session.listen(seconds)
            case {"op": "detect", "times": times}:
                session.detect(Times(**times), time.monotonic())
            case {"op": "recording"}:
                self._say({"re": "recording", "stream": stream.number}, session.recording())
            case {"op": "close"}:
                self._close(stream)

    def _open(self, number: int) -> None:
        full = len(self.streams) >= self.config.most_streams
        udp = None if full else self.ports.bind(time.monotonic())
        if udp is None:
            self._say({"re": "refused", "stream": number})
            return
        phase = min(range(PHASES), key=lambda index: len(self.phases[index]))
        stream = Stream(number, udp, self._session(), phase)
        self.streams[number] = stream
        self.phases[phase].append(stream)
        self.selector.register(udp, selectors.EVENT_READ, stream)
        self._say({"re": "opened", "stream": number, "port": udp.getsockname()[1]})

    def _session(self) -> Session:
        dice = random.SystemRandom()
        return Session(
            ssrc=dice.getrandbits(32),
            sequence=dice.getrandbits(16),
            timestamp=dice.getrandbits(32),
            lost_after_s=self.config.lost_after_s,
        )

    def _close(self, stream: Stream) -> None:
        stream.session.stop_playing()
        self.outgoing += pack_events(stream.number, stream.session.events())
        self._say({"re": "closed", "stream": stream.number, "stats": asdict(stream.stats())})
        self.selector.unregister(stream.udp)
        self.ports.rest(stream.udp.getsockname()[1], time.monotonic())
        stream.udp.close()
        self.phases[stream.phase].remove(stream)
        del self.streams[stream.number]

    def _next_turn(self, phase: int) -> float:
        ahead = (phase - self.tick - 1) % PHASES + 1
        return self.epoch + (self.tick + ahead) * PHASE_S

    def _say(self, message: Message, blob: bytes = b"") -> None:
        self.outgoing += pack(message, blob)

    def _flush(self) -> None:
        """Write what the socket takes now; the rest goes in the next phases."""
        if not self.outgoing:
            return
        try:
            written = self.control.send(self.outgoing)
        except BlockingIOError:
            return
        except OSError:
            self.running = False
            return
        del self.outgoing[:written]


def _go_first() -> None:
    """Be scheduled before all else, where we may: on a machine whose cores are all busy this decides who is late."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, URGENT)


def main() -> None:
    """Run until the gateway closes its end. SIGINT and SIGTERM are its to handle: calls end first."""
    end_with_parent()  # even while the clock is stuck
    _go_first()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    config = Config(**orjson.loads(sys.argv[2]))
    gc.collect()
    gc.freeze()  # what is loaded by now stays; the collector need not walk through it between frames
    control = socket.socket(fileno=int(sys.argv[1]))
    MediaProcess(control, config, Ports(config)).run()


if __name__ == "__main__":
    main()
