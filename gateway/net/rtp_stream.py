"""One call's media, as the call sees it: a handle on a stream in the media process."""

import asyncio
import ipaddress
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Final, Protocol

from gateway.errors.media import InvalidDigit, MediaDown, MediaLimit
from gateway.media import g711
from gateway.media.amd import Times
from gateway.media.events import Digit, Event, Played, Stats
from gateway.media.receiver import MOST_SECONDS
from gateway.media.sender import KEY_FRAMES, MOST_KEYS, MOST_PLAYS
from gateway.media.telephone_event import DIGITS
from gateway.net.rtp_library import AudioId, Library
from gateway.net.rtp_wire import Message

MOST_KEYS_UNREAD: Final = 200
KEY_S: Final = 2 * KEY_FRAMES * g711.FRAME_S
ANSWER_TIMEOUT_S: Final = 5.0
_EVENT_TYPES: Final = {None, *range(128)} - set(g711.SILENCE)


class Home(Protocol):
    """What a stream needs of the process that it was opened in."""

    @property
    def library(self) -> Library:
        """The prompts that are held, and numbers that were never given before."""

    def provide(self, audio_id: AudioId, law: int) -> str:
        """See that the process has a prompt; returns its name there."""

    def tell(self, number: int, message: Message) -> bool:
        """Give a message to the process; false when the stream is gone."""

    def forget(self, number: int) -> None:
        """The stream is closed."""


