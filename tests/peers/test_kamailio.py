"""Our SIP endpoint through Kamailio: digest, Record-Route, registration and keep-alive, over UDP and TCP; SIPp behind it."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.net.sip_endpoint import SipEndpoint
from gateway.net.sip_route import Trunk
from gateway.sip.digest import Credentials
from gateway.sip.events import Answered, Ended, Failed, Ringing
from gateway.sip.hop import Transport
from gateway.sip.options import KeepaliveOptions
from gateway.sip.transaction_table import Timers
from tests.peers.ports import free_port
from tests.peers.test_sipp_signalling import LOOPBACK, OFFER, Sipp, rest, until

KAMAILIO = shutil.which("kamailio")
MODULES = next(Path("/usr").glob("lib*/*/kamailio/modules/tm.so"), Path("none/tm.so")).parent
OURS = Credentials("campaign", "made-up", "trunk.example")
TRANSPORTS: tuple[Transport, ...] = ("UDP", "TCP")

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(KAMAILIO is None, reason="Kamailio (Debian: kamailio) is not installed"),
    pytest.mark.skipif(shutil.which("sipp") is None, reason="SIPp (Debian: sip-tester) is not installed"),
]


@asynccontextmanager
async def proxy(folder: Path, far: int) -> AsyncIterator[int]:
    """A running Kamailio in front of a far end at port `far`; yields its own port."""
    port = free_port()
    config = (Path(__file__).parent / "kamailio.cfg").read_text(encoding="utf-8")
    (folder / "kamailio.cfg").write_text(config.format(port=port, far=far, modules=MODULES), encoding="utf-8")
    command = [KAMAILIO or "", "-DD", "-E", "-f", "kamailio.cfg", "-Y", str(folder), "-m", "32", "-M", "4"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(10):
            while not await _listens(port):
                assert process.returncode is None, "Kamailio ended"
                await asyncio.sleep(0.05)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 10)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


@asynccontextmanager
async def endpoint(port: int, transport: Transport, **more: Any) -> AsyncIterator[SipEndpoint]:
    trunk = Trunk(LOOPBACK, port, transport=transport, credentials=OURS, domain="trunk.example", **more)
    ours = SipEndpoint((LOOPBACK, 0), trunk, timers=Timers(t1=0.1, t2=0.4, t4=0.5))
    await ours.start()
    try:
        yield ours
    finally:
        await ours.stop(1.0)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_call_through_a_proxy_is_authenticated_routed_and_ended(transport: Transport, tmp_path: Path) -> None:
    far = free_port()
    far_end = await Sipp.start("uas_behind_a_proxy", far, tmp_path)
    try:
        async with proxy(tmp_path, far) as port, endpoint(port, transport) as ours:
            call = await ours.invite("+12125551234", "+18005550199", OFFER)
            events = await until(call, Answered)
            await call.hangup()
            assert (await rest(call))[-1] == Ended(call.handle, "us", 200)
            assert Ringing in [type(event) for event in events]
            await far_end.succeeded(tmp_path)
    finally:
        far_end.kill()


async def test_a_proxy_passes_our_cancel_on(tmp_path: Path) -> None:
    far = free_port()
    far_end = await Sipp.start("uas_is_cancelled", far, tmp_path)
    try:
        async with proxy(tmp_path, far) as port, endpoint(port, "UDP") as ours:
            call = await ours.invite("+12125551234", "+18005550199", OFFER)
            await until(call, Ringing)
            await call.cancel()
            last = (await rest(call))[-1]
            assert isinstance(last, Failed)
            assert last.status == 487
            await far_end.succeeded(tmp_path)
    finally:
        far_end.kill()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_proxy_takes_our_registration_and_answers_our_questions(transport: Transport, tmp_path: Path) -> None:
    alive = KeepaliveOptions(interval=0.1, misses=1)
    async with proxy(tmp_path, 9) as port, endpoint(port, transport, register=120, keepalive=alive) as ours:
        async with asyncio.timeout(5):
            while ours.trouble:
                await asyncio.sleep(0.01)
        registration = ours.agent.registration
        assert registration is not None
        assert (registration.state, registration.status) == ("registered", 200)
        await asyncio.sleep(0.5)  # a few questions' time
        assert ours.trouble == ""
    assert registration.is_ended
