"""What is left on voicemails, and calls that are exempted from consent: who calls, a toll-free number, a minute."""

import pytest

from gateway.voice import loader
from gateway.voice.dialplan import Plan
from gateway.voice.disclosure import Heard
from gateway.voice.exemptions import problems

LEFT = "Call City Water toll free at 1-800-555-0199."


def plan_of(voicemail: str, machine: str = "{leave: voicemail}", more: str = "announces: identity, ") -> Plan:
    source = f"""
name: x
language: en-US
start: ask
variables: {{office: {{type: phone, required: true}}}}
nodes:
  ask: {{menu: {{prompt: {{say: Press 1.}}, choices: {{"1": bye, "9": remove}}, attempts: 2, otherwise: bye}}}}
  bye: {{say: Goodbye., then: hangup}}
  remove: {{opt_out: tenant, then: hangup}}
  voicemail: {{{voicemail}, {more}then: hangup}}
machine: {machine}
"""
    return loader.load(source, file="x.yaml")


def found(plan: Plan, category: str = "telemarketing", **seconds: float) -> list[str]:
    heard = {(name, "en-US"): Heard(each) for name, each in seconds.items()}
    return [f"{each.severity} {each.node}: {each.text}" for each in problems(plan, heard, category)]


@pytest.mark.parametrize(
    "said",
    [
        f'say: "{LEFT}"', "say: Call +18005550199.", "say: Call (888) 555 0199 now.", 'say: "Call 855.555.0199."',
        'say: "Call {{ office }}."', f'play: message, text: "{LEFT}"',
    ],
)  # fmt: skip
@pytest.mark.parametrize("category", ["telemarketing", "healthcare", "financial", "package"])
def test_a_message_that_names_a_toll_free_number_may_be_left(said: str, category: str) -> None:
    assert found(plan_of(said), category, voicemail=60.0) == []


@pytest.mark.parametrize(
    "said", ["say: Call us.", "say: Call 1-212-555-0199.", "say: Call 18005550199000.", "say: Call 800 555 019."]
)
def test_a_message_without_one_is_told(said: str) -> None:
    (told,) = found(plan_of(said))

    assert told == "error voicemail: leaves machines a message without a toll-free number to be taken off the list at"


def test_nothing_is_asked_of_informational_calls_nor_where_machines_hear_nothing() -> None:
    assert found(plan_of("say: Call us.", more=""), "informational") == []
    assert found(plan_of("say: Call us.", more=""), "emergency") == []
    assert found(plan_of("say: Call us.", "hangup", more="")) == []


def test_of_a_recording_only_a_warning_is_told() -> None:
    (told,) = found(plan_of("play: message"))

    assert told.startswith("warning voicemail: ")
    assert told.endswith("at, unless the recording names one")


def test_a_plan_that_speaks_to_machines_as_to_people_leaves_them_what_the_silent_hear() -> None:
    assert found(plan_of(f'say: "{LEFT}"', "human"))[1:] == [
        "error ask: leaves machines a message without a toll-free number to be taken off the list at"
    ]


def test_a_message_that_does_not_say_who_calls_is_told() -> None:
    (told,) = found(plan_of(f'say: "{LEFT}"', more=""))

    assert told == (
        "error voicemail: leaves machines a message that does not say who calls: "
        "mark where it does by 'announces: identity'"
    )


def test_exempted_calls_take_a_minute_and_repeats_of_a_question_are_not_counted() -> None:
    plan = plan_of(f'say: "{LEFT}"')

    assert found(plan, "financial", ask=30, bye=30, voicemail=60) == []
    assert found(plan, "telemarketing", ask=61, voicemail=61) == []
    assert found(plan, "financial", ask=31, bye=30, voicemail=60.4) == [
        "error ask: a person who presses nothing hears 61 s of message; in financial calls at most 60 s are allowed",
        "error voicemail: a machine hears 60 s of message; in financial calls at most 60 s are allowed",
    ]
