"""Where a trunk is, asked of a DNS server of our own on loopback."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.errors.sip import SipTrunkUnresolved
from gateway.net.sip_endpoint import SipEndpoint
from gateway.net.sip_resolver import Found
from gateway.net.sip_route import Trunk
from gateway.sip.events import Answered
from gateway.sip.hop import Hop
from gateway.sip.message import Request, parse
from gateway.sip.options import KeepaliveOptions
from gateway.sip.sdp import Session
from gateway.sip.transaction_table import Timers
from tests.net.names import HERE, Names, resolver
from tests.net.test_sip_endpoint import events

V4 = socket.AF_INET


async def test_an_address_stands_for_itself_and_nobody_is_asked(names: Names) -> None:
    found = resolver(names)
    assert await found.find("192.0.2.7", 0, "UDP", V4) == Found((Hop("192.0.2.7", 5060),), None)
    assert await found.find("192.0.2.7", 5080, "TCP", V4) == Found((Hop("192.0.2.7", 5080, "TCP"),), None)
    assert await found.find("[2001:db8::7]", 0, "TLS", V4) == Found((Hop("2001:db8::7", 5061, "TLS"),), None)
    assert names.asked == []


@pytest.mark.parametrize(("transport", "service"), [("UDP", "_sip._udp"), ("TCP", "_sip._tcp"), ("TLS", "_sips._tcp")])
async def test_servers_come_by_priority(names: Names, transport: Any, service: str) -> None:
    name = f"{service}.trunk.example"
    names.records[name, "SRV"] = (300, ["20 0 5070 b.trunk.example.", "10 0 5080 a.trunk.example."])
    names.records["a.trunk.example", "A"] = (120, ["192.0.2.1", "192.0.2.2"])
    names.records["b.trunk.example", "A"] = (200, ["192.0.2.3"])
    found = await resolver(names).find("trunk.example", 0, transport, V4)

    first, *last = found.hops
    assert {first, last[0]} == {Hop("192.0.2.1", 5080, transport), Hop("192.0.2.2", 5080, transport)}
    assert last[1:] == [Hop("192.0.2.3", 5070, transport)]
    assert found.ttl == 120


@pytest.mark.parametrize(("transport", "host"), [("UDP", "192.0.2.1"), ("TCP", "192.0.2.2"), ("TLS", "192.0.2.3")])
async def test_a_carrier_may_keep_its_servers_under_names_of_its_own(names: Names, transport: Any, host: str) -> None:
    """NAPTR (RFC 3263, 4.1): the first of our transport whose servers are there; other transports are passed over."""
    names.records["trunk.example", "NAPTR"] = (90, [
        '10 50 "s" "SIPS+D2T" "" _sips._tcp.edge.example.',
        '10 40 "s" "SIP+D2U" "" _sip._udp.edge.example.',
        '5 50 "s" "SIP+D2T" "" _gone._tcp.edge.example.',
        '20 50 "S" "sip+d2t" "" _sip._tcp.edge.example.',
        '1 50 "u" "SIP+D2U" "!^.*$!sip:elsewhere@example.com!" .',
    ])  # fmt: skip
    for number, service in enumerate(("_sip._udp", "_sip._tcp", "_sips._tcp"), 1):
        names.records[f"{service}.edge.example", "SRV"] = (300, [f"1 0 5070 s{number}.edge.example."])
        names.records[f"s{number}.edge.example", "A"] = (300, [f"192.0.2.{number}"])
    found = await resolver(names).find("trunk.example", 0, transport, V4)

    assert found == Found((Hop(host, 5070, transport),), 90)


async def test_a_pointer_to_no_server_leaves_the_usual_names(names: Names) -> None:
    names.records["trunk.example", "NAPTR"] = (60, ['1 1 "s" "SIP+D2U" "" _sip._udp.gone.example.'])
    names.records["_sip._udp.trunk.example", "SRV"] = (60, ["1 0 5080 a.trunk.example."])
    names.records["a.trunk.example", "A"] = (60, ["192.0.2.1"])
    assert (await resolver(names).find("trunk.example", 0, "UDP", V4)).hops == (Hop("192.0.2.1", 5080),)


async def test_servers_of_one_priority_are_drawn_by_weight(names: Names) -> None:
    targets = {"a.trunk.example": 90, "b.trunk.example": 10, "c.trunk.example": 0}
    names.records["_sip._udp.trunk.example", "SRV"] = (60, [f"1 {w} 5060 {name}." for name, w in targets.items()])
    for number, name in enumerate(targets, 1):
        names.records[name, "A"] = (60, [f"192.0.2.{number}"])
    first = Counter([(await resolver(names).find("trunk.example", 0, "UDP", V4)).hops[0].host for _ in range(60)])

    assert first["192.0.2.1"] > 40
    assert first["192.0.2.3"] <= 2


async def test_a_name_without_servers_is_a_host_at_the_usual_port(names: Names) -> None:
    names.records["trunk.example", "A"] = (5, ["192.0.2.9"])
    assert await resolver(names).find("trunk.example", 0, "TLS", V4) == Found((Hop("192.0.2.9", 5061, "TLS"),), 10.0)
    assert await resolver(names).find("trunk.example", 5099, "UDP", V4) == Found((Hop("192.0.2.9", 5099),), 10.0)
    assert ("_sips._tcp.trunk.example", "SRV") in names.asked
    assert ("_sip._udp.trunk.example", "SRV") not in names.asked  # a port was given


async def test_ipv6_is_asked_for_where_we_are_bound_to_it(names: Names) -> None:
    names.records["trunk.example", "AAAA"] = (60, ["2001:db8::1"])
    found = await resolver(names).find("trunk.example", 5060, "UDP", socket.AF_INET6)
    assert found.hops == (Hop("2001:db8::1", 5060),)


async def test_a_name_of_this_machine_needs_no_dns(names: Names) -> None:
    found = await resolver(names).find("localhost", 5060, "UDP", V4)
    assert found.hops == (Hop(HERE, 5060),)
    assert names.asked == []


async def test_a_name_that_nobody_knows_is_told(names: Names) -> None:
    with pytest.raises(SipTrunkUnresolved, match=r"trunk\.invalid"):
        await resolver(names).find("trunk.invalid", 0, "UDP", V4)


# --- in an endpoint


async def test_a_silent_server_is_left_for_the_next_and_new_addresses_are_followed(names: Names) -> None:
    quick = Timers(t1=0.02, t2=0.1, t4=0.1)

    async def answer(call: Any) -> None:
        await call.accept(Session(HERE, 41000))

    far = SipEndpoint((HERE, 0), Trunk(HERE, 9), timers=quick, on_invite=answer)
    await far.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.2", 0))
        servers = [f"1 0 {silent.getsockname()[1]} a.trunk.example.", f"2 0 {far.address[1]} b.trunk.example."]
        names.records["_sip._udp.trunk.example", "SRV"] = (0, servers)
        names.records["a.trunk.example", "A"] = (0, ["127.0.0.2"])
        names.records["b.trunk.example", "A"] = (0, [HERE])
        ours = SipEndpoint((HERE, 0), Trunk("trunk.example"), timers=quick, resolver=resolver(names, shortest_s=0.05))
        await ours.start()
        try:
            call = await ours.invite("+12125551234", "+18005550199", Session(HERE, 40000))
            async with asyncio.timeout(5):
                assert any([isinstance(event, Answered) async for event in _until_answer(call)])
            await call.hangup()
            await events(call)

            assert not ours.agent.admits("127.0.0.9")
            names.records["a.trunk.example", "A"] = (0, ["127.0.0.9"])
            async with asyncio.timeout(5):
                while not ours.agent.admits("127.0.0.9"):
                    await asyncio.sleep(0.02)
            assert not ours.agent.admits("127.0.0.2")

            names.records.clear()  # the name server forgets us: the last addresses stay
            await asyncio.sleep(0.2)
            assert ours.agent.admits("127.0.0.9")
        finally:
            await ours.stop(0.2)
            await far.stop(0.2)


async def test_an_address_that_is_down_is_tried_last(names: Names) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        for bare in (silent, other):
            bare.bind((HERE, 0))
            bare.setblocking(False)
        servers = [f"{n} 0 {bare.getsockname()[1]} a.trunk.example." for n, bare in enumerate((silent, other))]
        names.records["_sip._udp.trunk.example", "SRV"] = (60, servers)
        names.records["a.trunk.example", "A"] = (60, [HERE])
        alive = KeepaliveOptions(interval=0.1, misses=1)
        trunk = Trunk("trunk.example", keepalive=alive)
        ours = SipEndpoint((HERE, 0), trunk, timers=Timers(t1=0.02), resolver=resolver(names))
        await ours.start()
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(5):
            while len(ours.agent.down) < 2:
                await asyncio.sleep(0.01)
            while len(ours.agent.down) == 2:  # one of them comes back
                question, source = await loop.sock_recvfrom(other, 4096)
                options = parse(question)
                assert isinstance(options, Request)
                other.sendto(options.respond(200, "far").encode(), source)
                await asyncio.sleep(0.01)
            await ours.invite("+12125551234", "+18005550199", Session(HERE, 40000))
            while not (await loop.sock_recv(other, 4096)).startswith(b"INVITE "):
                pass
        await ours.stop(0.1)
        with pytest.raises(BlockingIOError):  # noqa: PT012 -- whatever it was asked, it was no INVITE
            while True:
                assert not silent.recv(4096).startswith(b"INVITE ")


async def _until_answer(call: Any) -> AsyncIterator[Any]:
    async for event in call.events():
        yield event
        if isinstance(event, Answered):
            return
