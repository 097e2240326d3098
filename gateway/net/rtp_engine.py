"""RTP for all calls, as the rest of the gateway sees it. The frames themselves are sent by a process of its own.

engine = RtpEngine("192.0.2.1", (20000, 29998))
await engine.start()
stream = await engine.open()                     # stream.port goes into our SDP
stream.connect(ip, port, payload_type=0, event_payload_type=101)   # from the far end's
play_id = stream.play(engine.load(pcm))
async for event in stream.events(): ...          # Digit, Played, FirstPacket, Lost
stats = await stream.close()
"""

import asyncio
import hashlib
import itertools
import socket
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Final

import orjson
import structlog

from gateway.errors.media import MediaDown, MediaLimit
from gateway.media import g711
from gateway.media.events import Lost
from gateway.net.rtp_process import Config
from gateway.net.rtp_stream import AudioId, RtpStream
from gateway.net.rtp_wire import Message, Unpacker, pack, read_event

_log = structlog.get_logger(__name__)

MOST_AUDIO_BYTES: Final = 256 << 20  # of PCM16 held for all prompts: four and a half hours
START_TIMEOUT_S: Final = 10.0
STOP_TIMEOUT_S: Final = 2.0
RESTARTS: Final = 5  # within a minute; a process that dies faster than that stays down
RESTART_WINDOW_S: Final = 60.0


@dataclass(slots=True)
class _Audio:
    """A prompt that is held, and the laws in which the process has it."""

    pcm: bytes
    users: int = 0
    sent: set[int] = field(default_factory=set)


