"""The client that carriers are reached with, against a server that answers as slowly and as brokenly as it likes."""

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from gateway.net.http_client import (
    Attempt,
    BrokenAnswerError,
    HttpClient,
    PrivateAddressError,
    TakenBackError,
    is_public,
)

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


async def test_a_chunked_answer_and_one_that_ends_with_its_connection_are_read_whole() -> None:
    async def chunked(writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n"
        )
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(b"5\r\n56789\r\n0\r\n\r\n")

    async def closing(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nRetry-After: 3\r\n\r\n0123456789")

    for answer in (chunked, closing):
        async with answering(answer) as url, HttpClient() as http:
            found = await http.request("GET", url, Attempt(), timeout_s=5)

        assert (found.status, found.body) == (200, "0123456789")


@pytest.mark.parametrize(
    "broken",
    [b"", HEAD + b"0123", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"],
    ids=["none", "cut", "no HTTP", "announced"],
)
async def test_an_answer_that_breaks_off_or_is_none_is_told_as_such_and_something_was_written(broken: bytes) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(broken)

    attempt = Attempt()
    async with answering(answer) as url, HttpClient() as http:
        with pytest.raises(BrokenAnswerError):
            await http.request("POST", url, attempt, timeout_s=5, data=b"x")

    assert attempt.written


@pytest.mark.parametrize("piece", [b"X-More: yes\r\n", b"y"], ids=["headers", "one header"])
async def test_headers_without_end_are_given_up_before_they_fill_the_memory(piece: bytes) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD[:-2] + b"X-First: ")
        while True:
            writer.write(piece * (65_536 // len(piece)))
            await writer.drain()

    async with answering(answer) as url, HttpClient() as http:
        with pytest.raises(BrokenAnswerError, match="no end"):
            await http.request("GET", url, Attempt(), timeout_s=15)


async def test_what_follows_an_answer_is_not_taken_for_the_next_ones() -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"0123456789" + b"HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\n\r\n")
        await asyncio.sleep(0.2)
        writer.write(HEAD + b"0123456789")
        await writer.drain()
        await asyncio.sleep(5)

    async with answering(answer) as url, HttpClient() as http:
        found = [await http.request("GET", url, Attempt(), timeout_s=1) for _ in range(2)]

    assert [(each.status, each.body) for each in found] == [(201, "0123456789")] * 2


class Peer(asyncio.Protocol):
    """Answers each request with its path; `/never` not at all. Counts connections."""

    def __init__(self, made: list[asyncio.BaseTransport]) -> None:
        self._made = made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._made.append(transport)

    def data_received(self, data: bytes) -> None:
        path = data.split(b" ")[1]
        if path != b"/never":
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))


@asynccontextmanager
async def peer() -> AsyncIterator[tuple[str, list[asyncio.BaseTransport]]]:
    made: list[asyncio.BaseTransport] = []
    server = await asyncio.get_running_loop().create_server(lambda: Peer(made), "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", made
    server.close()
    for transport in made:
        transport.abort()


async def test_one_connection_serves_request_after_request_and_more_are_opened_only_for_more_at_once() -> None:
    async with peer() as (url, made), HttpClient(limit=3) as http:
        for number in range(5):
            assert (await http.request("GET", f"{url}/{number}", Attempt(), timeout_s=5)).body == f"/{number}"
        assert len(made) == 1

        found = await asyncio.gather(*(http.request("GET", f"{url}/{n}", Attempt(), timeout_s=5) for n in range(20)))
        assert [each.body for each in found] == [f"/{n}" for n in range(20)]
        assert len(made) == 3


async def test_a_cancelled_request_takes_its_connection_with_it_and_no_answer_is_taken_for_anothers() -> None:
    async with peer() as (url, made), HttpClient() as http:
        asking = asyncio.create_task(http.request("GET", f"{url}/never", Attempt(), timeout_s=5))
        while not made:
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

        assert (await http.request("GET", f"{url}/next", Attempt(), timeout_s=5)).body == "/next"
        assert len(made) == 2


async def test_what_was_taken_back_leaves_its_connection_to_the_next() -> None:
    async def no() -> bool:
        return False

    attempt = Attempt(no)
    async with peer() as (url, made), HttpClient() as http:
        with pytest.raises(TakenBackError):
            await http.request("POST", url, attempt, timeout_s=5)
        assert not attempt.written
        await http.request("GET", f"{url}/next", Attempt(), timeout_s=5)
        assert len(made) == 1


async def test_a_connection_that_ends_while_its_slot_is_awaited_wrote_nothing() -> None:
    async with peer() as (url, made), HttpClient() as http:
        waited = asyncio.Event()

        async def ready() -> bool:
            made[0].abort()
            await asyncio.wait_for(waited.wait(), 5)
            return True

        attempt = Attempt(ready)
        asking = asyncio.create_task(http.request("POST", url, attempt, timeout_s=5))
        while not made or not made[0].is_closing():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        waited.set()
        with pytest.raises(BrokenAnswerError):
            await asking

    assert not attempt.written


async def test_a_line_end_in_a_header_is_refused_before_anything_is_opened() -> None:
    async with peer() as (url, made), HttpClient() as http:
        with pytest.raises(ValueError, match="line end"):
            await http.request("GET", url, Attempt(), timeout_s=5, headers={"X-Name": "a\r\nX-Other: b"})
        assert made == []


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:1/", "http://localhost:1/", "http://[::1]:1/", "http://[::ffff:10.0.0.1]:1/"),
        *("http://[64:ff9b::a00:1]:1/", "http://[64:ff9b:1::a00:1]:1/", "http://[2002:a00:1::]:1/"),
        *("http://[::7f00:1]:1/", "http://[fec0::1]:1/", "http://224.0.0.1:1/", "http://[ff02::1]:1/"),
    ],
)
async def test_a_private_address_is_refused_by_number_and_by_name(url: str) -> None:
    async with HttpClient(public_only=True) as http:
        with pytest.raises(PrivateAddressError):
            await http.request("GET", url, Attempt(), timeout_s=5)


def test_a_public_address_is_one_behind_a_translator_too() -> None:
    public = ("93.184.215.14", "2606:2800:21f::1", "64:ff9b::5db8:d70e", "2002:5db8:d70e::1")

    assert all(is_public(ip_address(each)) for each in public)


async def test_tls_is_checked_against_the_machines_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout {key} -out {certificate}"
    subprocess.run(  # noqa: ASYNC221 - nothing else runs yet
        [openssl, *words.split(), "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    made: list[asyncio.BaseTransport] = []
    server = await asyncio.get_running_loop().create_server(lambda: Peer(made), "127.0.0.1", 0, ssl=context)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}/named"

    async with HttpClient() as http:
        with pytest.raises(ssl.SSLCertVerificationError):
            await http.request("GET", url, Attempt(), timeout_s=5)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with HttpClient() as http:
        assert (await http.request("GET", url, Attempt(), timeout_s=5)).body == "/named"
    server.close()
