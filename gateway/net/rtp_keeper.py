"""One media process as the gateway sees it: started, spoken to, and started again when it dies or hangs."""

import asyncio
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Final

import orjson
import structlog

from gateway.media import g711
from gateway.media.events import Lost
from gateway.net.rtp_heart import ASK_S, Heart, pulse_of
from gateway.net.rtp_library import AudioId, Library
from gateway.net.rtp_ports import Config
from gateway.net.rtp_stream import RtpStream
from gateway.net.rtp_wire import Message, Unpacker, pack, read_event

_log = structlog.get_logger(__name__)

STOP_TIMEOUT_S: Final = 2.0
RESTARTS: Final = 5  # within a minute; a process that dies faster than that stays down
RESTART_WINDOW_S: Final = 60.0


class Keeper:
    """A media process and the streams in it. When it dies, its streams end with Lost and another is started.

    One that hangs is killed. `on_end` is told of each end that nobody asked for: `died` or `hung`.
    """

    def __init__(self, config: Config, library: Library, on_end: Callable[[str], None]) -> None:
        self.library = library
        self._on_end = on_end
        self._heart: Heart | None = None  # while there is a process to listen to
        self.restarts = 0
        self.pid: int | None = None
        self.ready = asyncio.Event()
        self.streams: dict[int, RtpStream] = {}
        self._config = config
        self._sent: set[str] = set()  # the audio that the process has
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        library.on_gone.append(self._unload)

    @property
    def is_down(self) -> bool:
        """Whether it runs no more, and will not by itself."""
        return self._task is None or self._task.done()

    def start(self) -> None:
        """Start the process; `ready` is set when it is."""
        self._task = asyncio.create_task(self._keep(), name="media process")

    async def stop(self) -> None:
        """End the process and all its streams."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def open(self) -> RtpStream:
        """A stream with a port of its own. Raises: MediaLimit when none is free; MediaDown."""
        stream = RtpStream(self, self.library.next_id())
        self.streams[stream.number] = stream
        try:
            await stream.ask_port()
        except BaseException:
            self.tell(stream.number, {"op": "close", "stream": stream.number})
            self.forget(stream.number)
            raise
        return stream

    def provide(self, audio_id: AudioId, law: int) -> str:
        """See that the process has this audio in this law, encoded once; returns its name there."""
        name, pcm = f"{audio_id}/{law}", self.library.pcm(audio_id)
        if name not in self._sent and self._write({"op": "load", "audio": name}, g711.encode(pcm, law)):
            self._sent.add(name)
        return name

    def _unload(self, audio_id: AudioId) -> None:
        for name in [f"{audio_id}/{law}" for law in g711.SILENCE]:
            if name in self._sent:
                self._sent.remove(name)
                self._write({"op": "unload", "audio": name})

    def forget(self, number: int) -> None:
        """The stream is closed."""
        self.streams.pop(number, None)

    def tell(self, number: int, message: Message) -> bool:
        """Give a message for a stream to the process; false when the process, or the stream in it, is gone."""
        return number in self.streams and self._write(message)

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
            self.ready.clear()

    async def _run(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            config = orjson.dumps(asdict(self._config)).decode()
            command = (sys.executable, "-m", "gateway.net.rtp_process", str(theirs.fileno()), config)
            process = await asyncio.create_subprocess_exec(*command, pass_fds=(theirs.fileno(),))
            theirs.close()  # the process has its own; with ours closed too, it sees the end
            reader, writer = await asyncio.open_unix_connection(sock=ours.dup())
        self._writer, self.pid = writer, process.pid
        watch = asyncio.create_task(self._watch(process), name="media process's heart")
        try:
            await self._read(reader)
            self._lose_streams("hung" if watch.done() else "died")
        finally:
            watch.cancel()
            await asyncio.wait([watch])
            await self._end(writer, process)

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Ask for signs of life, and kill it when none come: the rest is as with any process that died."""
        await self.ready.wait()
        self._heart = Heart(time.monotonic(), pulse_of(process.pid))
        while not self._heart.hangs(time.monotonic(), pulse_of(process.pid)):
            self._write({"op": "ask"})
            await asyncio.sleep(ASK_S)
        with suppress(ProcessLookupError):  # it has just died
            process.kill()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        unpacker = Unpacker()
        try:
            while data := await reader.read(1 << 16):
                if self._heart is not None:
                    self._heart.beat()
                for message, blob in unpacker.feed(data):
                    self._take(message, blob)
        except ConnectionError:
            return

    def _take(self, message: Message, blob: bytes) -> None:
        if message["re"] == "ready":
            self.ready.set()
        if "stream" not in message:
            return
        stream = self.streams.get(message["stream"])
        if stream is None:
            return
        if message["re"] == "events":
            for fields in message["events"]:
                stream.take(read_event(fields))
        else:
            stream.answer(message, blob)

    def _lose_streams(self, why: str) -> None:
        _log.error(f"media process {why}", pid=self.pid, streams=len(self.streams))
        self._on_end(why)
        for stream in self.streams.values():
            stream.take(Lost(time.monotonic(), "process_died"))

    async def _end(self, writer: asyncio.StreamWriter, process: asyncio.subprocess.Process) -> None:
        """Close our end, end the streams that were in the process, and see it go."""
        self._writer = self._heart = self.pid = None
        self.ready.clear()
        writer.close()
        self._sent.clear()
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            stream.end()
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            await process.wait()
