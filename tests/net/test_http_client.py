"""The client that carriers are reached with, against a server that answers as slowly and as brokenly as it likes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from gateway.net.http_client import Attempt, HttpClient

HEAD = b"HTTP/1.1 201 Created\r\nContent-Length: 10\r\n\r\n"


@asynccontextmanager
async def answering(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    server.close()
    for task in serving:
        task.cancel()
    await asyncio.gather(*serving, return_exceptions=True)


async def test_an_answer_in_pieces_is_read_whole() -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        for piece in (HEAD, b"01234", b"56789"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)

    async with answering(answer) as url, HttpClient() as http:
        found = await http.request("GET", url, Attempt(), timeout_s=5)

    assert (found.status, found.body) == (201, "0123456789")


async def test_an_answer_that_trickles_for_ever_is_given_up_in_time() -> None:
    """Each byte comes well within the time-out of one read."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    attempt = Attempt()
    async with answering(answer) as url, HttpClient() as http:
        with pytest.raises(TimeoutError):
            await http.request("GET", url, attempt, timeout_s=0.5)

    assert attempt.written


async def test_the_wait_for_a_slot_is_no_part_of_the_time_out() -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"0123456789")
        await writer.drain()

    async def ready() -> bool:
        await asyncio.sleep(0.6)
        return True

    async with answering(answer) as url, HttpClient() as http:
        found = await http.request("GET", url, Attempt(ready), timeout_s=0.3)

    assert found.body == "0123456789"
