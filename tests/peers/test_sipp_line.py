"""Our SIP endpoint against SIPp where the line is slow, lossy or asks for more: forks, PRACK, session timers."""

import asyncio
import shutil
from pathlib import Path

import pytest

from gateway.net.sip_call import SipCall
from gateway.net.sip_endpoint import SipEndpoint
from gateway.net.sip_route import Trunk
from gateway.sip.events import Answered, Ended, Event, Failed, Progress, Ringing, Trying
from gateway.sip.session_timer import SessionLimits
from gateway.sip.transaction_table import Timers
from tests.peers.ports import free_port
from tests.peers.test_sipp_signalling import LOOPBACK, OFFER, Sipp, called, rest, until

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(shutil.which("sipp") is None, reason="SIPp (Debian: sip-tester) is not installed"),
]


async def test_a_far_end_may_take_its_time(tmp_path: Path) -> None:
    async with called("uas_slow_answer", tmp_path) as (call, _):
        assert [type(event) for event in await until(call, Answered)] == [Trying, Ringing, Answered]
        await call.hangup()
        assert (await rest(call))[-1] == Ended(call.handle, "us", 200)


async def test_a_redirection_is_acknowledged_and_not_followed(tmp_path: Path) -> None:
    async with called("uas_redirects", tmp_path) as (call, _):
        last = (await rest(call))[-1]

    assert isinstance(last, Failed)
    assert (last.status, last.local) == (302, False)


async def test_of_two_telephones_that_answer_the_first_has_the_call(tmp_path: Path) -> None:
    async with called("uas_forks", tmp_path) as (call, _):
        assert [type(event) for event in await rest(call)] == [Answered, Ended]


async def test_a_bye_that_nobody_hears_ends_the_call_all_the_same(tmp_path: Path) -> None:
    async with called("uas_vanishes", tmp_path, timers=Timers(t1=0.03, t2=0.2, t4=0.2)) as (call, far_end):
        await until(call, Answered)
        await far_end.succeeded(tmp_path)
        await call.hangup()
        assert await rest(call) == [Ended(call.handle, "us", 408)]
        assert call.endpoint.agent.transactions == 0


async def test_a_caller_that_never_acknowledges_our_answer_is_released(tmp_path: Path) -> None:
    heard: list[Event] = []

    async def answer(call: SipCall) -> None:
        await call.accept(OFFER)
        heard.extend([event async for event in call.events()])

    port = free_port()
    ours = SipEndpoint((LOOPBACK, 0), Trunk(LOOPBACK, port), timers=Timers(t1=0.03, t2=0.2, t4=0.2), on_invite=answer)
    await ours.start()
    try:
        far_end = await Sipp.start("uac_never_acks", port, tmp_path, f"{LOOPBACK}:{ours.address[1]}")
        await far_end.succeeded(tmp_path)
    finally:
        await ours.stop(0.2)

    assert [(type(event), getattr(event, "by", "")) for event in heard] == [(Ended, "timeout")]


async def test_early_media_that_must_be_acknowledged_is_the_answers_media(tmp_path: Path) -> None:
    async with called("uas_wants_prack", tmp_path) as (call, _):
        *_, progress, answered = await until(call, Answered)
        await call.hangup()
        await rest(call)

    assert isinstance(progress, Progress)
    assert isinstance(answered, Answered)
    assert progress.media == answered.media


async def test_a_session_timer_is_kept_by_updates(tmp_path: Path) -> None:
    async with called("uas_session_timer", tmp_path, session=SessionLimits(minimum=1)) as (call, _):
        await until(call, Answered)
        await asyncio.sleep(2.3)  # seconds of a real session: its refreshes come after 1 and 2
        await call.hangup()
        assert await rest(call) == [Ended(call.handle, "us", 200)]
