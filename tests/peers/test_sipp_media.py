"""Our media against SIPp on loopback: it echoes what we play and presses keys from captures of another telephone."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from gateway.media.events import Digit, Played
from gateway.net.rtp_engine import RtpEngine
from gateway.net.sip_endpoint import SipEndpoint
from gateway.net.sip_route import Trunk
from gateway.sip.events import Answered
from gateway.sip.sdp import Media, Session
from tests.peers.ports import free_port

SIPP = shutil.which("sipp")
SCENARIO = Path(__file__).parent / "sipp" / "uas_presses_keys.xml"
CAPTURES = Path("/usr/share/sip-tester")
HERE = "127.0.0.1"

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(SIPP is None, reason="SIPp (Debian: sip-tester) is not installed"),
    pytest.mark.skipif(not CAPTURES.exists(), reason="SIPp's captures (Debian: sip-tester) are not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="SIPp replays captures through a raw socket, which needs root"),
]


@asynccontextmanager
async def sipp(tmp_path: Path) -> AsyncIterator[int]:
    port = free_port()
    command = [
        SIPP or "sipp", "-sf", str(SCENARIO), "-i", HERE, "-mi", HERE, "-p", str(port), "-mp", str(free_port()),
        "-rtp_echo", "-m", "1", "-nostdin", "-timeout", "15s",
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command, cwd=tmp_path, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield port
        assert await asyncio.wait_for(process.wait(), 15) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def answered(endpoint: SipEndpoint, rtp_port: int) -> Media:
    call = await endpoint.invite("+12125551234", "+18005550199", Session(HERE, rtp_port))
    async with asyncio.timeout(10):
        async for event in call.events():
            if isinstance(event, Answered):
                return event.media
    raise AssertionError("never answered")


async def test_a_real_telephone_hears_our_prompt_and_we_hear_its_keys(
    tmp_path: Path, likeness: Callable[[bytes, bytes], tuple[float, float]]
) -> None:
    prompt = np.random.default_rng(7).normal(0, 3000, 12000).astype(np.int16).tobytes()
    engine = RtpEngine(HERE, None)
    await engine.start()
    async with sipp(tmp_path) as port:
        endpoint = SipEndpoint((HERE, 0), Trunk(HERE, port))
        await endpoint.start()
        stream = await engine.open()
        media = await answered(endpoint, stream.port)
        stream.connect(
            media.address,
            media.port,
            payload_type=media.codec.payload_type,
            event_payload_type=media.event_payload_type,
        )
        stream.listen(10)
        stream.play(prompt)
        keys, played = "", False
        async with asyncio.timeout(10):
            async for event in stream.events():
                keys += event.digit if isinstance(event, Digit) else ""
                played = played or isinstance(event, Played)
                if played and len(keys) == 2:
                    break
        echo = await stream.recording()
        stats = await stream.close()
        await endpoint.stop()
    await engine.stop()

    assert keys == "5#"
    assert likeness(echo, prompt)[1] > 0.9
    assert (stats.foreign, stats.bad) == (0, 0)
