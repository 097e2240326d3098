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
import resource
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Final

import orjson

from gateway.errors.media import MediaLimit
from gateway.lifeline import end_with_parent
from gateway.media.amd import Times
from gateway.media.session import Session, detect_all, hear_tones
from gateway.net.rtp_line import Line
from gateway.net.rtp_ports import Config, Ports
from gateway.net.rtp_wire import Message, Unpacker, pack, pack_events

PHASE_S: Final = 0.005
PHASES: Final = 4
ROUNDS: Final = 25  # of 20 ms: in each, the reports and silences of a part of the streams are looked after
STALL_TICKS: Final = 40  # a clock that stood still goes on from here; sessions know what they missed
DRAIN_ROUNDS: Final = 8  # datagrams taken from one socket in one phase; a flood cannot hold the clock up
CONTROL_READ: Final = 1 << 16  # a long prompt arrives over several phases
URGENT: Final = -19  # the most that a nice value can do


@dataclass(slots=True)
class MediaProcess:
    """The clock and all streams."""

    control: socket.socket
    config: Config
    ports: Ports
    poll: select.epoll = field(default_factory=select.epoll)
    streams: dict[int, Line] = field(default_factory=dict)
    by_fd: dict[int, Line] = field(default_factory=dict)
    reports_by_fd: dict[int, Line] = field(default_factory=dict)
    dice: random.SystemRandom = field(default_factory=random.SystemRandom)
    phases: tuple[list[Line], ...] = field(default_factory=lambda: tuple([] for _ in range(PHASES)))
    audio: dict[str, bytes] = field(default_factory=dict)
    unpacker: Unpacker = field(default_factory=Unpacker)
    outgoing: bytearray = field(default_factory=bytearray)
    epoch: float = 0.0
    tick: int = 0
    running: bool = True

    def run(self) -> None:
        """Keep the clock until the gateway closes its end."""
        self.control.setblocking(False)
        self.poll.register(self.control.fileno(), select.EPOLLIN)
        self.epoch = time.monotonic()
        self._say({"re": "ready"})
        while self.running:
            self._wait()
            self._phase()
            self._flush()

    def _wait(self) -> None:
        """Until the next phase; without streams, until the gateway has something to say."""
        if not self.streams and not self.outgoing:
            self.poll.poll()
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
        touched = dict.fromkeys(stream for stream in turn if stream.session.has_events)
        until = self.epoch + (self.tick + 1) * PHASE_S
        for _ in range(DRAIN_ROUNDS):
            if not self._take_what_arrived(touched) or time.monotonic() > until:
                break
        for stream in turn[self.tick // PHASES % ROUNDS :: ROUNDS]:
            stream.session.check_silence(now)
            stream.report(now, self.dice.random())
        self._listen(turn, touched)
        self._report(touched)

    def _take_what_arrived(self, touched: dict[Line, None]) -> bool:
        ready = self.poll.poll(0)
        now = time.monotonic()
        by_fd = self.by_fd
        for fd, _ in ready:
            stream = by_fd.get(fd)
            if stream is not None:
                stream.receive(now)
                if stream.session.has_events:
                    touched[stream] = None
            elif fd == self.control.fileno():
                self._obey()
            elif fd in self.reports_by_fd:
                self.reports_by_fd[fd].receive_report(now)
        return bool(ready)

    @staticmethod
    def _listen(turn: list[Line], touched: dict[Line, None]) -> None:
        """Hear keys, and who answered, in the audio of the streams whose turn it is."""
        listening = [stream for stream in turn if stream.session.is_listening]
        if listening:
            now = time.monotonic()
            hear_tones((stream.session for stream in listening), now)
            detect_all((stream.session for stream in listening), now)
            touched |= dict.fromkeys(stream for stream in listening if stream.session.has_events)

    def _report(self, touched: dict[Line, None]) -> None:
        """Pass on what these streams have to say."""
        for stream in touched:
            events = stream.session.events()
            if events and stream.number in self.streams:
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
            case {"op": "ask"}:
                self._say({"re": "alive"})
            case {"stream": number} if number in self.streams:
                self._act_on(self.streams[number], message)

    def _act_on(self, stream: Line, message: Message) -> None:
        session = stream.session
        match message:
            case {"op": "connect", "ip": ip, "port": port, "law": law, "events": events, "rtcp_mux": mux, "srtp": srtp}:
                stream.encrypt(srtp)
                at = self._next_turn(stream.phase)
                session.connect(ip, port, payload_type=law, event_payload_type=events, now=at, rtcp_mux=mux)
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
            case {"op": "join", "other": number} if number in self.streams:
                session.join(self.streams[number].session)
            case {"op": "recording"}:
                self._say({"re": "recording", "stream": stream.number}, session.recording())
            case {"op": "close"}:
                self._close(stream)

    def _open(self, number: int) -> None:
        full = len(self.streams) >= self.config.most_streams
        pair = None if full else self.ports.bind(time.monotonic())
        if pair is None:
            self._say({"re": "refused", "stream": number})
            return
        phase = min(range(PHASES), key=lambda index: len(self.phases[index]))
        line = Line(number, pair, self._session(), phase)
        self.streams[number] = line
        self.phases[phase].append(line)
        for udp, table in ((pair.audio, self.by_fd), (pair.reports, self.reports_by_fd)):
            table[udp.fileno()] = line
            self.poll.register(udp.fileno(), select.EPOLLIN)
        self._say({"re": "opened", "stream": number, "port": pair.audio.getsockname()[1]})

    def _session(self) -> Session:
        return Session(
            ssrc=self.dice.getrandbits(32),
            sequence=self.dice.getrandbits(16),
            timestamp=self.dice.getrandbits(32),
            cname=f"{self.dice.getrandbits(96):024x}",
            unix_ahead_s=time.time() - time.monotonic(),
            lost_after_s=self.config.lost_after_s,
        )

    def _close(self, line: Line) -> None:
        line.session.stop_playing()
        line.session.part()
        self.outgoing += pack_events(line.number, line.session.events())
        port = line.pair.audio.getsockname()[1]
        for udp, table in ((line.pair.audio, self.by_fd), (line.pair.reports, self.reports_by_fd)):
            self.poll.unregister(udp.fileno())
            del table[udp.fileno()]
        self.phases[line.phase].remove(line)
        del self.streams[line.number]
        now = time.monotonic()
        self._say({"re": "closed", "stream": line.number, "stats": asdict(line.close(now))})
        self.ports.rest(port, now)

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


def go_first() -> None:
    """Be scheduled before all else, where we may: on a machine whose cores are all busy this decides who is late.

    Nice values count only within a session where the kernel groups processes by session (CONFIG_SCHED_AUTOGROUP), so
    real time is asked for first. The kernel still keeps a twentieth of each second for others (sched(7)).
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except (AttributeError, OSError):  # no Linux, or we may not
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, URGENT)


def _open_many_files() -> None:
    """A call takes two sockets; what a shell allows by itself is 1,024 of all kinds."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> None:
    """Run until the gateway closes its end. SIGINT and SIGTERM are its to handle: calls end first."""
    end_with_parent()  # even while the clock is stuck
    go_first()
    _open_many_files()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    config = Config(**orjson.loads(sys.argv[2]))
    gc.collect()
    gc.freeze()  # what is loaded by now stays; the collector need not walk through it between frames
    control = socket.socket(fileno=int(sys.argv[1]))
    MediaProcess(control, config, Ports(config, random.SystemRandom().random())).run()


if __name__ == "__main__":
    main()
