"""Our SIP endpoint against SIPp on loopback. The scenarios are ours; each checks what SIPp itself can see."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.net.sip_call import SipCall
from gateway.net.sip_endpoint import SipEndpoint
from gateway.net.sip_route import Trunk
from gateway.sip.digest import Credentials
from gateway.sip.events import Answered, Changed, Ended, Event, Failed, Info, Progress, Ringing, Trying
from gateway.sip.sdp import Session
from gateway.sip.session_timer import SessionLimits
from gateway.sip.transaction_table import Timers
from tests.peers.ports import free_port

SIPP = shutil.which("sipp")
SCENARIOS = Path(__file__).parent / "sipp"
LOOPBACK = "127.0.0.1"
OFFER = Session(LOOPBACK, 40_000)
QUICK = Timers(t1=0.1, t2=0.4, t4=0.5)

pytestmark = [pytest.mark.peer, pytest.mark.skipif(SIPP is None, reason="SIPp (Debian: sip-tester) is not installed")]


class Sipp:
    """One SIPp process that plays one scenario once."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, scenario: str, port: int, tmp_path: Path, *extra: str) -> "Sipp":
        command = [
            SIPP or "sipp", "-sf", str(SCENARIOS / f"{scenario}.xml"), "-i", LOOPBACK, "-p", str(port), "-m", "1",
            "-nostdin", "-timeout", "12s", "-timeout_error", "-trace_err", "-error_file", str(tmp_path / "errors.log"),
            *extra,
        ]  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            *command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        return cls(process)

    async def succeeded(self, tmp_path: Path) -> None:
        """Wait for the end of the scenario, and fail with what SIPp has to say where it did not go through."""
        output, _ = await asyncio.wait_for(self._process.communicate(), 15)
        errors = tmp_path / "errors.log"
        detail = errors.read_text(errors="replace") if errors.exists() else output.decode(errors="replace")[-2000:]
        assert self._process.returncode == 0, detail

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()


@asynccontextmanager
async def endpoint(port: int, **options: Any) -> AsyncIterator[SipEndpoint]:
    trunk = Trunk(
        LOOPBACK,
        port,
        credentials=options.pop("credentials", None),
        session=options.pop("session", SessionLimits()),
    )
    started = SipEndpoint((LOOPBACK, 0), trunk, timers=options.pop("timers", QUICK), **options)
    await started.start()
    try:
        yield started
    finally:
        await started.stop(0.5)


@asynccontextmanager
async def called(scenario: str, tmp_path: Path, **options: Any) -> AsyncIterator[tuple[SipCall, Sipp]]:
    """Place a call to SIPp, and demand that its scenario went through."""
    port = free_port()
    far_end = await Sipp.start(scenario, port, tmp_path)
    try:
        async with endpoint(port, **options) as ours:
            yield await ours.invite("+12125551234", "+18005550199", OFFER), far_end
            await far_end.succeeded(tmp_path)
    finally:
        far_end.kill()


async def until(call: SipCall, kind: type[Event]) -> list[Event]:
    """Collect events up to the first of a kind."""
    seen: list[Event] = []
    async with asyncio.timeout(10):
        async for event in call.events():
            seen.append(event)
            if isinstance(event, kind):
                return seen
    raise AssertionError(f"the call ended with {seen[-1]}")


async def rest(call: SipCall) -> list[Event]:
    async with asyncio.timeout(10):
        return [event async for event in call.events()]


async def test_an_answered_call_is_acknowledged_and_ended_by_us(tmp_path: Path) -> None:
    async with called("uas_answer", tmp_path) as (call, _):
        *before, answered = await until(call, Answered)
        await call.hangup()
        after = await rest(call)

    assert [type(event) for event in before] == [Trying, Ringing]
    assert isinstance(answered, Answered)
    assert (answered.media.address, answered.media.port) == (LOOPBACK, 6000)
    assert (answered.media.codec.payload_type, answered.media.event_payload_type) == (0, 96)
    assert after == [Ended(call.handle, "us", 200)]


async def test_an_answer_without_any_provisional_response_is_taken(tmp_path: Path) -> None:
    async with called("uas_bare_200", tmp_path) as (call, _):
        assert [type(event) for event in await until(call, Answered)] == [Answered]
        await call.hangup()
        await rest(call)


async def test_a_far_end_that_hangs_up_is_answered(tmp_path: Path) -> None:
    async with called("uas_hangs_up", tmp_path) as (call, _):
        assert (await rest(call))[-1] == Ended(call.handle, "them", 200)


@pytest.mark.parametrize(("scenario", "status"), [("uas_busy", 486), ("uas_decline", 603)])
async def test_a_refusal_is_acknowledged_and_told(scenario: str, status: int, tmp_path: Path) -> None:
    async with called(scenario, tmp_path) as (call, _):
        last = (await rest(call))[-1]

    assert isinstance(last, Failed)
    assert (last.status, last.local) == (status, False)


