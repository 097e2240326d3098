"""A key that goes down before a time-out counts, though it is known only after: no time-out cuts a key in half."""

import asyncio
from typing import Any

import pytest

from gateway.clock import monotonic
from gateway.media import g711, rtp, tones
from gateway.media.events import Digit
from gateway.media.session import Session
from gateway.workers.call_session import KEY_S

FAR = ("192.0.2.7", 4000)
FRAME_S = 0.020
PLAN = """
name: quick
language: en-US
start: ask
nodes:
  ask: {menu: {prompt: {say: "Press 1."}, choices: {"1": confirm}, timeout: 1s, attempts: 1, otherwise: bye}}
  confirm: {outcome: confirmed, next: bye}
  bye: {pause: 600ms, then: hangup}
"""


@pytest.mark.parametrize(
    ("late_s", "outcome"),
    [(KEY_S - 0.01, "confirmed"), (KEY_S + 0.25, "")],
    ids=["known when its tone has sounded", "pressed after it"],
)
async def test_a_key_that_is_known_after_the_time_out_counts_if_it_began_before(
    calling: Any, late_s: float, outcome: str
) -> None:
    """A call that is up; its media tell of the key this long after the time-out, on the loop's own clock."""
    await calling.publish(PLAN, "quick")
    runner = await calling.start()
    (call_id,) = await calling.queue("1234", dialplan="quick", variables={})
    sessions = runner.desk.sessions
    await calling.until_true(lambda: call_id in sessions and sessions[call_id].state.deadline is not None)
    session = sessions[call_id]
    at = session.state.deadline + late_s
    asyncio.get_running_loop().call_at(at, lambda: session.leg._pressed("rtp", "1", monotonic()))

    assert (await calling.until_status(call_id, "completed")).outcome == outcome


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
