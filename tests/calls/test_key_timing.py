"""A key that goes down before a time-out counts, though it is known only after: no time-out cuts a key in half."""

import asyncio
from typing import Any

import pytest

from gateway.media import g711, rtp, tones
from gateway.media.events import Digit
from gateway.media.session import Session
from gateway.workers.call_session import KEY_S, CallSession

FAR = ("192.0.2.7", 4000)
FRAME_S = 0.020
PLAN = """
name: quick
language: en-US
start: ask
nodes:
  ask: {menu: {prompt: {say: "Press 1."}, choices: {"1": again}, timeout: 1s, attempts: 1, otherwise: bye}}
  again: {menu: {prompt: {say: "Press 1."}, choices: {"1": confirm}, timeout: 1s, attempts: 1, otherwise: bye}}
  confirm: {outcome: confirmed, next: bye}
  bye: {pause: 600ms, then: hangup}
"""


async def test_a_key_that_began_before_the_time_out_counts_though_it_is_known_after(calling: Any) -> None:
    """One call, two questions: the first key is known when its tone has sounded, the second was pressed too late."""
    await calling.publish(PLAN, "quick")
    runner = await calling.start()
    (call_id,) = await calling.queue("1234", dialplan="quick", variables={})
    sessions = runner.desk.sessions
    for node, late_s in (("ask", KEY_S - 0.01), ("again", KEY_S + 0.25)):
        await calling.until_true(lambda node=node: call_id in sessions and _waits_in(sessions[call_id], node))
        session = sessions[call_id]
        at = session.state.deadline + late_s
        asyncio.get_running_loop().call_at(at, session.leg._pressed, "rtp", "1", at)

    call = await calling.until_status(call_id, "completed")
    assert [visit["node"] for visit in call.path] == ["ask", "again", "bye"]


def _waits_in(session: CallSession, node: str) -> bool:
    return session.state.node == node and session.state.deadline is not None


@pytest.mark.parametrize("lost", [None, 0, 1, 2], ids=["whole", "first lost", "second lost", "third lost"])
@pytest.mark.parametrize("late_ticks", [0, 40, 80, 120])
def test_a_tone_is_known_within_the_time_that_a_time_out_waits_for_it(late_ticks: int, lost: int | None) -> None:
    """100 ms of a key that begins anywhere in a frame; a packet of it that is lost is waited for."""
    session = Session(ssrc=7, sequence=1, timestamp=1)
    session.connect(*FAR, payload_type=0, event_payload_type=None, now=0.0)
    began = FRAME_S * 3 + late_ticks / g711.RATE_HZ
    sound = tones.silence(began) + tones.dtmf("5", 0.1) + tones.silence(0.2)
    known: list[Digit] = []
    for n in range(len(sound) // 320):
        now = FRAME_S * (n + 1)  # a frame comes when it has been spoken
        coded = g711.encode(sound[320 * n : 320 * (n + 1)])
        if lost is None or n != 3 + lost:
            packet = rtp.Packet(0, n, 160 * n, 9, marker=False, payload=coded)
            session.receive(rtp.build(packet), FAR, now)
        session.tick(now)
        known += [event for event in session.events() if isinstance(event, Digit)]

    (digit,) = known
    assert digit.at - began <= KEY_S
