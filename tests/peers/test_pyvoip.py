"""pyVoIP as the far end, registered at Kamailio: it answers our call, is heard, hears a key of ours, and sees our BYE."""

import asyncio
import importlib.util
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.media.events import FirstPacket
from gateway.net.rtp_engine import RtpEngine
from gateway.net.rtp_stream import RtpStream
from gateway.sip.events import Answered, Ended
from gateway.sip.sdp import Session
from tests.peers.ports import free_port
from tests.peers.test_kamailio import KAMAILIO, LOOPBACK, endpoint, proxy
from tests.peers.test_sipp_signalling import rest, until

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(KAMAILIO is None, reason="Kamailio (Debian: kamailio) is not installed"),
    pytest.mark.skipif(importlib.util.find_spec("pyVoIP") is None, reason="pyVoIP (GPL-3.0) is not installed"),
]
ANSWERS = Path(__file__).parent / "pyvoip_answers.py"


def free_rtp_base() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1]) // 2 * 2 - 40


async def test_pyvoip_answers_is_heard_hears_a_key_and_sees_our_bye(tmp_path: Path) -> None:
    far = free_port()
    rtp = RtpEngine(LOOPBACK, None)
    await rtp.start()
    async with proxy(tmp_path, far) as port, endpoint(port, "UDP") as ours:
        telephone = await asyncio.create_subprocess_exec(
            sys.executable, str(ANSWERS), str(port), str(far), str(free_rtp_base()),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with asyncio.timeout(18):
                await says(telephone, "registered")
                stream = await rtp.open()
                call = await ours.invite("+12125551234", "+18005550199", Session(LOOPBACK, stream.port))
                *_, answered = await until(call, Answered)
                assert isinstance(answered, Answered)
                media = answered.media
                stream.connect(media.address, media.port, payload_type=0, event_payload_type=media.event_payload_type)
                await says(telephone, "answered")
                assert any([isinstance(event, FirstPacket) async for event in first_of(stream)])
                stream.send_digits("5")
                await says(telephone, "key 5")
                await call.hangup()
                assert (await rest(call))[-1] == Ended(call.handle, "us", 200)
                await says(telephone, "ended")
                await stream.close()
        finally:
            if telephone.returncode is None:
                telephone.kill()
            await telephone.wait()
    await rtp.stop()


async def first_of(stream: RtpStream) -> AsyncIterator[object]:
    """The first thing that happens on a stream."""
    async for event in stream.events():
        yield event
        return


async def says(telephone: asyncio.subprocess.Process, words: str) -> None:
    """Wait until it has said this."""
    assert telephone.stdout is not None
    while (line := (await telephone.stdout.readline()).decode()) and words not in line:
        pass
    assert line, f"pyVoIP ended without {words!r}"
