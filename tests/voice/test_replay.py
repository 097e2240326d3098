from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.voice.cases import given as samples
from gateway.voice.loader import load
from gateway.voice.replay import PastCall, outcomes, replay
from gateway.voice.transcript import simulate

FOLDER = Path(__file__).parents[2] / "dialplans"
PLANS = {
    path.stem: load(path.read_text(), file=path.name)
    for path in sorted(FOLDER.glob("*.yaml"))
    if not path.name.endswith(".test.yaml")
}
SOURCE = """\
name: x
language: en-US
start: ask
nodes:
  ask:
    menu: {prompt: {say: Press 1 or 2.}, choices: {"1": good, "2": agent}, attempts: 2, otherwise: none}
  agent: {transfer: "+18005550199", on_failure: none}
  good: {outcome: confirmed, then: hangup}
  none: {outcome: no_reply, then: hangup}
"""
OLD = load(SOURCE, file="old.yaml")


def past(keys: str = "", path: tuple[str, ...] = ("ask",), outcome: str = "", by: str = "human") -> PastCall:
    return PastCall("call_1", {}, path, keys, outcome, by)


@pytest.mark.parametrize(
    ("call", "entries"),
    [
        (past("1", ("ask", "good"), "confirmed"), ("1",)),
        (past("51", ("ask", "ask", "good"), "confirmed"), ("5", "1")),
        (past("1", ("ask", "ask", "good"), "confirmed"), ("silence", "1")),
        (past("", ("ask",)), ("hangup",)),
        (past("2", ("ask", "agent"), "transferred"), ("2",)),
        (past("2", ("ask", "agent"), ""), ("2", "hangup")),
        (past("2", ("ask", "agent", "none"), "no_reply"), ("2", "no_transfer")),
    ],
)
def test_what_a_person_did_is_worked_out_from_path_and_keys(call: PastCall, entries: tuple[str, ...]) -> None:
    told = replay(call, OLD, OLD)

    assert (told.entries, told.differs) == (entries, False)


def test_another_version_shows_which_outcomes_would_have_been_others() -> None:
    new = load(SOURCE.replace('"1": good', '"3": good'), file="new.yaml")
    calls = [past("1", ("ask", "good"), "confirmed"), past("2", ("ask", "agent"), "transferred"), past()]

    told = [replay(call, OLD, new) for call in calls]

    assert [each.differs for each in told] == [True, False, False]
    assert outcomes(told) == {("confirmed", "no_reply"): 1, ("transferred", "transferred"): 1, ("", ""): 1}


def test_a_call_that_does_not_fit_its_version_or_lacks_a_variable_is_left_out_with_the_reason() -> None:
    strange = replay(past("7", ("elsewhere",)), OLD, OLD)
    new = load(SOURCE.replace("nodes:", "variables: {name: {required: true}}\nnodes:"), file="new.yaml")
    lacking = replay(past("1", ("ask", "good"), "confirmed"), OLD, new)

    assert (strange.after, strange.why) == (None, "its keys and its path do not fit the version it was held with")
    assert (lacking.after, lacking.why) == (None, "variable 'name' is missing")
    assert not strange.differs


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(PLANS)),
    keys=st.lists(st.sampled_from(["silence", "1", "2", "5", "9", "0", "12#", "1234#", "speaks"]), max_size=5),
)
@example(name="pin-message", keys=["silence", "1", "1"])  # the second is a key that might be of a PIN
def test_every_call_of_a_shipped_plan_can_be_retold_and_comes_to_the_same(name: str, keys: list[str]) -> None:
    plan = PLANS[name]
    made = simulate(plan, samples(plan), keys)
    call = PastCall("call_1", samples(plan), made.path, made.keys, made.outcome, made.answered_by or "")

    told = replay(call, plan, plan)

    assert told.after is not None, told.why
    assert (told.after.path, told.after.keys, told.after.outcome) == (made.path, made.keys, made.outcome)
