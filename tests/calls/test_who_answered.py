"""Who answered a call over a trunk: people, voicemails, and what is left to them. All calls of a test are up at once."""

from typing import Any

import pytest

PLAN = """
name: news
language: en-US
start: greet
nodes:
  greet: {say: "This is City Water.", next: ask}
  ask:
    menu: {prompt: {say: "Press 1."}, choices: {"1": confirm}, timeout: 3s, attempts: 1, otherwise: bye}
  confirm: {outcome: confirmed, next: bye}
  bye: {say: "Bye.", then: hangup}
  left: {say: "This is City Water. Please call us back.", then: hangup}
"""


async def over(calling: Any, *endings: str, dialplan: str = "news", machine: str = "{leave: left}") -> list[Any]:
    """Calls to these numbers, when they are over."""
    await calling.publish(f"{PLAN.replace('news', dialplan)}machine: {machine}\n", dialplan)
    ids = await calling.queue(*endings, dialplan=dialplan, variables={})
    await calling.start()
    return [await calling.until_status(call_id, "completed", timeout_s=18) for call_id in ids]


def path(call: Any) -> list[str]:
    return [visit["node"] for visit in call.path]


async def test_people_hear_the_message_within_two_seconds_of_their_hello(calling: Any) -> None:
    hello, sentence, silent, pressed = await over(calling, "0101", "0510", "0511", "0304")

    for call, greeting_s in ((hello, 0.6), (sentence, 2.0)):
        assert call.answered_by == "human"
        assert call.path[0]["node"] == "greet"
        assert call.detection["why"] == "short_greeting"
        assert greeting_s - 0.2 < call.detection["greeting_s"] < greeting_s + 0.1
        assert call.path[0]["at_ms"] > 1_500  # counted from the answer, not from when it was known
        row = await calling.database.read(lambda tx, call_id=call.id: tx.row("calls_one", id=call_id))
        assert 1_150 < row["message_delay_ms"] < 1_700
    # who picks up and says nothing is spoken to all the same
    assert (silent.answered_by, silent.detection["why"], silent.path[0]["node"]) == ("unknown", "silence", "greet")
    assert 2_900 < silent.path[0]["at_ms"] < 3_400
    # who presses a key before it is known is a person
    assert (pressed.answered_by, pressed.outcome, pressed.keys) == ("human", "confirmed", "1")


async def test_voicemails_are_left_the_message_after_their_beep(calling: Any) -> None:
    usual, late, paused = await over(calling, "0500", "0504", "0505")

    assert {call.answered_by for call in (usual, late, paused)} == {"machine"}
    # the recording begins with the beep: all of the message is on it
    found = usual.detection
    assert (path(usual), found["why"], found["left_after"]) == (["left"], "long_greeting", "beep")
    assert found["greeting_s"] == pytest.approx(2.9, abs=0.2)
    assert found["beep_s"] == pytest.approx(3.3, abs=0.2)
    assert found["beep_hz"] == pytest.approx(1000, abs=5)
    assert usual.path[0]["at_ms"] / 1000 == pytest.approx(3.75, abs=0.3)
    assert found["left_s"] == usual.prompts[0]["seconds"] > 1.5
    # a silence so long that the message was begun; then the beep came into it, and it was begun again
    first, second = late.prompts
    assert late.detection["left_after"] == "beep"
    assert first["seconds"] < 1.8 < second["seconds"] == late.detection["left_s"]
    # a greeting with a pause in it: taken for a person until it beeped
    assert (path(paused), paused.detection["why"]) == (["greet", "ask", "left"], "beep")


async def test_a_plan_may_hang_up_on_machines_and_says_nothing_to_them(calling: Any) -> None:
    (call,) = await over(calling, "0502", dialplan="short", machine="hangup")

    assert (call.answered_by, call.detection["why"], call.prompts) == ("machine", "beep", [])
    assert (call.ended_ms - call.answered_ms) / 1000 < 3


async def test_a_trunk_may_be_told_not_to_listen(calling: Any) -> None:
    calling.trunk._settings = calling.trunk_to(calling.far_end.sip_port, machine_detection=False)

    (call,) = await over(calling, "0304")

    assert (call.answered_by, call.detection) == ("unknown", {})
    assert call.path[0]["at_ms"] < 100
