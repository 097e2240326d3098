"""The network that `make chaos` silences does what it says."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from tests.chaos.relay import BOTH, Relay, Way, relay_to

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    """Before a server that says everything back."""
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, relay_to(lambda: asyncio.open_connection("127.0.0.1", port)) as its:
        yield its


async def _opened(relay: Relay) -> Ends:
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(b"first")
    assert await reader.readexactly(5) == b"first"
    return reader, writer


async def _is_silent(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(0.1):
            await reader.read(1)
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize("ways", [BOTH, ("there",), ("back",)], ids=["both", "there", "back"])
async def test_what_is_said_into_the_silence_arrives_after_it(relay: Relay, ways: tuple[Way, ...]) -> None:
    reader, writer = await _opened(relay)
    relay.hush(ways)
    writer.write(b"second")

    assert await _is_silent(reader)
    relay.speak()
    assert await reader.readexactly(6) == b"second"
    writer.close()


async def test_an_end_is_not_told_in_the_silence_either(relay: Relay) -> None:
    reader, writer = await _opened(relay)
    relay.hush()
    writer.write_eof()

    assert await _is_silent(reader)
    relay.speak()
    assert await reader.read() == b""
    writer.close()


async def test_what_waits_is_lost_where_the_connection_is_reset_and_new_ones_are_taken(relay: Relay) -> None:
    reader, writer = await _opened(relay)
    relay.hush()
    writer.write(b"second")
    assert await _is_silent(reader)
    relay.cut()
    relay.speak()

    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    _, other = await _opened(relay)
    other.close()


async def test_who_has_gone_in_the_silence_is_no_trouble_to_the_reset(relay: Relay) -> None:
    _, gone = await _opened(relay)
    reader, writer = await _opened(relay)
    relay.hush()
    gone.write(b"second")
    assert await _is_silent(reader)
    gone.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    gone.transport.abort()
    assert await _is_silent(reader)
    relay.cut()
    relay.speak()

    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    writer.close()
