"""What every road for calls must do, by each that holds its calls in this process, against SIPp; and who cannot."""

import asyncio
import importlib.util
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.carriers.pyvoip import PyVoip
from gateway.carriers.sip_trunk import SipTrunk
from gateway.carriers.voice_base import TrunkRoad

SIPP = shutil.which("sipp")
SCENARIOS = Path(__file__).parent / "sipp"
ROADS = ("own", "pyvoip")
CANNOT = {  # measured with pyVoIP 1.6.8; docs/trunks.md
    ("pyvoip", "busy"): "it does not look at 486: the call is told as not answered when the ringing time is over",
    ("pyvoip", "at once"): "a 200 without a provisional response before it is waited past, for ever",
}

pytestmark = [pytest.mark.peer, pytest.mark.skipif(SIPP is None, reason="SIPp (Debian: sip-tester) is not installed")]


class Registrar(asyncio.DatagramProtocol):
    """A small PBX in front of SIPp: it lets extensions register, and hands all else on, both ways."""

    def __init__(self, behind: int) -> None:
        self._behind = ("127.0.0.1", behind)
        self._phone = ("", 0)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if addr == self._behind:
            self._transport.sendto(data, self._phone)
            return
        self._phone = addr
        if not data.startswith(b"REGISTER "):
            self._transport.sendto(data, self._behind)
            return
        lines = data.split(b"\r\n")
        same = [line for line in lines if line.split(b":")[0] in {b"Via", b"From", b"Call-ID", b"CSeq", b"Contact"}]
        to = [line + b";tag=pbx" for line in lines if line.startswith(b"To:")]
        answer = [b"SIP/2.0 200 OK", *same, *to, b"Expires: 120", b"Content-Length: 0", b"", b""]
        self._transport.sendto(b"\r\n".join(answer), addr)


@pytest.fixture(params=ROADS)
async def far_port(request: pytest.FixtureRequest, calling: Any) -> AsyncIterator[int]:
    """Where SIPp will be, behind a PBX; the sender's calls go there by each road in turn."""
    behind = calling.free_port()
    listening = asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Registrar(behind), local_addr=("127.0.0.1", 0)
    )
    pbx, _ = await listening
    port = pbx.get_extra_info("sockname")[1]
    own = {"username": "100", "password": "made-up", "ring_timeout_s": 3}
    if request.param == "pyvoip" and importlib.util.find_spec("pyVoIP") is None:
        pytest.skip("the extra [pyvoip] is not installed")
    carrier: Any = (
        SipTrunk("own", calling.trunk_to(port, **own), calling.rtp)
        if request.param == "own"
        else PyVoip("pyvoip", calling.trunk_to(port, local_port=calling.free_port(), driver="pyvoip", **own))
    )
    calling.roads["live", "far"] = TrunkRoad(carrier, 20.0, 2, 3)
    await calling.sender(voice="far")
    yield behind
    await carrier.stop()
    pbx.close()


CASES = {
    "key": ("uas_presses_1", {"status": "completed", "outcome": "confirmed", "keys": "1"}),
    "hang-up": ("uas_hangs_up_into_prompt", {"status": "completed", "outcome": "", "reason": ""}),
    "busy": ("uas_busy", {"status": "busy", "reason": "busy"}),
    "at once": ("uas_answers_at_once", {"status": "completed", "outcome": ""}),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_call_ends_as_it_went(
    calling: Any, far_port: int, case: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Keys are heard, hang-ups and refusals told; who cannot do one is named above, and must not begin to."""
    road = str(request.node.callspec.params["far_port"])
    scenario, expected = CASES[case]
    command = [
        SIPP or "",
        "-sf",
        str(SCENARIOS / f"{scenario}.xml"),
        "-i",
        "127.0.0.1",
        "-p",
        str(far_port),
        "-mp",
        str(calling.free_port()),
    ]
    more = ["-rtp_echo", "-nostdin", "-timeout", "18s"]
    process = await asyncio.create_subprocess_exec(
        *command, *more, cwd=tmp_path, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        (call_id,) = await calling.queue("1234")
        await calling.start()
        finals = ("completed", "busy", "no_answer", "failed", "unknown")
        call = await calling.until_status(call_id, *finals, timeout_s=17)
    finally:
        process.kill()
        await process.wait()

    told = {name: getattr(call, name) for name in expected}
    if (road, case) in CANNOT:
        assert told != expected, f"{road} can do it now: take ({road!r}, {case!r}) out of CANNOT"
        assert call.status in {"no_answer", "unknown"}, CANNOT[road, case]
    else:
        assert told == expected
