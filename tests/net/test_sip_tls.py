"""SIP over TLS on real loopback sockets: who is believed."""

import asyncio
import ssl
from pathlib import Path

import pytest

from gateway.errors.sip import BadSipCertificate
from gateway.net.sip_endpoint import SipEndpoint
from gateway.net.sip_route import Trunk
from gateway.net.sip_sockets import Tls
from gateway.sip.events import Ended, Failed
from gateway.sip.sdp import Session
from tests.net.sip_endpoints import HERE, answer, call_and_hang_up, endpoint, events, served


async def test_a_call_goes_over_tls_to_a_certificate_that_is_checked(certificates: Path) -> None:
    trusted = Tls("trunk.example", ca_file=certificates / "certificate.pem")
    async with (
        endpoint(Trunk(HERE, 9, transport="TLS", tls=served(certificates)), on_invite=answer) as callee,
        endpoint(Trunk(HERE, callee.address[1], transport="TLS", tls=trusted)) as caller,
    ):
        told = await call_and_hang_up(caller)

    assert isinstance(told[-1], Ended)
    assert told[-1].status == 200


@pytest.mark.parametrize("name", ["other.example", ""], ids=["another's name", "no authority"])
async def test_an_impostor_gets_no_call(certificates: Path, name: str) -> None:
    tls = Tls(name, ca_file=certificates / "certificate.pem") if name else Tls("trunk.example")
    async with (
        endpoint(Trunk(HERE, 9, transport="TLS", tls=served(certificates)), on_invite=answer) as callee,
        endpoint(Trunk(HERE, callee.address[1], transport="TLS", tls=tls)) as caller,
    ):
        call = await caller.invite("+12125551234", "+18005550199", Session(HERE, 40000))
        assert await events(call) == [Failed(call.handle, 503, "unreachable", local=True)]


async def test_old_tls_is_refused(certificates: Path) -> None:
    old = ssl.create_default_context()
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with endpoint(Trunk(HERE, 9, transport="TLS", tls=served(certificates))) as ours:
        _, writer = await asyncio.open_connection(*ours.address, ssl=old)
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.2"
        writer.close()
    for context in (served(certificates).incoming(), served(certificates).outgoing()):
        assert context is not None
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


async def test_a_certificate_that_is_not_there_is_told() -> None:
    with pytest.raises(BadSipCertificate, match="No such file"):
        await SipEndpoint((HERE, 0), Trunk(HERE, transport="TLS", tls=Tls("x", ca_file=Path("nowhere.pem")))).start()
