"""The network between a gateway and a server: bytes pass, until it goes silent with every connection still open."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Final, Literal

Way = Literal["there", "back"]
Server = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
BOTH: Final[tuple[Way, ...]] = ("there", "back")
_CHUNK: Final = 65_536
_AT_ONCE: Final = struct.pack("ii", 1, 0)  # no lingering: a close is a reset


class Relay:
    """Takes connections on a loopback port, and carries each on to a server. What is not passed waits, ends too."""

    def __init__(self, server: Server) -> None:
        """`server`: opens a connection to it."""
        self._server = server
        self._open: dict[Way, asyncio.Event] = {way: asyncio.Event() for way in BOTH}
        self._pairs: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._listening: asyncio.Server | None = None
        self.speak()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._listening is not None
        return int(self._listening.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen."""
        self._listening = await asyncio.start_server(self._taken, "127.0.0.1", 0)

    async def close(self) -> None:
        """Take no more, and cut what there is."""
        if self._listening is not None:
            self._listening.close()
        for pair in self._pairs:
            pair.cancel()
        await asyncio.gather(*self._pairs, return_exceptions=True)

    def hush(self, ways: Iterable[Way] = BOTH) -> None:
        """Pass nothing more that way; connections are still taken, and none is closed."""
        for way in ways:
            self._open[way].clear()

    def speak(self) -> None:
        """Pass what has waited, and all that comes."""
        for is_open in self._open.values():
            is_open.set()

    def cut(self) -> None:
        """Reset every connection: what waited is lost."""
        for writer in self._writers:
            with contextlib.suppress(OSError):  # it is closed, and its pair does not know yet
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            writer.transport.abort()

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = asyncio.current_task()
        assert pair is not None
        self._pairs.add(pair)
        pair.add_done_callback(self._pairs.discard)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._carry(reader, writer)
        writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        its_reader, its_writer = await self._server()
        ours = {writer, its_writer}
        self._writers |= ours
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(reader, its_writer, self._open["there"]))
                both.create_task(self._pass(its_reader, writer, self._open["back"]))
        except* OSError:
            pass  # one end was reset, and so is the other
        finally:
            self._writers -= ours
            its_writer.transport.abort()

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_open: asyncio.Event) -> None:
        with contextlib.suppress(ConnectionError):  # a reset is told no sooner than an end
            while data := await reader.read(_CHUNK):
                await is_open.wait()
                writer.write(data)
                await writer.drain()
        await is_open.wait()
        writer.close()


@contextlib.asynccontextmanager
async def relay_to(server: Server) -> AsyncIterator[Relay]:
    """A relay that runs."""
    relay = Relay(server)
    await relay.start()
    try:
        yield relay
    finally:
        await relay.close()
