"""The plans that come with the gateway."""

from pathlib import Path
from typing import Any

import pytest

from gateway.voice import disclosure, engine, exemptions
from gateway.voice.cases import Case, given, load_tests, run_tests
from gateway.voice.check import load_checked
from gateway.voice.coverage import coverage
from gateway.voice.dialplan import Plan
from gateway.voice.filling import foreseen
from gateway.voice.state import Answered, Hangup, OptOut, Pressed, Speak, StopSpeaking

FOLDER = Path(__file__).parents[2] / "dialplans"
PLANS = sorted(path for path in FOLDER.glob("*.yaml") if not path.name.endswith(".test.yaml"))


def read(path: Path) -> Plan:
    source = path.read_text()
    plan, warnings = load_checked(
        source, file=path.name, prompts=lambda _: frozenset(), broadcast="inbound" not in source
    )
    assert warnings == ()
    return plan


def cases(path: Path) -> list[Case]:
    return load_tests(path.with_suffix(".test.yaml").read_text(), file=path.name)


def test_the_plans_of_the_folder_are_found() -> None:
    assert {path.stem for path in PLANS} >= {
        "payment-reminder",
        "outage-notice",
        "appointment-confirmation",
        "customer-survey",
        "school-alert",
        "pin-message",
        "replay-or-opt-out",
    }


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_shipped_plan_is_named_after_its_file_passes_its_tests_and_they_go_every_way(path: Path) -> None:
    plan = read(path)

    results = run_tests(plan, path.with_suffix(".test.yaml").read_text(), file=path.name)

    assert plan.name == path.stem
    assert [result.faults for result in results if not result.has_passed] == []
    assert coverage(plan, [result.transcript for result in results]).missed == ()


@pytest.mark.parametrize(
    "path", [path for path in PLANS if path.stem != "replay-or-opt-out"], ids=lambda path: path.stem
)
def test_a_shipped_broadcast_says_who_calls_then_the_opt_out_key_which_works_from_the_first_word(path: Path) -> None:
    plan = read(path)

    _, commands = engine.step(engine.start(plan, given(plan)), Answered("human"), 0.0)
    _, pressed = engine.step(engine.step(engine.start(plan, given(plan)), Answered("human"), 0.0)[0], Pressed("9"), 0.5)

    assert isinstance(commands[-1], Speak)
    assert pressed == (StopSpeaking(), OptOut("tenant"), Hangup())
    assert disclosure.problems(plan, {}, "telemarketing") == ()
    assert exemptions.problems(plan, {}, "telemarketing") == ()


@pytest.mark.parametrize(
    ("path", "case"),
    [pytest.param(path, case, id=f"{path.stem}: {case.name}") for path in PLANS for case in cases(path)],
)
def test_twilio_hears_and_does_the_same_as_our_own_trunk(path: Path, case: Case, dial: Any) -> None:
    plan = read(path)
    [result] = [one for one in run_tests(plan, path.with_suffix(".test.yaml").read_text(), file="") if one.case == case]

    phone = dial(plan, given(plan) | dict(case.variables), case.keys)

    assert tuple(visit.node for visit in phone.state.path) == result.transcript.path
    assert tuple(phone.said) == result.transcript.said
    assert phone.state.outcome == result.transcript.outcome
    assert phone.state.pressed == result.transcript.keys
    assert tuple(phone.sms) == result.transcript.sms
    assert phone.state.collected == result.transcript.collected
    assert phone.opt_outs == (result.transcript.opted_out is not None)


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_what_is_rendered_ahead_of_a_call_without_optional_values_holds_words(path: Path) -> None:
    plan = read(path)

    for part in foreseen(engine.start(plan, given(plan))):
        assert part.text.strip(), part
