"""Encrypted audio between two streams of a real media process, and what becomes of what is not signed."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator

import numpy as np
import pytest

from gateway.media import g711, rtp
from gateway.net.rtp_engine import RtpEngine
from gateway.net.rtp_srtp import PROFILES, Cipher, words
from gateway.net.rtp_stream import RtpStream

pytest.importorskip("pylibsrtp", reason="the srtp extra is not installed")

HERE = "127.0.0.1"
SUITES = tuple(PROFILES)
TONE = (8000 * np.sin(np.arange(8000) * 2 * np.pi * 440 / 8000)).astype(np.int16).tobytes()


@pytest.fixture
async def engine() -> AsyncIterator[RtpEngine]:
    engine = RtpEngine(HERE, None)
    await engine.start()
    yield engine
    await engine.stop()


def keys() -> tuple[bytes, bytes]:
    return secrets.token_bytes(30), secrets.token_bytes(30)


async def heard_by(listener: RtpStream) -> float:
    """The loudness of what was recorded."""
    samples = np.frombuffer(await listener.recording(), np.int16)
    return float(np.sqrt(np.mean(samples.astype(float) ** 2))) if len(samples) else 0.0


async def played(speaker: RtpStream) -> None:
    speaker.play(TONE)
    async with asyncio.timeout(5):
        async for event in speaker.events():
            if type(event).__name__ == "Played":
                return


@pytest.mark.parametrize("suite", SUITES)
async def test_two_streams_with_each_others_keys_hear_each_other(engine: RtpEngine, suite: str) -> None:
    one, other = await engine.open(), await engine.open()
    a, b = keys()
    one.connect(HERE, other.port, payload_type=0, event_payload_type=101, srtp=words(suite, a, b))
    other.connect(HERE, one.port, payload_type=0, event_payload_type=101, srtp=words(suite, b, a))
    other.listen()
    await played(one)

    assert await heard_by(other) > 3000
    seen = await other.close()
    assert (seen.bad, seen.foreign) == (0, 0)
    await one.close()


async def test_what_is_not_signed_with_the_far_ends_key_is_not_heard_and_counted(engine: RtpEngine) -> None:
    one, other = await engine.open(), await engine.open()
    a, b = keys()
    one.connect(HERE, other.port, payload_type=0, event_payload_type=None)  # in the clear
    other.connect(HERE, one.port, payload_type=0, event_payload_type=None, srtp=words(SUITES[0], b, a))
    other.listen()
    await played(one)

    assert await heard_by(other) == 0
    assert (await other.close()).bad >= 45
    await one.close()


async def test_nothing_leaves_in_the_clear_and_the_same_keys_go_on_after_a_hold(engine: RtpEngine) -> None:
    stream = await engine.open()
    told = words(SUITES[0], *keys())
    back = Cipher(words(SUITES[0], *(bytes(30), bytes(30))) | {"hears": told["sends"]})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind((HERE, 0))
        far.setblocking(False)
        loop = asyncio.get_running_loop()
        for _ in range(2):  # again, as a re-INVITE does: the counters must not start anew
            stream.connect(HERE, far.getsockname()[1], payload_type=0, event_payload_type=None, srtp=told)
            stream.play(TONE[:3200])
            for _ in range(10):
                packet = await asyncio.wait_for(loop.sock_recv(far, 2048), 5)
                assert len(packet) == 12 + 160 + 10
                assert rtp.parse(packet).payload[:160] not in {bytes([0xFF]) * 160, g711.encode(TONE[:320], 0)}
                clear = back.unprotect(packet)
                assert len(rtp.parse(clear).payload) == 160
                assert back.unprotect(packet) == b""  # once is enough
    await stream.close()
