"""Connections that break in the middle of a request, on real sockets: nobody waits for what cannot come any more."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from gateway.net import sip_stream
from gateway.net.sip_endpoint import SipEndpoint
from gateway.net.sip_route import Trunk
from gateway.net.sip_sockets import Tls
from gateway.sip import registration
from gateway.sip.events import Answered, Ended, Failed
from gateway.sip.hop import Transport
from gateway.sip.message import Request, parse
from gateway.sip.options import KeepaliveOptions
from gateway.sip.sdp import Session
from tests.net.names import Names, resolver
from tests.net.sip_endpoints import HERE, answer, endpoint, events, served

Serves = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@asynccontextmanager
async def far_end(serves: Serves, tls: Tls | None = None) -> AsyncIterator[int]:
    """A listener over TCP, or TLS, that does this with each connection."""
    serving: list[asyncio.Task[None]] = []

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.ensure_future(serves(reader, writer)))

    server = await asyncio.start_server(begin, HERE, 0, ssl=tls.incoming() if tls is not None else None)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await asyncio.gather(*serving)


async def read(reader: asyncio.StreamReader) -> Request:
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    request = parse(head + await reader.readexactly(size))
    assert isinstance(request, Request)
    return request


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read(reader)
    writer.transport.abort()


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
async def test_a_call_whose_connection_breaks_ends_at_once_and_is_in_doubt(
    transport: Transport,
    certificates: Path,
) -> None:
    secured = transport == "TLS"
    async with far_end(hangs_up, served(certificates) if secured else None) as port:
        trusted = Tls("trunk.example", ca_file=certificates / "certificate.pem") if secured else None
        trunk = Trunk(HERE, port, transport=transport, tls=trusted, keepalive=KeepaliveOptions(0))
        ours = SipEndpoint((HERE, 0), trunk)
        await ours.start()
        began = monotonic()
        call = await ours.invite("+12125551234", "+18005550199", Session(HERE, 40000))
        told = await events(call)
        took = monotonic() - began
        await ours.stop(0.1)

    assert told == [Failed(call.handle, 408, "connection lost", local=True, in_doubt=True)]
    assert took < 3  # timer B would be 32 s


async def test_the_next_server_takes_a_call_whose_connection_breaks(names: Names) -> None:
    async with (
        far_end(hangs_up) as port,
        endpoint(Trunk(HERE, 9, transport="TCP"), on_invite=answer) as second,
    ):
        servers = [f"1 0 {port} a.trunk.example.", f"2 0 {second.address[1]} a.trunk.example."]
        names.records["_sip._tcp.trunk.example", "SRV"] = (60, servers)
        names.records["a.trunk.example", "A"] = (60, [HERE])
        trunk = Trunk("trunk.example", transport="TCP", keepalive=KeepaliveOptions(0))
        ours = SipEndpoint((HERE, 0), trunk, resolver=resolver(names))
        await ours.start()
        began = monotonic()
        call = await ours.invite("+12125551234", "+18005550199", Session(HERE, 40000))
        async with asyncio.timeout(10):
            async for event in call.events():
                if isinstance(event, Answered):
                    took = monotonic() - began
                    await call.hangup()
                last = event
        await ours.stop(0.1)

    assert isinstance(last, Ended)
    assert took < 3  # a silent server would be left after 4 s


async def test_a_registration_is_made_anew_when_its_connection_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "SHORT_LIVED_S", 0.0)
    numbers: list[int] = []

    async def accepts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read(reader)
        numbers.append(request.cseq[0])
        writer.write(request.respond(200, "far", (("Expires", "3600"),)).encode())
        await writer.drain()
        if len(numbers) == 1:
            writer.transport.abort()
        else:
            await reader.read()
            writer.close()

    async with far_end(accepts) as port:
        trunk = Trunk(HERE, port, transport="TCP", register=3600, keepalive=KeepaliveOptions(0))
        ours = SipEndpoint((HERE, 0), trunk)
        await ours.start()
        async with asyncio.timeout(10):
            while len(numbers) < 2 or ours.trouble:
                await asyncio.sleep(0.01)
        await ours.stop(0.1)

    assert numbers == [1, 2]


async def test_a_far_end_that_acknowledges_nothing_loses_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kernel takes what fits and then no more: so does one whose machine was switched off."""
    monkeypatch.setattr(sip_stream, "DEAF_S", 0.3)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        deaf.bind((HERE, 0))
        deaf.listen()
        port = deaf.getsockname()[1]
        async with endpoint(Trunk(HERE, port, transport="TCP")) as ours:
            call = await ours.invite(
                "+12125551234", "+18005550199", Session(HERE, 40000), headers=(("X-Long", "x" * 500_000),)
            )
            async with asyncio.timeout(5):
                told = await events(call)
            assert ours.connections == 0

    assert told == [Failed(call.handle, 408, "connection lost", local=True, in_doubt=True)]


async def test_who_rings_and_then_answers_over_a_connection_of_its_own_has_the_call() -> None:
    async def rings(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        invite = await read(reader)
        writer.write(invite.respond(180, "far", (("Contact", f"<sip:callee@{HERE}:{port};transport=tcp>"),)).encode())
        await writer.drain()
        writer.close()
        back, other = await asyncio.open_connection(*ours.address)
        kind = (("Content-Type", "application/sdp"), ("Contact", f"<sip:callee@{HERE}:{port};transport=tcp>"))
        other.write(invite.respond(200, "far", kind, Session(HERE, 41000).encode()).encode())
        await back.read()  # our ACK, then until the connection is closed
        other.close()

    async with far_end(rings) as port:
        ours = SipEndpoint((HERE, 0), Trunk(HERE, port, transport="TCP", keepalive=KeepaliveOptions(0)))
        await ours.start()
        call = await ours.invite("+12125551234", "+18005550199", Session(HERE, 40000))
        async with asyncio.timeout(10):
            assert any([isinstance(event, Answered) async for event in _until_answer(call)])
        await ours.stop(0.1)


async def _until_answer(call: object) -> AsyncIterator[object]:
    async for event in call.events():  # type: ignore[attr-defined]
        yield event
        if isinstance(event, Answered):
            return
