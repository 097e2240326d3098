"""SIP over TCP on real loopback sockets: two endpoints, or one and a bare socket."""

import asyncio
import socket

import pytest

from gateway.errors.sip import SipAddressTaken
from gateway.net import sip_stream
from gateway.net.sip_call import SipCall
from gateway.net.sip_endpoint import SipEndpoint
from gateway.net.sip_route import Trunk
from gateway.sip.events import Answered, Ended, Failed
from gateway.sip.options import KeepaliveOptions
from gateway.sip.sdp import Session
from tests.net.sip_endpoints import HERE, OPTIONS, QUICK, answer, call_and_hang_up, endpoint, events
from tests.peers.ports import free_port


async def test_a_call_goes_over_one_connection_in_each_direction() -> None:
    async with (
        endpoint(Trunk(HERE, 9, transport="TCP"), on_invite=answer) as callee,
        endpoint(Trunk(HERE, callee.address[1], transport="TCP")) as caller,
    ):
        for _ in range(3):
            told = await call_and_hang_up(caller)
            assert isinstance(told[-1], Ended)
            assert told[-1].status == 200

        assert caller.agent.traffic.resent == 0
        assert caller.agent.transactions <= 3
        assert caller.connections == callee.connections == 1


async def test_a_trunk_that_refuses_the_connection_fails_the_call_at_once() -> None:
    async with endpoint(Trunk(HERE, free_port(), transport="TCP")) as caller:
        call = await caller.invite("+12125551234", "+18005550199", Session(HERE, 40000))

        assert await events(call) == [Failed(call.handle, 503, "unreachable", local=True)]
        assert caller.unsent == 1
        assert caller.agent.transactions == 0


async def test_a_lost_connection_is_opened_again() -> None:
    async with (
        endpoint(Trunk(HERE, 9, transport="TCP"), on_invite=answer) as callee,
        endpoint(Trunk(HERE, callee.address[1], transport="TCP")) as caller,
    ):
        await call_and_hang_up(caller)
        assert caller._sockets is not None
        (stream,) = caller._sockets._streams.values()
        stream.abort()
        async with asyncio.timeout(5):
            while caller.connections:
                await asyncio.sleep(0.01)

        assert isinstance((await call_and_hang_up(caller))[-1], Ended)


async def test_a_strangers_connection_is_closed_before_a_byte_is_read() -> None:
    async with endpoint(Trunk("127.0.0.3", 9, transport="TCP")) as ours:
        reader, writer = await asyncio.open_connection(*ours.address)
        writer.write(OPTIONS)
        with pytest.raises(ConnectionError):  # noqa: PT012 -- the reset comes with the read or with the end of it
            assert await asyncio.wait_for(reader.read(), 5) == b""
            raise ConnectionResetError
        writer.close()

        assert ours.counters.foreign == 1
        assert ours.connections == 0


async def test_keep_alives_are_answered_and_torn_messages_put_together() -> None:
    async with endpoint(Trunk(HERE, 9, transport="TCP")) as ours:
        reader, writer = await asyncio.open_connection(*ours.address)
        writer.write(b"\r\n\r\n")
        assert await asyncio.wait_for(reader.readexactly(2), 5) == b"\r\n"
        for part in (OPTIONS[:11], OPTIONS[11:90], OPTIONS[90:]):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        writer.close()

        assert head.startswith(b"SIP/2.0 200 OK\r\n")


@pytest.mark.parametrize(
    "stream", [OPTIONS.replace(b"Content-Length: 0\r\n", b""), b"x" * 40_000], ids=["no length", "endless"]
)
async def test_a_stream_that_cannot_be_cut_is_closed(stream: bytes) -> None:
    async with endpoint(Trunk(HERE, 9, transport="TCP")) as ours:
        reader, writer = await asyncio.open_connection(*ours.address)
        writer.write(stream)
        async with asyncio.timeout(5):
            with pytest.raises(ConnectionError):  # noqa: PT012 -- see above
                assert await reader.read() == b""
                raise ConnectionResetError
            while ours.connections:
                await asyncio.sleep(0.01)
        writer.close()