class RtpEngine:
    """The media process and the streams in it. When it dies, its streams end with Lost and another is started."""

    def __init__(
        self,
        bind_ip: str,
        port_range: tuple[int, int] | None,
        *,
        most_streams: int = 2000,
        drain_s: float = 5.0,
        lost_after_s: float = 30.0,
    ) -> None:
        """Nothing runs before `start`.

        bind_ip:      an IPv4 address of this machine, for all RTP sockets.
        port_range:   the first and the last port, of which the even ones are used; None lets the system choose.
        most_streams: more are refused with MediaLimit.
        drain_s:      how long a port rests between two calls.
        lost_after_s: a far end silent for so long is reported as Lost, `no_rtp`.
        """
        first, last = port_range or (0, 0)
        if port_range is not None and not 0 < first + first % 2 <= last <= 0xFFFF:
            raise ValueError(f"{port_range=} holds no even port")
        self.restarts = 0
        self.pid: int | None = None  # of the media process
        self._config = Config(bind_ip, first, last, drain_s, lost_after_s, most_streams)
        self._ids = itertools.count(1)
        self._streams: dict[int, RtpStream] = {}
        self._audio: dict[AudioId, _Audio] = {}
        self._audio_bytes = 0
        self._writer: asyncio.StreamWriter | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    async def start(self) -> None:
        """Start the process. Raises: MediaDown, when the address cannot be bound or it does not come up."""
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind((self._config.bind_ip, 0))
        except OSError as error:
            raise MediaDown(f"RTP cannot be bound to {self._config.bind_ip}: {error.strerror}") from error
        self._keeper = asyncio.create_task(self._keep(), name="media process")
        try:
            await self.ready()
        except BaseException:
            await self.stop()
            raise

    async def ready(self) -> None:
        """Wait until streams can be opened: at once, save while a process that died is replaced. Raises: MediaDown."""
        if self._keeper is None or self._keeper.done():
            raise MediaDown("the media process is not running")
        try:
            await asyncio.wait_for(self._ready.wait(), START_TIMEOUT_S)
        except TimeoutError as error:
            raise MediaDown("the media process did not start") from error

    async def stop(self) -> None:
        """End the process and all streams."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
            self._keeper = None

    async def open(self) -> RtpStream:
        """A stream with a port of its own. Raises: MediaLimit when none is free; MediaDown."""
        await self.ready()
        stream = RtpStream(self, self.next_id())
        self._streams[stream.number] = stream
        try:
            await stream.ask_port()
        except BaseException:
            self.tell(stream.number, {"op": "close", "stream": stream.number})
            self.forget(stream.number)
            raise
        return stream

    def load(self, pcm: bytes) -> AudioId:
        """Hold a prompt (8 kHz PCM16) for all streams. The same audio has the same id, and is held until it was
        released as often as it was loaded. Raises: MediaLimit when 256 MB are held.
        """
        audio_id = AudioId(hashlib.sha256(pcm).hexdigest())
        audio = self._audio.get(audio_id)
        if audio is None:
            if self._audio_bytes + len(pcm) > MOST_AUDIO_BYTES:
                raise MediaLimit("too much audio is held in memory")
            audio = self._audio[audio_id] = _Audio(pcm)
            self._audio_bytes += len(pcm)
        audio.users += 1
        return audio_id

    def release(self, audio_id: AudioId) -> None:
        """Undo one `load`. What plays goes on playing."""
        audio = self._audio[audio_id]
        audio.users -= 1
        if audio.users == 0:
            del self._audio[audio_id]
            self._audio_bytes -= len(audio.pcm)
            for law in audio.sent:
                self._write({"op": "unload", "audio": f"{audio_id}/{law}"})

    def provide(self, audio_id: AudioId, law: int) -> str:
        """See that the process has this audio in this law, encoded once; returns its name there."""
        audio = self._audio[audio_id]
        name = f"{audio_id}/{law}"
        if law not in audio.sent and self._write({"op": "load", "audio": name}, g711.encode(audio.pcm, law)):
            audio.sent.add(law)
        return name

    def next_id(self) -> int:
        """A number that no stream and no play had before."""
        return next(self._ids)

    def forget(self, number: int) -> None:
        """The stream is closed."""
        self._streams.pop(number, None)

    def tell(self, number: int, message: Message) -> bool:
        """Give a message for a stream to the process; false when the process, or the stream in it, is gone."""
        return number in self._streams and self._write(message)

    def _write(self, message: Message, blob: bytes = b"") -> bool:
        if self._writer is None or self._writer.is_closing():
            return False
        self._writer.write(pack(message, blob))
        return True

    async def _keep(self) -> None:
        """Run the process, again when it died, unless it dies too often."""
        deaths: deque[float] = deque(maxlen=RESTARTS)
        try:
            while len(deaths) < RESTARTS or time.monotonic() - deaths[0] > RESTART_WINDOW_S:
                await self._run()
                deaths.append(time.monotonic())
                self.restarts += 1
        finally:
            self._ready.clear()

    async def _run(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            config = orjson.dumps(asdict(self._config)).decode()
            command = (sys.executable, "-m", "gateway.net.rtp_process", str(theirs.fileno()), config)
            process = await asyncio.create_subprocess_exec(*command, pass_fds=(theirs.fileno(),))
            theirs.close()  # the process has its own; with ours closed too, it sees the end
            reader, writer = await asyncio.open_unix_connection(sock=ours.dup())
        self._writer, self.pid = writer, process.pid
        try:
            await self._read(reader)
            self._lose_streams()
        finally:
            await self._end(writer, process)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        unpacker = Unpacker()
        try:
            while data := await reader.read(1 << 16):
                for message, blob in unpacker.feed(data):
                    self._take(message, blob)
        except ConnectionError:
            return

    def _take(self, message: Message, blob: bytes) -> None:
        if message["re"] == "ready":
            self._ready.set()
            return
        stream = self._streams.get(message["stream"])
        if stream is None:
            return
        if message["re"] == "events":
            for fields in message["events"]:
                stream.take(read_event(fields))
        else:
            stream.answer(message, blob)

    def _lose_streams(self) -> None:
        _log.error("media process died", streams=len(self._streams))
        for stream in self._streams.values():
            stream.take(Lost(time.monotonic(), "process_died"))

    async def _end(self, writer: asyncio.StreamWriter, process: asyncio.subprocess.Process) -> None:
        """Close our end, end the streams that were in the process, and see it go."""
        self._writer = self.pid = None
        self._ready.clear()
        writer.close()
        for audio in self._audio.values():
            audio.sent.clear()
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.end()
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            await process.wait()
