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
  bye: {play: goodbye, next: end}
  end: {outcome: heard, then: hangup}
"""
COLLECT = "  pin: {collect: {prompt: {say: PIN?}, into: pin, max_digits: 4, otherwise: bye}, next: bye}\n"


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
            "bye: {play: goodbye, next: end}",
            "bye: {play: goodbye, next: a}",
            "node a: has no exit on silence: without a key the call goes round a > bye > a",
        ),
        (
            "bye: {play: goodbye, next: end}",
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
        ("next: end}", "then: hangup}", "13: warning: node bye: a call can end here without an outcome: a > bye"),
        ("otherwise: bye", "otherwise: pin", "hides digits of the collect that follows on silence"),
    ],
)
def test_what_is_wrong_is_told(old: str, new: str, problem: str) -> None:
    assert old in SOUND

    source = SOUND.replace(old, new) + (COLLECT if "pin" in new else "")
    assert any(problem in text for text in told(source)), told(source)


PIN = """\
name: x
language: en-US
start: pin
variables: {pin: {type: digits, required: true}, amount: {type: money, required: true, private: true}}
nodes:
  pin:
    collect: {prompt: {say: Your PIN?}, equals: pin, max_digits: 4, attempts: 3, otherwise: locked}
    next: owed
  owed: {say: "You owe {{ amount }}.", next: paid}
  paid:
    menu: {prompt: {say: Press 1.}, choices: {"1": good}, otherwise: good}
  good: {outcome: heard, then: hangup}
  locked: {outcome: locked, then: hangup}
"""
COPIED = """\
  a: {set: {copy: "{{ amount }}"}, next: b}
  b: {say: "{{ copy }}", next: pin}