async def test_a_message_that_never_ends_costs_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sip_stream, "PARTIAL_S", 0.05)
    async with endpoint(Trunk(HERE, 9, transport="TCP")) as ours:
        _, writer = await asyncio.open_connection(*ours.address)
        writer.write(OPTIONS[:50])
        async with asyncio.timeout(5):
            while not ours.connections:
                await asyncio.sleep(0.005)
            while ours.connections:
                await asyncio.sleep(0.01)
        writer.close()


async def test_a_far_end_that_cannot_be_connected_to_is_reached_over_its_own_connection() -> None:
    async def hang_up(call: SipCall) -> None:
        await call.accept(Session(HERE, 41000))
        async for event in call.events():
            if isinstance(event, Answered):
                await call.hangup()

    async with endpoint(Trunk(HERE, 9, transport="TCP"), on_invite=hang_up) as ours:
        reader, writer = await asyncio.open_connection(*ours.address)

        def tell(method: str, to_tag: str = "", body: bytes = b"") -> None:
            lines = [
                f"{method} sip:us@{HERE} SIP/2.0", f"Via: SIP/2.0/TCP {HERE};branch=z9hG4bK{method}", "CSeq: 1 " + method,
                "From: <sip:a@b>;tag=1", f"To: <sip:us@{HERE}>{to_tag}", "Call-ID: c", "Content-Type: application/sdp",
                f"Contact: <sip:a@{HERE}:{closed};transport=tcp>", f"Content-Length: {len(body)}", "", "",
            ]  # fmt: skip
            writer.write("\r\n".join(lines).encode() + body)

        closed = free_port()
        tell("INVITE", body=Session(HERE, 40000).encode())
        async with asyncio.timeout(5):
            ok = b""
            while not ok.startswith(b"SIP/2.0 200"):
                ok = await reader.readuntil(b"\r\n\r\n")
                ok = ok[max(0, ok.find(b"SIP/2.0 200")) :]
            tell("ACK", ";tag=" + ok.partition(b"To: ")[2].partition(b"tag=")[2].partition(b"\r\n")[0].decode())
            assert b"BYE sip:a@" in await reader.readuntil(b"CSeq: 1 BYE")
        writer.close()


async def test_large_requests_go_over_tcp_where_the_trunk_allows_it() -> None:
    with socket.socket() as listening:
        listening.bind((HERE, 0))
        listening.listen()
        listening.setblocking(False)
        async with endpoint(Trunk(HERE, listening.getsockname()[1], large_over_tcp=True)) as ours:
            await ours.invite("+12125551234", "+18005550199", Session(HERE, 40000), headers=(("X-Long", "x" * 1300),))
            loop = asyncio.get_running_loop()
            connection, _ = await asyncio.wait_for(loop.sock_accept(listening), 5)
            with connection:
                assert (await asyncio.wait_for(loop.sock_recv(connection, 100), 5)).startswith(b"INVITE ")


async def test_a_taken_tcp_port_is_named() -> None:
    async with endpoint(Trunk(HERE, 9, transport="TCP")) as first:
        with pytest.raises(SipAddressTaken, match=f"{HERE}:{first.address[1]}"):
            await SipEndpoint(first.address, Trunk(HERE, 9, transport="TCP")).start()


async def test_nothing_stays_open_after_stop() -> None:
    before = len(asyncio.all_tasks())
    async with (
        endpoint(Trunk(HERE, 9, transport="TCP"), on_invite=answer) as callee,
        endpoint(Trunk(HERE, callee.address[1], transport="TCP")) as caller,
    ):
        await call_and_hang_up(caller)
    assert caller.connections == callee.connections == 0
    assert len(asyncio.all_tasks()) == before


async def test_a_trunk_that_falls_silent_is_trouble_until_it_answers_again() -> None:
    port = free_port()
    alive = KeepaliveOptions(interval=0.1, misses=2)
    async with endpoint(Trunk(HERE, port, transport="TCP", keepalive=alive)) as ours:
        assert ours.trouble == ""
        async with asyncio.timeout(5):
            while ours.trouble != "trunk_down":
                await asyncio.sleep(0.01)
            far = SipEndpoint((HERE, port), Trunk(HERE, 9, transport="TCP"), timers=QUICK)
            await far.start()
            while ours.trouble:
                await asyncio.sleep(0.01)
        await far.stop()
