import asyncio
import shutil
import socket
from typing import Any

import numpy as np
import pytest

from gateway.errors.practice import InvalidPracticeOption, PracticePortTaken
from gateway.media import wav
from gateway.practice.options import Options
from gateway.practice.scripts import CallScript
from tests.practice.conftest import SENDER, FarEnd, Start, eventually

GREETS = CallScript("speaks for a second and stays on the line", greeting_s=1.0, hangs_up_s=3.0)


def only_call(far_end: FarEnd) -> dict[str, Any]:
    (call,) = far_end.at.parts.phone.calls()
    return call


async def over(far_end: FarEnd) -> dict[str, Any]:
    """Return the one call of a far end once it is over."""
    return await eventually(
        lambda: next((c for c in far_end.at.parts.phone.calls() if c["state"] in {"ended", "failed"}), None)
    )  # type: ignore[no-any-return]


async def pair(start: Start, **callee: Any) -> tuple[FarEnd, FarEnd]:
    """Start two far ends, of which the first places its calls to the second."""
    second = await start(**callee)
    first = await start(gateway_sip=f"127.0.0.1:{second.at.sip_port}")
    return first, second


async def test_it_answers_hears_the_prompt_and_presses_its_key(start: Start) -> None:
    caller, callee = await pair(start)
    caller.at.parts.phone.place(SENDER, "+12125550107", GREETS)
    placed, taken = await over(caller), await over(callee)

    assert (placed["state"], placed["keys_heard"], placed["ended_by"]) == ("ended", "7", "phone")
    assert (taken["state"], taken["prompts"], taken["from"], taken["to"]) == ("ended", 1, SENDER, "+12125550107")
    assert [press["keys"] for press in taken["pressed"]] == ["7"]
    assert 0.5 < taken["speech_s"] < 1.6  # bursts of a second, and the beep
    assert taken["rtp"]["received"] > 100
    assert taken["rtp"]["foreign"] == 0


async def test_what_was_heard_can_be_fetched_as_audio(start: Start) -> None:
    caller, callee = await pair(start)
    caller.at.parts.phone.place(SENDER, "+12125555555", GREETS)
    taken = await over(callee)
    async with callee.http.get(f"{callee.at.url}/practice/calls/{taken['id']}.wav") as answer:
        pcm = np.frombuffer(wav.read(await answer.read()), np.int16)

    assert answer.content_type == "audio/wav"
    assert 2.0 < len(pcm) / 8000 < 3.5
    assert _strength(pcm, 1000.0) > 20 * _strength(pcm, 1300.0)  # the beep


def _strength(pcm: Any, hertz: float) -> float:
    """Return the amplitude of one frequency in 8 kHz samples."""
    turns = np.exp(-2j * np.pi * hertz * np.arange(len(pcm)) / 8000)
    return float(abs(np.dot(pcm.astype(np.float64), turns)) / len(pcm))


@pytest.mark.parametrize(
    ("last_four", "status"), [("0400", 486), ("0402", 603), ("0403", 480), ("0404", 404), ("0405", 503)]
)
async def test_numbers_refuse_as_scripted(last_four: str, status: int, start: Start) -> None:
    caller, callee = await pair(start)
    caller.at.parts.phone.place(SENDER, f"+1212555{last_four}", GREETS)
    placed = await over(caller)
    _, counts = await callee.practice("GET", "counts")

    assert (placed["state"], placed["status"]) == ("failed", status)
    assert counts["calls_received"] == 1


async def test_a_call_that_nobody_answers_rings_until_it_is_cancelled(start: Start) -> None:
    caller, callee = await pair(start)
    caller.at.parts.phone.place(SENDER, "+12125550401", GREETS)
    await eventually(lambda: only_call(callee)["state"] == "ringing" if callee.at.parts.phone.calls() else None)
    await caller.at.parts.phone.__aexit__()

    assert (await over(callee))["status"] == 487


async def test_a_person_hangs_up(start: Start) -> None:
    caller, callee = await pair(start)
    caller.at.parts.phone.place(SENDER, "+12125550600", CallScript("waits"))
    placed = await over(caller)

    assert (placed["state"], placed["ended_by"]) == ("ended", "gateway")
    assert (await over(callee))["seconds"] == pytest.approx(0.5, abs=0.4)


async def test_a_gateway_that_was_killed_leaves_no_call_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends nothing any more, and will never say goodbye."""
    monkeypatch.setattr("gateway.practice.rtp_leg.LOST_S", 0.5)
    caller, callee = await pair(start)
    caller.at.parts.phone.place(SENDER, "+12125555555", CallScript("stays on the line"))
    await eventually(lambda: [call["state"] for call in callee.at.parts.phone.calls()] == ["answered"])
    (known,) = caller.at.parts.phone._live.values()
    known.leg._timer.cancel()  # no frame leaves any more

    taken = await over(callee)

    assert (taken["state"], taken["ended_by"]) == ("ended", "phone")


async def test_a_demanded_login_keeps_strangers_out(start: Start) -> None:
    caller, callee = await pair(start, sip_username="trunk", sip_password="secret")
    caller.at.parts.phone.place(SENDER, "+12125555555", GREETS)
    placed = await over(caller)
    _, counts = await callee.practice("GET", "counts")

    assert placed["status"] == 401
    assert counts["calls_received"] == 0


async def test_who_knows_the_password_is_let_in(start: Start) -> None:
    login = {"sip_username": "trunk", "sip_password": "secret"}
    callee = await start(**login)
    caller = await start(gateway_sip=f"127.0.0.1:{callee.at.sip_port}", **login)
    caller.at.parts.phone.place(SENDER, "+12125550600", GREETS)

    assert (await over(caller))["state"] == "ended"


async def test_a_call_in_needs_somewhere_to_go(far_end: FarEnd) -> None:
    told = {"from": "+12125557777", "to": SENDER, "via": "sip"}
    status, problem = await far_end.practice("POST", "call-in", told)

    assert (status, problem["type"]) == (422, "invalid_practice_option")


@pytest.mark.peer
async def test_sipp_is_answered_and_can_hang_up(far_end: FarEnd) -> None:
    """SIPp's built-in caller: INVITE, ACK, BYE. It fails on anything that its scenario does not expect."""
    sipp = shutil.which("sipp")
    if not sipp:
        pytest.skip("SIPp is not installed (Debian package sip-tester)")
    args = [
        "-sn",
        "uac",
        "-m",
        "1",
        "-s",
        "+12125555555",
        "-d",
        "200",
        "-i",
        "127.0.0.1",
        "-timeout",
        "10s",
        "-nostdin",
    ]
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        sipp, *args, f"127.0.0.1:{far_end.at.sip_port}", stdout=quiet, stderr=quiet
    )
    async with asyncio.timeout(15):
        code = await process.wait()
    call = await over(far_end)

    assert code == 0
    assert (call["state"], call["ended_by"]) == ("ended", "gateway")


@pytest.mark.parametrize("host", ["192.168.1.1", "localhost", "::", "", "127.0.0.1.example.com"])
def test_only_loopback_is_listened_on(host: str) -> None:
    with pytest.raises(InvalidPracticeOption):
        Options(host=host)


async def test_a_taken_port_is_named(start: Start) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        udp.bind(("127.0.0.1", 0))
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        with pytest.raises(PracticePortTaken, match=f"UDP 127.0.0.1:{udp.getsockname()[1]}"):
            await start(sip_port=udp.getsockname()[1])
        with pytest.raises(PracticePortTaken, match=f"TCP 127.0.0.1:{tcp.getsockname()[1]}"):
            await start(port=tcp.getsockname()[1])