"""


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('choices: {"1": good}', 'choices: {"#": good}', "6: error: node pin: ends with '#', which is also a choice"),
        ("Your PIN?", "'PIN for {{ amount }}?'", "6: error: node pin: tells the private 'amount' before a PIN"),
        ("otherwise: locked", "otherwise: owed", "9: error: node owed: tells the private 'amount' before a PIN"),
        ("start: pin", "start: owed", "9: error: node owed: tells the private 'amount' before a PIN"),
        ("nodes:", "machine: {leave: owed}\nnodes:", "node owed: tells the private 'amount' before a PIN was right"),
        ("start: pin", "start: a\n", "node b: tells the private 'copy' before a PIN was right"),
        ("equals: pin", "into: typed", "9: error: node owed: tells the private 'amount' before a PIN was right"),
        (
            "good: {outcome: heard, then: hangup}",
            "good: {hangup}",
            "a call can end here without an outcome: pin > owed",
        ),
    ],
)
def test_what_a_plan_with_a_pin_does_wrong_is_told(old: str, new: str, problem: str) -> None:
    assert told(PIN, broadcast=False) == []
    assert old in PIN

    changed = told(PIN.replace(old, new) + (COPIED if "start: a" in new else ""), broadcast=False)

    assert any(problem in text for text in changed), changed


def test_a_recordings_finish_key_does_not_hide_a_choice() -> None:
    source = SOUND.replace("bye: {play: goodbye, next: end}", "bye: {record: {into: x, finish_key: 9}, next: a}")

    assert any("ends with '9', which is also a choice" in text for text in told(source))


def test_a_plan_that_sets_no_outcome_at_all_is_warned_of_once() -> None:
    source = "name: x\nlanguage: en-US\nstart: a\nnodes:\n  a: {say: Hi., then: hangup}\n"

    assert told(source, broadcast=False) == ["3: warning: sets no outcome: its calls cannot be told apart"]


def test_what_is_wrong_besides_a_node_that_could_not_be_read_is_told_with_it() -> None:
    source = SOUND.replace("{outcome: removed, next: remove}", "{outcome: NO, next: lost}").replace(
        "      otherwise: bye\n", ""
    )

    with pytest.raises(BadDialplan) as caught:
        load_checked(source, file="x.yaml", prompts=lambda _: frozenset(), broadcast=True)

    found = [(problem.line, problem.node) for problem in caught.value.problems]
    assert found == [(6, "a"), (10, "noted"), (10, "noted"), (12, "bye")]


def test_a_plan_that_is_no_broadcast_needs_no_opt_out_key() -> None:
    assert told(SOUND.replace("opt_out: tenant", "hangup: "), broadcast=False) == []


def test_a_node_only_a_machine_hears_is_reached() -> None:
    assert told(SOUND + "  beep: {say: Call us., then: hangup}\nmachine: {leave: beep}\n") == []


def test_hearing_it_again_by_a_key_is_no_circle() -> None:
    assert told(SOUND.replace('{"9": noted}', '{"9": noted, "2": a}')) == []


def test_a_branch_that_comes_back_by_itself_is_a_circle() -> None:
    source = SOUND.replace(
        "bye: {play: goodbye, next: end}", "bye: {branch: {on: who, cases: {x: bye}, otherwise: hangup}}"
    )

    assert "13: error: node bye: loops without waiting for a key: bye > bye" in told(source)


def test_reading_and_checking_tell_all_in_one_answer() -> None:
    source = SOUND.replace("play: goodbye", "play: farewell").replace("outcome: removed", "outcome: NOT A WORD")

    with pytest.raises(BadDialplan) as caught:
        load_checked(source, file="x.yaml", prompts=lambda _: frozenset(), broadcast=True)

    assert [problem.line for problem in caught.value.problems] == [11, 13]


@pytest.mark.parametrize(
    ("to", "by_twilio", "count"),
    [("+18005550199", True, 1), ("sip:desk@pbx.example.com", True, 0), ("+18005550199", False, 0)],
    ids=["to a number", "to an address", "without Twilio"],
)
def test_headers_that_twilio_does_not_carry_are_told(to: str, count: int, *, by_twilio: bool) -> None:
    end = f"  end: {{transfer: {{to: '{to}', headers: {{X-A: b}}}}, on_failure: noted}}\n"
    plan = load(SOUND.replace("  end: {outcome: heard, then: hangup}\n", end), file="x.yaml")

    found = check(plan, prompts=recorded, broadcast=True, by_twilio=by_twilio)

    assert [problem.text for problem in found if "Twilio does not carry" in problem.text] == [
        "has headers, which Twilio does not carry to a number: a trunk does, and Twilio to a SIP address"
    ] * count


def test_an_inbound_plan_answers_people_who_were_never_written_to() -> None:
    start = "language: en-US\ninbound: true\n"
    plan = SOUND.replace("language: en-US\n", start).replace("who", "last_message")

    assert told(plan, broadcast=False) == []
    assert told(plan.replace("default: you", "required: true"), broadcast=False) == [
        "5: error: 'last_message' needs a default: who was never written to has none, and would not be answered"
    ]


def test_a_warning_lets_the_plan_through() -> None:
    plan, warnings = load_checked(
        SOUND.replace("Hello {{ who }}. ", ""), file="x.yaml", prompts=recorded, broadcast=True
    )

    assert plan.name == "x"
    assert [problem.severity for problem in warnings] == ["warning"]


def test_a_plan_of_five_hundred_nodes_is_checked_without_running_out_of_stack() -> None:
    chain = "".join(f"  n{at}: {{pause: 1s, next: n{at + 1}}}\n" for at in range(498))
    source = f"name: x\nlanguage: en-US\nstart: n0\nnodes:\n{chain}  n498: {{outcome: heard, then: hangup}}\n"

    assert told(source, broadcast=False) == []


def test_a_plan_of_many_forks_that_meet_again_is_checked_at_once() -> None:
    forks = "".join(
        f"  n{at}: {{branch: {{on: who, cases: {{x: m{at}}}, otherwise: n{at + 1}}}}}\n  m{at}: {{pause: 1s, next: n{at + 1}}}\n"
        for at in range(60)
    )
    source = f"name: x\nlanguage: en-US\nstart: n0\nvariables: {{who: {{default: x}}}}\nnodes:\n{forks}  n60: {{outcome: heard, then: hangup}}\n"

    assert told(source, broadcast=False) == []  # 2 to the 60th ways through
