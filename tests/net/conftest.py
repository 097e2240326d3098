"""What tests of sockets need: media, a far end, names, certificates."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.net.rtp_engine import RtpEngine
from tests.net.names import Names
from tests.net.rtp_far_end import HERE, FarEnd


@pytest.fixture
async def engine() -> AsyncIterator[RtpEngine]:
    engine = RtpEngine(HERE, None)
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture
def far() -> Any:
    far = FarEnd()
    yield far
    far.socket.close()


@pytest.fixture
async def names() -> AsyncIterator[Names]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(Names, local_addr=(HERE, 0))
    yield server
    transport.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for trunk.example, which is its own authority."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=trunk.example", "-addext", "subjectAltName=DNS:trunk.example", "-keyout", folder / "key.pem",
         "-out", folder / "certificate.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder
