import pytest

from gateway.errors.voice import BadDialplan
from gateway.voice.check import check, load_checked
from gateway.voice.loader import load

SOUND = """\
name: x
language: en-US
start: a
variables: {who: {default: you}}
nodes:
  a:
    menu:
      prompt: {say: "Hello {{ who }}. Press 9 to be removed."}
      choices: {"9": noted}
      otherwise: bye
  noted: {outcome: removed, next: remove}
  remove: {opt_out: tenant}
  bye: {play: goodbye, then: hangup}
"""


def recorded(language: str) -> frozenset[str]:
    return frozenset({"goodbye"} if language == "en-US" else ())


def told(source: str, *, broadcast: bool = True) -> list[str]:
    found = check(load(source, file="x.yaml"), prompts=recorded, broadcast=broadcast)
    return [str(problem).removeprefix("x.yaml:") for problem in found]


def test_a_sound_plan_has_no_problems() -> None:
    assert told(SOUND) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "play: goodbye",
            "play: farewell",
            "13: error: node bye: plays the prompt 'farewell', which does not exist in en-US",
        ),
        ("      otherwise: bye\n", "", "6: error: node a: has no exit on silence: add 'otherwise'"),
        (
            "otherwise: bye",
            "otherwise: a",
            "6: error: node a: has no exit on silence: without a key the call goes round a > a",
        ),
        (
            "bye: {play: goodbye, then: hangup}",
            "bye: {play: goodbye, next: a}",
            "node a: has no exit on silence: without a key the call goes round a > bye > a",
        ),
        (
            "bye: {play: goodbye, then: hangup}",
            "bye: {play: goodbye, next: bye}",
            "13: error: node bye: loops without waiting for a key: bye > bye",
        ),
        ("opt_out: tenant", "hangup: ", "3: error: has no opt-out key"),
        (
            "noted: {outcome: removed, next: remove}",
            "noted: {say: Sure?, next: remove}",
            "3: error: has no opt-out key",
        ),
        ("Hello {{ who }}. ", "", "4: warning: the variable 'who' is never used"),
        (
            "start: a\n",
            "start: a\ninbound: true\n",
            "3: error: answers inbound calls: it cannot be a broadcast's dialplan",
        ),
        ("  bye:", "  lost: {hangup}\n  bye:", "13: error: node lost: is never reached"),
    ],
)
def test_what_is_wrong_is_told(old: str, new: str, problem: str) -> None:
    assert old in SOUND

    assert any(problem in text for text in told(SOUND.replace(old, new)))


def test_a_plan_that_is_no_broadcast_needs_no_opt_out_key() -> None:
    assert told(SOUND.replace("opt_out: tenant", "hangup: "), broadcast=False) == []


def test_a_node_only_a_machine_hears_is_reached() -> None:
    assert told(SOUND + "  beep: {say: Call us., then: hangup}\nmachine: {leave: beep}\n") == []


def test_hearing_it_again_by_a_key_is_no_circle() -> None:
    assert told(SOUND.replace('{"9": noted}', '{"9": noted, "2": a}')) == []


def test_a_branch_that_comes_back_by_itself_is_a_circle() -> None:
    source = SOUND.replace(
        "bye: {play: goodbye, then: hangup}", "bye: {branch: {on: who, cases: {x: bye}, otherwise: hangup}}"
    )

    assert "13: error: node bye: loops without waiting for a key: bye > bye" in told(source)


def test_reading_and_checking_tell_all_in_one_answer() -> None:
    source = SOUND.replace("play: goodbye", "play: farewell").replace("outcome: removed", "outcome: NOT A WORD")

    with pytest.raises(BadDialplan) as caught:
        load_checked(source, file="x.yaml", prompts=lambda _: frozenset(), broadcast=True)

    assert [problem.line for problem in caught.value.problems] == [11, 13]


def test_a_warning_lets_the_plan_through() -> None:
    plan, warnings = load_checked(
        SOUND.replace("Hello {{ who }}. ", ""), file="x.yaml", prompts=recorded, broadcast=True
    )

    assert plan.name == "x"
    assert [problem.severity for problem in warnings] == ["warning"]


def test_a_plan_of_five_hundred_nodes_is_checked_without_running_out_of_stack() -> None:
    chain = "".join(f"  n{at}: {{pause: 1s, next: n{at + 1}}}\n" for at in range(498))
    source = f"name: x\nlanguage: en-US\nstart: n0\nnodes:\n{chain}  n498: {{hangup}}\n"

    assert told(source, broadcast=False) == []


def test_a_plan_of_many_forks_that_meet_again_is_checked_at_once() -> None:
    forks = "".join(
        f"  n{at}: {{branch: {{on: who, cases: {{x: m{at}}}, otherwise: n{at + 1}}}}}\n  m{at}: {{pause: 1s, next: n{at + 1}}}\n"
        for at in range(60)
    )
    source = (
        f"name: x\nlanguage: en-US\nstart: n0\nvariables: {{who: {{default: x}}}}\nnodes:\n{forks}  n60: {{hangup}}\n"
    )

    assert told(source, broadcast=False) == []  # 2 to the 60th ways through
