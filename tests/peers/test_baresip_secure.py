"""A call over TLS with encrypted audio (SRTP), to baresip: a telephone that is not ours."""

import asyncio
import secrets
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from gateway.net.rtp_engine import RtpEngine
from gateway.net.rtp_srtp import words
from gateway.net.sip_endpoint import SipEndpoint
from gateway.net.sip_route import Trunk
from gateway.net.sip_sockets import Tls
from gateway.sip import sdes
from gateway.sip.events import Answered, Ended
from gateway.sip.sdp import Session
from tests.calls.test_baresip import BARESIP, MODULES, baresip
from tests.peers.ports import free_port
from tests.peers.test_sipp_signalling import LOOPBACK, rest, until

pytest.importorskip("pylibsrtp", reason="the srtp extra is not installed")
pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(BARESIP is None, reason="baresip (Debian: baresip-core) is not installed"),
    pytest.mark.skipif(not (MODULES / "srtp.so").exists(), reason="baresip's modules were not found"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed"),
]

TONE = (9000 * np.sin(np.arange(16_000) * 2 * np.pi * 440 / 8000)).astype(np.int16).tobytes()


def loudness(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, np.int16).astype(float)
    return float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0


def certificate(folder: Path) -> Path:
    """One file with key and certificate, made out to the telephone."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=telephone.example",
         "-addext", "subjectAltName=DNS:telephone.example", "-keyout", folder / "key.pem", "-out", folder / "one.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "one.pem").read_bytes())
    return both


@pytest.mark.parametrize("suite", sdes.SUITES)
async def test_a_telephone_is_heard_and_hears_over_tls_and_srtp(suite: str, tmp_path: Path) -> None:
    both = certificate(tmp_path)
    config = f"module srtp.so\nsip_certificate {both}\n"
    rtp = RtpEngine(LOOPBACK, None)
    await rtp.start()
    port = free_port()
    async with baresip(tmp_path, port, free_port(), config=config, account=";mediaenc=srtp-mand") as telephone:
        tls = Tls("telephone.example", ca_file=tmp_path / "one.pem")
        trunk = Trunk(LOOPBACK, port + 1, transport="TLS", tls=tls)  # baresip takes TLS on the port above
        ours = SipEndpoint((LOOPBACK, 0), trunk)
        await ours.start()
        stream = await rtp.open()
        crypto = (sdes.Crypto(1, suite, secrets.token_bytes(sdes.KEY_BYTES)),)
        call = await ours.invite("+12125551234", "+18005550199", Session(LOOPBACK, stream.port, crypto=crypto))
        *_, answered = await until(call, Answered)
        assert isinstance(answered, Answered)
        media = answered.media
        assert media.keys is not None
        assert media.keys.suite == suite
        told = words(media.keys.suite, media.keys.sends, media.keys.hears)
        stream.connect(
            media.address, media.port, payload_type=media.codec.payload_type, event_payload_type=None, srtp=told
        )
        stream.listen()
        stream.play(TONE)
        async with asyncio.timeout(10):
            while loudness(await stream.recording()) < 1000 or loudness(telephone.heard()[-8000:]) < 3000:
                await asyncio.sleep(0.1)
        await call.hangup()
        assert (await rest(call))[-1] == Ended(call.handle, "us", 200)
        await stream.close()
        await ours.stop()
    await rtp.stop()
