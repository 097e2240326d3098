"""A trunk: what it hears and does not believe."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.carriers.sip_trunk import SipTrunk
from gateway.metrics import Metrics
from gateway.net.rtp_engine import RtpEngine
from gateway.settings_trunks import Trunk

ELSEWHERE = "127.0.0.2"


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
    metrics.ignored.watch("main", trunk.ignored)
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
