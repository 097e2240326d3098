"""A trunk: what it hears and does not believe."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.app_roads import Roads
from gateway.carriers.sip_leg import SipLeg
from gateway.carriers.sip_trunk import SipTrunk
from gateway.carriers.voice_base import TrunkRoad
from gateway.metrics import Metrics
from gateway.model.call import Call
from gateway.model.outcome import NotSent
from gateway.net.rtp_engine import RtpEngine
from gateway.net.sip_sockets import Tls
from gateway.settings_trunks import Trunk
from gateway.sip.digest import Credentials
from gateway.sip.message import parse
from gateway.sip.options import KeepaliveOptions
from gateway.sip.session_timer import SessionLimits
from gateway.sip.transaction_table import Timers

ELSEWHERE = "127.0.0.2"
CALL = Call("call_1", "acme", "live", "+18005550199", "+12125551234", "bill", 1, created_ms=1)


@pytest.fixture
async def trunk() -> AsyncIterator[SipTrunk]:
    settings = Trunk(host="127.0.0.1", port=9, local_host="127.0.0.1", advertised_ip="127.0.0.1")
    trunk = SipTrunk("main", settings, RtpEngine("127.0.0.1", None))
    await trunk.start()
    yield trunk
    await trunk.stop()


def shown(metrics: Metrics, name: str, why: str) -> float | None:
    return metrics.registry.get_sample_value(f"{name}_total", {"trunk": "main", "why": why})


async def test_datagrams_that_are_no_sip_or_not_from_the_trunk_are_counted_and_shown(trunk: SipTrunk) -> None:
    metrics = Metrics()
    metrics.ignored.watch("main", trunk.ignored, lambda: trunk.trouble)
    assert trunk.address is not None
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
    ):
        peer.bind(("127.0.0.1", 0))
        stranger.bind((ELSEWHERE, 0))
        peer.sendto(b"\x00garbage", trunk.address)
        stranger.sendto(b"OPTIONS sip:us SIP/2.0\r\n\r\n", trunk.address)
        while sum(trunk.ignored()[0].values()) < 2:
            await asyncio.sleep(0.01)

    assert (shown(metrics, "gateway_sip_ignored", "garbage"), shown(metrics, "gateway_sip_ignored", "foreign")) == (
        1,
        1,
    )
    assert shown(metrics, "gateway_rtp_ignored", "foreign") == 0
    assert metrics.registry.get_sample_value("gateway_trunk_up", {"trunk": "main"}) == 1


async def test_a_trunk_that_is_down_is_shown_and_places_no_call() -> None:
    settings = Trunk(
        host="127.0.0.1",
        port=9,
        local_host="127.0.0.1",
        advertised_ip="127.0.0.1",
        options_interval_s=0.1,
        options_misses=1,
    )
    trunk = SipTrunk("main", settings, RtpEngine("127.0.0.1", None), timers=Timers(t1=0.02))
    metrics = Metrics()
    metrics.ignored.watch("main", trunk.ignored, lambda: trunk.trouble)
    await trunk.start()
    roads = Roads(trunks=[("live", trunk, TrunkRoad(trunk, 1.0, 1, 30))])
    async with asyncio.timeout(5):
        while not trunk.trouble:
            await asyncio.sleep(0.01)

    assert await trunk.dial(CALL, never) == NotSent("trunk_down")
    assert roads.missing() == {"trunk main": "it does not answer"}
    assert metrics.registry.get_sample_value("gateway_trunk_up", {"trunk": "main"}) == 0
    await trunk.stop()


async def never() -> bool:
    raise AssertionError("nothing was to be sent")


async def test_a_trunk_shows_the_name_and_the_identity_that_are_set_for_it() -> None:
    rtp = RtpEngine("127.0.0.1", None)
    await rtp.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        settings = Trunk(
            host="127.0.0.1", port=far.getsockname()[1], local_host="127.0.0.1", advertised_ip="127.0.0.1",
            from_domain="city.example", caller_name='City "Water"', asserted_identity=True, caller_id="+18005550100",
        )  # fmt: skip
        trunk = SipTrunk("main", settings, rtp, timers=Timers(t1=0.02))
        await trunk.start()
        leg = await trunk.dial(CALL, at_once)
        far.setblocking(False)
        invite = parse(await asyncio.wait_for(asyncio.get_running_loop().sock_recv(far, 4096), 5))
        assert isinstance(leg, SipLeg)
        leg.hangup()
        await trunk.stop()
        await leg.over()
    await rtp.stop()

    vouched = r'"City \"Water\"" <sip:+18005550100@city.example>'
    assert invite.get("P-Asserted-Identity") == vouched
    assert invite.get("From").startswith(vouched + ";tag=")


async def at_once() -> bool:
    return True


def test_every_setting_of_the_line_reaches_the_endpoint() -> None:
    settings = Trunk(
        host="trunk.example", transport="tls", tls_ca_file="ca.pem", tls_certificate_file="c.pem", tls_key_file="k.pem",
        networks="192.0.2.0/28", options_interval_s=7, options_misses=2, register_s=600, session_expires_s=900,
        username="campaign", password="x", realm="trunk.example", from_domain="city.example",
    )  # fmt: skip
    route = SipTrunk("main", settings, RtpEngine("127.0.0.1", None))._route()

    assert (route.host, route.port, route.transport, route.networks) == ("trunk.example", 0, "TLS", ("192.0.2.0/28",))
    assert route.tls == Tls("trunk.example", Path("ca.pem"), True, Path("c.pem"), Path("k.pem"))
    assert (route.keepalive, route.register) == (KeepaliveOptions(7, 2), 600)
    assert (route.session, route.address_of_record) == (SessionLimits(900), "sip:campaign@city.example")
    assert route.credentials == Credentials("campaign", "x", "trunk.example")