class RtpStream:
    """One call's media. Made by `RtpEngine.open`; fetch `events` in one task, and `close` it."""

    def __init__(self, home: Home, number: int) -> None:
        self.port = 0
        self.number = number
        self._home = home
        self._payload_type: int | None = None
        self._waiting: set[int] = set()  # plays that have not ended
        self._keys_until = 0.0
        self._unread: deque[Event | None] = deque()
        self._arrived = asyncio.Event()
        self._answers: deque[asyncio.Future[tuple[Message, bytes]]] = deque()
        self._stats: Stats | None = None

    def connect(
        self,
        ip: str,
        port: int,
        *,
        payload_type: int,
        event_payload_type: int | None,
        rtcp_mux: bool = False,
        srtp: dict[str, str] | None = None,
    ) -> None:
        """Send to this address and listen to it, as the far end's SDP says; again when its SDP changes.

        payload_type:       0 (mu-law) or 8 (A-law).
        event_payload_type: 0..127 but those two, or None where none was agreed: then keys are sent and heard as tones.
        srtp:               keys, made by `rtp_srtp.words`; None: audio goes in the clear.
        rtcp_mux:           whether both agreed on one port for audio and reports.
        Raises: ValueError for an address that is no single IPv4 host, or another payload type.
        """
        address = ipaddress.IPv4Address(ip)
        if address.is_multicast or address.is_unspecified or not 0 < port <= 0xFFFF:
            raise ValueError(f"no address to send to: {port=}")
        if payload_type not in g711.SILENCE or event_payload_type not in _EVENT_TYPES:
            raise ValueError(f"{payload_type=} {event_payload_type=}")
        self._payload_type = payload_type
        kinds = {"law": payload_type, "events": event_payload_type, "rtcp_mux": rtcp_mux}
        self._tell("connect", ip=ip, port=port, **kinds, srtp=srtp)

    def play(self, audio: bytes | AudioId, *, silence_s: float = 0.0, loops: int = 1) -> int:
        """Play this after what plays already, after so much silence, so many times.

        audio:   8 kHz PCM16, or what `RtpEngine.load` gave for it: prompts that many calls hear should be loaded.
        Returns: the play_id that its Played event will carry.
        Raises:  MediaLimit when 200 wait already; ValueError before `connect`; KeyError for audio that is not loaded.
        """
        if self._payload_type is None:
            raise ValueError("nothing can be played before the stream is connected")
        if len(self._waiting) >= MOST_PLAYS:
            raise MediaLimit("too many pieces of audio wait to be played")
        audio_id = self._home.library.load(audio) if isinstance(audio, bytes) else audio
        key = self._home.provide(audio_id, self._payload_type)
        play_id = self._home.library.next_id()
        if self._tell("play", play_id=play_id, audio=key, silence_s=silence_s, loops=loops):
            self._waiting.add(play_id)
        if isinstance(audio, bytes):
            self._home.library.release(audio_id)  # the process keeps what it plays
        return play_id

    def stop_playing(self) -> None:
        """Stop what plays and drop what waits, within 20 ms; each tells in its Played how much was really sent."""
        self._tell("stop")

    def send_digits(self, digits: str) -> None:
        """Press keys: 100 ms each, 100 ms apart, after those that still wait; audio pauses meanwhile.

        Raises: InvalidDigit; MediaLimit when more than about 60 would wait.
        """
        if not set(digits) <= set(DIGITS):
            raise InvalidDigit
        start = max(time.monotonic(), self._keys_until)
        until = start + len(digits) * KEY_S
        if until - time.monotonic() > (MOST_KEYS - 4) * KEY_S:
            raise MediaLimit("too many keys wait to be sent")
        self._keys_until = until
        self._tell("digits", digits=digits)

    def listen(self, seconds: float = 60.0) -> None:
        """Record what is heard from now on, up to so many seconds (at most 600); 0 forgets the recording."""
        self._tell("listen", seconds=min(seconds, MOST_SECONDS))

    def detect(self, times: Times) -> None:
        """Find out who answered, from now on: a Detected follows, and for a machine a GreetingEnded."""
        self._tell("detect", times=asdict(times))

    def join(self, other: "RtpStream") -> None:
        """Let the two far ends hear each other, until one of the streams is closed. It was opened beside this one."""
        self._tell("join", other=other.number)

    async def recording(self) -> bytes:
        """What was recorded so far, 8 kHz PCM16, losses as silence. Raises: MediaDown."""
        _, pcm = await self._ask("recording")
        return pcm

    async def events(self) -> AsyncIterator[Event]:
        """What happens, in order, until the stream is closed or its process died (then the last is a Lost)."""
        while True:
            while not self._unread:
                self._arrived.clear()
                await self._arrived.wait()
            event = self._unread.popleft()
            if event is None:
                self._unread.append(None)  # for whoever asks again
                return
            yield event

    async def close(self) -> Stats:
        """Give the port back and end `events`. Again, it answers the same; zeros if the process died."""
        if self._stats is None:
            try:
                answer, _ = await self._ask("close")
                self._stats = Stats(**answer["stats"])
            except MediaDown:
                self._stats = Stats()
            self._home.forget(self.number)
            self.end()
        return self._stats

    def take(self, event: Event) -> None:
        """An event from the process. Keys that nobody reads are dropped in the end; all else is kept."""
        if isinstance(event, Played):
            self._waiting.discard(event.play_id)
        if not isinstance(event, Digit) or len(self._unread) < MOST_KEYS_UNREAD:
            self._unread.append(event)
            self._arrived.set()

    def answer(self, message: Message, blob: bytes) -> None:
        """The process has answered the oldest question."""
        if self._answers:
            waiting = self._answers.popleft()
            if not waiting.done():
                waiting.set_result((message, blob))

    def end(self) -> None:
        """No more events come; open questions fail with MediaDown."""
        self._unread.append(None)
        self._arrived.set()
        while self._answers:
            waiting = self._answers.popleft()
            if not waiting.done():
                waiting.set_exception(MediaDown("the media process died"))

    async def ask_port(self) -> None:
        """Have a socket bound. Raises: MediaLimit, MediaDown."""
        message, _ = await self._ask("open")
        if message["re"] == "refused":
            raise MediaLimit("no RTP port is free")
        self.port = message["port"]

    async def _ask(self, op: str) -> tuple[Message, bytes]:
        answer: asyncio.Future[tuple[Message, bytes]] = asyncio.get_running_loop().create_future()
        if not self._tell(op):
            raise MediaDown("the media process is not running")
        self._answers.append(answer)
        try:
            return await asyncio.wait_for(answer, ANSWER_TIMEOUT_S)
        except TimeoutError as error:
            raise MediaDown("the media process does not answer") from error

    def _tell(self, op: str, **words: object) -> bool:
        """Whether the process could be told."""
        return self._home.tell(self.number, {"op": op, "stream": self.number, **words})
