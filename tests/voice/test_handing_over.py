"""What a plan hands over to others: a person to another number, their voice to a recording, a text to the messages."""

import pytest

from gateway.voice import engine
from gateway.voice.loader import load
from gateway.voice.state import (
    Answered,
    Event,
    Hangup,
    HungUp,
    Pressed,
    PromptEnded,
    Record,
    Recorded,
    SendSms,
    Speak,
    State,
    Transfer,
    TransferFailed,
    Transferred,
)
from gateway.voice.transcript import simulate

PLAN = load(
    """\
name: x
language: en-US
start: ask
variables: {name: {default: Ana}}
nodes:
  ask:
    menu: {prompt: {say: "Press 1 to speak to someone, 2 to tell us."}, choices: {"1": agent, "2": tell}, otherwise: bye}
  agent:
    transfer: {to: "+18005550199", headers: {X-Name: "{{ name }}"}, ring: 20s}
    on_failure: tell
  tell:
    record: {prompt: {say: "Tell us after the tone."}, into: answer, max: 30s, silence: 2s, otherwise: bye}
    next: link
  link: {send_sms: "Thank you, {{ name }}.", next: noted}
  noted: {outcome: told, next: bye}
  bye: {say: "Goodbye.", then: hangup}
""",
    file="x.yaml",
)


def after(*events: Event, name: str = "Ana") -> tuple[State, tuple[object, ...]]:
    state, commands = engine.step(engine.start(PLAN, {"name": name}), Answered("human"), 0.0)
    for event in events:
        state, commands = engine.step(state, event, 1.0)
    return state, commands


def path(state: State) -> list[str]:
    return [visit.node for visit in state.path]


def test_a_transfer_names_the_number_and_carries_the_contacts_data() -> None:
    _, commands = after(Pressed("1"))

    assert commands[-1] == Transfer("+18005550199", {"X-Name": "Ana"}, 20.0)


def test_no_variable_breaks_out_of_its_header() -> None:
    _, commands = after(Pressed("1"), name="Ana\r\nRefer-To: <tel:+19005551234>" + "x" * 300)

    [transfer] = [command for command in commands if isinstance(command, Transfer)]
    assert "\r" not in transfer.headers["X-Name"]
    assert "\n" not in transfer.headers["X-Name"]
    assert len(transfer.headers["X-Name"]) == 200


def test_a_call_that_was_taken_is_over_for_the_plan_and_ends_when_it_is_hung_up() -> None:
    state, commands = after(Pressed("1"), Transferred(), Pressed("2"), Answered("machine"))

    assert (commands, state.outcome, state.ended_by, state.pressed) == ((), "transferred", None, "1")
    assert after(Pressed("1"), Transferred(), HungUp("carrier"))[0].ended_by == "carrier"


def test_a_transfer_nobody_takes_goes_on_in_the_plan() -> None:
    state, commands = after(Pressed("1"), TransferFailed("busy"))

    assert path(state) == ["ask", "agent", "tell"]
    assert isinstance(commands[-1], Speak)


def test_a_recording_begins_when_its_prompt_was_heard_and_its_id_is_collected() -> None:
    begun, commands = after(Pressed("2"), PromptEnded(2))

    assert commands == (Record(30.0, "#", 2.0),)
    assert begun.waiting is PLAN.nodes["tell"]

    state, commands = after(Pressed("2"), PromptEnded(2), Pressed("5"), Pressed("#"), Recorded("abc", 3.0))

    assert (dict(state.collected), state.pressed) == ({"answer": "abc"}, "2#")
    assert commands[0] == SendSms("Thank you, Ana.")
    assert path(state) == ["ask", "tell", "link", "noted", "bye"]


def test_a_recording_in_which_nothing_was_said_goes_elsewhere() -> None:
    state, _ = after(Pressed("2"), PromptEnded(2), Recorded("", 0.0))

    assert path(state) == ["ask", "tell", "bye"]
    assert not state.collected


@pytest.mark.parametrize("event", [Transferred(), TransferFailed("busy"), Recorded("abc", 1.0)])
def test_what_was_not_asked_for_changes_nothing(event: Event) -> None:
    before, _ = after()

    assert engine.step(before, event, 2.0) == (before, ())


def test_a_wrong_event_for_what_is_under_way_changes_nothing() -> None:
    before, _ = after(Pressed("1"))

    assert engine.step(before, Recorded("abc", 1.0), 2.0) == (before, ())
    assert Hangup() not in engine.step(before, Recorded("abc", 1.0), 2.0)[1]


@pytest.mark.parametrize(
    ("keys", "path", "outcome", "sms"),
    [
        (["1"], ["ask", "agent"], "transferred", ()),
        (["1", "no_transfer", "speaks"], ["ask", "agent", "tell", "link", "noted", "bye"], "told", 1),
        (["1", "hangup"], ["ask", "agent"], "", ()),
        (["2", "silence"], ["ask", "tell", "bye"], "", ()),
        (["2", "#"], ["ask", "tell", "link", "noted", "bye"], "told", 1),
        (["2", "hangup"], ["ask", "tell"], "", ()),
    ],
)
def test_a_simulated_call_hands_over_as_its_entries_say(
    keys: list[str], path: list[str], outcome: str, sms: object
) -> None:
    transcript = simulate(PLAN, {}, keys)

    assert (list(transcript.path), transcript.outcome) == (path, outcome)
    assert transcript.sms == (("Thank you, Ana.",) if sms else ())
    assert transcript.unused == ()
