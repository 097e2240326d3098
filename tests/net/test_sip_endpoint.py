"""The SIP endpoint on real loopback sockets: two of them, or one and a bare socket."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.errors.sip import NoCommonCodec, SipAddressTaken, SipTrunkUnresolved
from gateway.net.sip_call import SipCall
from gateway.net.sip_endpoint import SipEndpoint
from gateway.net.sip_route import Trunk
from gateway.sip.events import Answered, Ended, Event, Failed
from gateway.sip.sdp import Session
from gateway.sip.transaction_table import Timers

HERE = "127.0.0.1"
QUICK = Timers(t1=0.02, t2=0.1, t4=0.1)
OPTIONS = (
    b"OPTIONS sip:x@y SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.2;branch=z9hG4bK1;rport\r\n"
    b"From: <sip:a@b>;tag=1\r\nTo: <sip:x@y>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n"
)


@asynccontextmanager
async def endpoint(trunk_port: int, **options: Any) -> AsyncIterator[SipEndpoint]:
    started = SipEndpoint((HERE, 0), options.pop("trunk", Trunk(HERE, trunk_port)), timers=QUICK, **options)
    await started.start()
    try:
        yield started
    finally:
        await started.stop(0.2)


@asynccontextmanager
async def pair(**options: Any) -> AsyncIterator[tuple[SipEndpoint, SipEndpoint]]:
    """A callee with these options, and a caller whose trunk it is."""
    async with endpoint(9, **options) as callee, endpoint(callee.address[1]) as caller:
        yield caller, callee


async def place(caller: SipEndpoint) -> SipCall:
    return await caller.invite("+12125551234", "+18005550199", Session(HERE, 40000))


async def events(call: SipCall) -> list[Event]:
    async with asyncio.timeout(5):
        return [event async for event in call.events()]


@pytest.fixture
def stranger() -> Any:
    """A socket at an address that is nobody's peer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bare:
        bare.bind(("127.0.0.2", 0))
        yield bare


async def test_a_call_goes_from_one_endpoint_to_another_and_ends_on_both() -> None:
    heard: list[Event] = []

    async def answer(call: SipCall) -> None:
        await call.ring()
        await call.accept(Session(HERE, 41000))
        heard.extend(await events(call))

    async with pair(on_invite=answer) as (caller, callee):
        call = await place(caller)
        told = []
        async with asyncio.timeout(5):
            async for event in call.events():
                told.append(event)
                if isinstance(event, Answered):
                    assert (event.media.address, event.media.port) == (HERE, 41000)
                    await call.hangup()
        assert call.over
        assert callee.agent.calls == caller.agent.calls == 0

    assert told[-1] == Ended(call.handle, "us", 200)
    assert [type(event) for event in heard] == [Answered, Ended]


async def test_a_sip_address_is_asked_of_the_trunk_as_it_is() -> None:
    asked: list[str] = []

    async def note(call: SipCall) -> None:
        assert call.incoming is not None
        asked.append(call.incoming.request.uri)
        await call.reject(480)

    async with pair(on_invite=note) as (caller, _):
        call = await caller.invite("sip:desk@pbx.example.com:5080", "+18005550199", Session(HERE, 40000))
        await events(call)
    assert asked == ["sip:desk@pbx.example.com:5080"]


async def test_without_a_handler_an_inbound_call_is_refused() -> None:
    async with pair() as (caller, _):
        call = await place(caller)
        assert (await events(call))[-1] == Failed(call.handle, 480, "Temporarily Unavailable")