@pytest.mark.parametrize("scenario", ["uas_challenges_401", "uas_challenges_407"])
async def test_a_challenge_is_answered_once_with_qop(scenario: str, tmp_path: Path) -> None:
    async with called(scenario, tmp_path, credentials=Credentials("campaign", "made-up")) as (call, _):
        await until(call, Answered)
        await call.hangup()
        assert (await rest(call))[-1] == Ended(call.handle, "us", 200)


async def test_a_wrong_password_does_not_loop(tmp_path: Path) -> None:
    async with called("uas_always_challenges", tmp_path, credentials=Credentials("campaign", "wrong")) as (call, _):
        last = (await rest(call))[-1]

    assert isinstance(last, Failed)
    assert last.status == 407


async def test_early_media_is_told_and_stands_where_the_200_has_none(tmp_path: Path) -> None:
    async with called("uas_early_media", tmp_path) as (call, _):
        events = await until(call, Answered)
        await call.hangup()
        await rest(call)

    progress = next(event for event in events if isinstance(event, Progress))
    answered = events[-1]
    assert isinstance(answered, Answered)
    assert answered.media == progress.media


async def test_a_cancelled_call_ends_with_an_acknowledged_487(tmp_path: Path) -> None:
    async with called("uas_is_cancelled", tmp_path) as (call, _):
        await until(call, Ringing)
        await call.cancel()
        assert await rest(call) == [Failed(call.handle, 487, "Request Terminated")]


async def test_a_route_set_is_followed(tmp_path: Path) -> None:
    async with called("uas_record_route", tmp_path) as (call, _):
        await until(call, Answered)
        await call.hangup()
        assert (await rest(call))[-1] == Ended(call.handle, "us", 200)


async def test_requests_inside_a_call_are_answered(tmp_path: Path) -> None:
    async with called("uas_asks_inside", tmp_path) as (call, _):
        events = await rest(call)

    held, resumed = (event.media for event in events if isinstance(event, Changed))
    assert (held.port, held.sends, held.hears) == (6002, False, True)
    assert (resumed.sends, resumed.hears) == (True, True)
    info = next(event for event in events if isinstance(event, Info))
    assert b"Signal=5" in info.body
    assert events[-1] == Ended(call.handle, "them", 200)


async def test_an_invite_that_nobody_heard_is_sent_again(tmp_path: Path) -> None:
    """The first INVITE leaves before the far end listens; T1 is 0.5 s here, as on a real trunk."""
    port = free_port()
    ours = SipEndpoint((LOOPBACK, 0), Trunk(LOOPBACK, port))
    await ours.start()
    call = await ours.invite("+12125551234", "+18005550199", OFFER)
    far_end = await Sipp.start("uas_answer", port, tmp_path)
    try:
        await until(call, Answered)
        await call.hangup()
        await rest(call)
        await far_end.succeeded(tmp_path)
    finally:
        far_end.kill()
        await ours.stop()

    assert ours.traffic.resent >= 1


async def test_an_inbound_call_is_rung_answered_and_ended_by_the_caller(tmp_path: Path) -> None:
    heard: list[Event] = []

    async def answer(call: SipCall) -> None:
        assert call.incoming is not None
        assert (call.incoming.from_user, call.incoming.to_user) == ("+12125551234", "+18005550199")
        await call.ring()
        await call.accept(OFFER)
        heard.extend([event async for event in call.events()])

    port = free_port()
    async with endpoint(port, on_invite=answer) as ours:
        far_end = await Sipp.start("uac_calls_in", port, tmp_path, f"{LOOPBACK}:{ours.address[1]}")
        await far_end.succeeded(tmp_path)

    assert [type(event) for event in heard] == [Answered, Ended]


async def test_an_inbound_call_that_is_given_up_gets_487(tmp_path: Path) -> None:
    heard: list[Event] = []

    async def ring(call: SipCall) -> None:
        await call.ring()
        heard.extend([event async for event in call.events()])

    port = free_port()
    async with endpoint(port, on_invite=ring) as ours:
        far_end = await Sipp.start("uac_gives_up", port, tmp_path, f"{LOOPBACK}:{ours.address[1]}")
        await far_end.succeeded(tmp_path)

    (last,) = heard
    assert isinstance(last, Failed)
    assert last.status == 487


async def test_options_outside_a_call_are_answered(tmp_path: Path) -> None:
    port = free_port()
    async with endpoint(port) as ours:
        far_end = await Sipp.start("uac_asks_options", port, tmp_path, f"{LOOPBACK}:{ours.address[1]}")
        await far_end.succeeded(tmp_path)
