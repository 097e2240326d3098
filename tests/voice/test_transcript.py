import json

import pytest

from gateway.errors.voice import BadDialplan, BadVariables
from gateway.voice.cases import load_tests, run_tests
from gateway.voice.loader import load
from gateway.voice.transcript import Line, simulate

PLAN = load(
    """\
name: x
language: en-US
start: a
variables: {who: {required: true}, code: {required: true, type: digits}}
nodes:
  a:
    menu:
      prompt: {say: "Hello {{ who }}, code {{ code }}."}
      choices: {"1": b}
      timeout: 4s
      attempts: 2
      otherwise: hangup
  b:
    collect: {into: pin, prompt: [{play: chime}, {pause: 1s}], max_digits: 4, otherwise: hangup}
    next: c
  c: {outcome: done, then: hangup}
""",
    file="x.yaml",
)
WHO = {"who": "Ana", "code": "42"}


def test_a_transcript_tells_who_said_and_did_what_and_when() -> None:
    transcript = simulate(PLAN, WHO, ["silence", "1", "77#"])

    assert transcript.lines == (
        Line("plan", "a", "Hello Ana, code 4 2.", 0.0),
        Line("person", "a", "says nothing", 2.0),
        Line("plan", "a", "Hello Ana, code 4 2.", 6.0),
        Line("person", "a", "presses 1", 8.0),
        Line("plan", "b", "(plays chime)", 8.0),
        Line("plan", "b", "(pause of 1 s)", 8.0),
        Line("person", "b", "presses 77#", 12.0),
    )
    assert (transcript.path, transcript.outcome) == (("a", "a", "b", "c"), "done")
    assert (transcript.keys, transcript.collected) == ("177#", {"pin": "77"})
    assert json.loads(json.dumps(transcript.as_dict()))["lines"][3]["text"] == "presses 1"


def test_a_list_that_runs_out_means_silence() -> None:
    assert simulate(PLAN, WHO, []) == simulate(PLAN, WHO, ["silence", "silence"])


def test_digits_that_stop_halfway_time_out() -> None:
    assert simulate(PLAN, WHO, ["1", "12"]).collected == {"pin": "12"}


def test_hanging_up_is_the_persons_doing() -> None:
    transcript = simulate(PLAN, WHO, ["1", "hangup", "1"])

    assert (transcript.ended_by, transcript.path, transcript.unused) == ("person", ("a", "b"), ("1",))


@pytest.mark.parametrize("keys", [["1", "machine"], ["A"], [""], ["one"]])
def test_an_entry_that_is_no_key_is_refused(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="not digits, silence, hangup"):
        simulate(PLAN, WHO, keys)


def test_a_missing_variable_is_refused() -> None:
    with pytest.raises(BadVariables):
        simulate(PLAN, {}, [])


def test_a_test_gives_required_variables_their_own_names() -> None:
    [result] = run_tests(
        PLAN, '- {name: n, keys: [], expect: {said: ["Hello who, code 1 2 3 4."]}}', file="x.test.yaml"
    )

    assert result.has_passed


@pytest.mark.parametrize(
    ("expect", "fault"),
    [
        ("{path: [a, b]}", "path: expected ['a', 'b'], got ['a', 'b', 'c']"),
        ("{outcome: lost}", "outcome: expected lost, got done"),
        ("{outcome: none}", "outcome: expected none, got done"),
        ("{collected: {pin: 78}}", "collected: expected {'pin': '78'}, got {'pin': '77'}"),
        ("{opted_out: tenant}", "opted_out: expected tenant, got no"),
        ("{said: [chime, Hello]}", "said: 'Hello' was not heard, or not in this order"),
    ],
)
def test_a_failing_test_tells_what_it_expected_and_what_it_got(expect: str, fault: str) -> None:
    [result] = run_tests(PLAN, f'- {{name: n, keys: ["1", "77#"], expect: {expect}}}', file="x.test.yaml")

    assert result.faults == (fault,)
    assert not result.has_passed


def test_keys_the_call_never_came_to_fail_a_test() -> None:
    [result] = run_tests(PLAN, '- {name: n, keys: ["1", "1#", "2"], expect: {}}', file="x.test.yaml")

    assert result.faults == ("keys: the call was over before 2",)


@pytest.mark.parametrize(
    ("source", "line", "told"),
    [
        ("name: n", 1, "tests are a list of blocks"),
        ("- n", 1, "a test is a block"),
        ("- keys: []\n  expect: {}", 1, "'name' is missing"),
        ("- name: n\n  keys: []", 1, "'expect' is missing"),
        (
            "- name: n\n  keys: [loudly]\n  expect: {}",
            2,
            "'loudly' is not digits, silence, hangup, speaks, no_transfer or (first) machine",
        ),
        ("- name: n\n  keys: 1\n  expect: {}", 2, "'keys' must be a list of texts"),
        ("- name: n\n  expect: {paths: []}", 2, "unknown key 'paths'"),
        ("- name: n\n  expect: {opted_out: maybe}", 2, "'opted_out' must be tenant or sender or no, not 'maybe'"),
    ],
)
def test_a_fault_in_the_tests_themselves_is_told_with_its_line(source: str, line: int, told: str) -> None:
    with pytest.raises(BadDialplan) as caught:
        load_tests(source, file="x.test.yaml")

    assert any(p.line == line and p.text.startswith(told) for p in caught.value.problems), caught.value