async def test_a_handler_that_fails_refuses_its_call(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(call: SipCall) -> None:
        raise RuntimeError("made up")

    async with pair(on_invite=fail) as (caller, _):
        call = await place(caller)
        assert (await events(call))[-1] == Failed(call.handle, 603, "Decline")
    assert "handler of inbound calls failed" in caplog.text


async def test_a_handler_without_a_common_codec_is_told_so() -> None:
    async def answer(call: SipCall) -> None:
        with pytest.raises(NoCommonCodec):
            await call.accept(Session(HERE, 41000, codecs=()))
        await call.reject(488)

    async with pair(on_invite=answer) as (caller, _):
        call = await place(caller)
        assert (await events(call))[-1] == Failed(call.handle, 488, "Not Acceptable Here")


async def test_a_taken_address_is_named() -> None:
    async with endpoint(9) as first:
        second = SipEndpoint(first.address, Trunk(HERE, 9))
        with pytest.raises(SipAddressTaken, match=f"{HERE}:{first.address[1]}: Address already in use"):
            await second.start()


async def test_a_trunk_without_an_address_is_named() -> None:
    with pytest.raises(SipTrunkUnresolved, match=r"no\.such\.host\.invalid"):
        await SipEndpoint((HERE, 0), Trunk("no.such.host.invalid")).start()


async def test_every_address_is_bound_only_with_an_advertised_one() -> None:
    everywhere = "0.0.0.0"  # noqa: S104 -- what is tested
    with pytest.raises(ValueError, match="advertised"):
        await SipEndpoint((everywhere, 0), Trunk(HERE)).start()
    behind = SipEndpoint((everywhere, 0), Trunk(HERE), advertised=("203.0.113.10", 0))
    await behind.start()
    assert behind.agent._context.options.advertised == ("203.0.113.10", behind.address[1])
    await behind.stop()


async def test_strangers_get_no_word_and_garbage_does_no_harm(stranger: socket.socket) -> None:
    async with pair() as (caller, callee):
        stranger.sendto(OPTIONS, callee.address)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trunk:
            trunk.sendto(b"\xff\x00garbage", callee.address)
        call = await place(caller)
        await events(call)

        assert (callee.counters.foreign, callee.counters.garbage) == (1, 1)
    stranger.setblocking(False)
    with pytest.raises(BlockingIOError):
        stranger.recv(100)


async def test_networks_beside_the_trunk_host_may_talk_to_us(stranger: socket.socket) -> None:
    async with endpoint(9, trunk=Trunk(HERE, 9, networks=("127.0.0.2/31",))) as ours:
        stranger.setblocking(False)
        stranger.sendto(OPTIONS, ours.address)
        async with asyncio.timeout(5):
            answer = await asyncio.get_running_loop().sock_recv(stranger, 2000)
        assert answer.startswith(b"SIP/2.0 200 OK\r\n")


async def test_nobody_at_the_far_end_fails_the_call_and_lets_everything_go() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((HERE, 0))
        async with endpoint(silent.getsockname()[1]) as ours:
            call = await place(ours)
            assert await events(call) == [Failed(call.handle, 408, "no response", local=True, in_doubt=True)]
            assert ours.traffic.resent == 6
            assert ours.agent.transactions == 0


async def test_stop_hangs_up_what_is_up_and_ends_every_reader() -> None:
    answered, ended = asyncio.Event(), asyncio.Event()

    async def answer(call: SipCall) -> None:
        await call.accept(Session(HERE, 41000))
        async for event in call.events():
            if isinstance(event, Answered):
                answered.set()
        ended.set()

    async with pair(on_invite=answer) as (caller, _):
        call = await place(caller)
        reader = asyncio.create_task(events(call))
        await asyncio.wait_for(answered.wait(), 5)
        await caller.stop()
        assert (await reader)[-1] == Ended(call.handle, "us", 200)
        await asyncio.wait_for(ended.wait(), 5)


async def test_stop_gives_up_on_a_far_end_that_is_gone() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((HERE, 0))
        ours = SipEndpoint((HERE, 0), Trunk(HERE, silent.getsockname()[1]))
        await ours.start()
        call = await place(ours)
        reader = asyncio.create_task(events(call))
        await ours.stop(0.05)

        assert (await reader)[-1] == Ended(call.handle, "us", 408)
