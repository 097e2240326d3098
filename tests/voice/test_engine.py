from dataclasses import replace

import pytest

from gateway.errors.voice import BadVariables
from gateway.voice import engine
from gateway.voice.dialplan import Pause, Plan, Play, Say
from gateway.voice.loader import load
from gateway.voice.state import (
    Answered,
    Command,
    Elapsed,
    Event,
    Hangup,
    HungUp,
    OptOut,
    Pressed,
    PromptEnded,
    Speak,
    State,
    StopSpeaking,
    WaitUntil,
)

PLAN = load(
    """\
name: x
language: en-US
start: greet
variables: {name: {required: true}, account: {default: "12", type: digits}}
nodes:
  greet: {say: "Hello {{ name }}.", next: notice}
  notice: {play: notice, next: ask}
  ask:
    menu:
      prompt: [{say: "Press 1, 2 or 9."}, {pause: 1s}]
      choices: {"1": pin, "2": mark, "9": stop}
      timeout: 4s
      attempts: 2
      otherwise: bye
  pin:
    collect: {into: pin, prompt: {say: "Your number."}, min_digits: 2, max_digits: 4, timeout: 5s, gap: 2s, attempts: 2, otherwise: bye}
    next: told
  told: {say: "You pressed {{ pin }}, of {{ account }}.", then: hangup}
  mark: {outcome: marked, next: mood}
  mood: {set: {mood: "{{ name }} is well"}, next: fork}
  fork: {branch: {on: mood, cases: {"Ana is well": well}, otherwise: bye}}
  well: {say: "{{ mood }}", next: bye}
  stop: {opt_out: sender}
  bye: {say: "Goodbye.", then: hangup}
machine: {leave: notice}
""",
    file="x.yaml",
)


def run(
    *events: tuple[float, Event], plan: Plan = PLAN, by: str = "human", name: str = "Ana"
) -> tuple[State, list[tuple[Command, ...]]]:
    """The state after the events, and the commands of each step, the answer's first."""
    state, commands = engine.step(engine.start(plan, {"name": name}), Answered(by), 0.0)  # type: ignore[arg-type]
    every = [commands]
    for now, event in events:
        state, commands = engine.step(state, event, now)
        every.append(commands)
    return state, every


def path(state: State) -> list[str]:
    return [visit.node for visit in state.path]


TO_ASK = ((1.0, PromptEnded(1)), (2.0, PromptEnded(2)), (3.0, PromptEnded(3)))
TO_PIN = (*TO_ASK, (4.0, Pressed("1")), (5.0, PromptEnded(4)))


def test_nothing_happens_before_somebody_answers() -> None:
    state = engine.start(PLAN, {"name": "Ana"})

    assert engine.step(state, Pressed("1"), 1.0) == (state, ())
    assert engine.step(state, Elapsed(), 1.0) == (state, ())


def test_a_call_says_its_prompts_one_after_the_other_then_waits_from_the_end_of_the_question() -> None:
    state, commands = run(*TO_ASK)

    assert commands == [
        (Speak(1, (Say("Hello Ana.", "en-US"),)),),
        (Speak(2, (Play("notice", "en-US"),)),),
        (Speak(3, (Say("Press 1, 2 or 9.", "en-US"), Pause(1.0))),),
        (WaitUntil(7.0),),
    ]
    assert [(visit.node, visit.at) for visit in state.path] == [("greet", 0.0), ("notice", 1.0), ("ask", 2.0)]


def test_a_key_answers_and_is_noted_with_its_time_and_node() -> None:
    state, commands = run(*TO_ASK, (4.0, Pressed("2")))

    assert path(state) == ["greet", "notice", "ask", "mark", "mood", "fork", "well"]
    assert state.outcome == "marked"
    assert [(key.digit, key.at, key.node) for key in state.keys] == [("2", 4.0, "ask")]
    assert commands[-1] == (Speak(4, (Say("Ana is well", "en-US"),)),)


def test_a_key_interrupts_the_question() -> None:
    state, commands = run(*TO_ASK[:2], (2.5, Pressed("1")))

    assert commands[-1] == (StopSpeaking(), Speak(4, (Say("Your number.", "en-US"),)))
    assert path(state)[-1] == "pin"


def test_a_key_during_the_greeting_answers_the_question_that_comes_next() -> None:
    state, commands = run((0.5, Pressed("9")))

    assert commands[-1] == (StopSpeaking(), OptOut("sender"), Hangup())
    assert path(state) == ["greet", "notice", "ask", "stop"]


def test_a_wrong_key_during_the_greeting_makes_the_question_be_asked() -> None:
    state, commands = run((0.5, Pressed("7")))

    assert path(state) == ["greet", "notice", "ask", "ask"]
    assert isinstance(commands[-1][1], Speak)


def test_a_key_where_no_question_follows_is_noted_and_cuts_nothing_short() -> None:
    state, commands = run(*TO_ASK, (4.0, Pressed("2")), (4.5, Pressed("5")))

    assert commands[-1] == ()
    assert state.is_speaking
    assert state.pressed == "25"


def test_the_end_of_a_prompt_that_was_stopped_is_ignored() -> None:
    before, _ = run(*TO_ASK[:2], (2.5, Pressed("1")))

    assert engine.step(before, PromptEnded(3), 3.0) == (before, ())


def test_silence_asks_again_and_then_goes_on() -> None:
    state, commands = run(*TO_ASK, (7.0, Elapsed()), (8.0, PromptEnded(4)), (12.0, Elapsed()))

    assert path(state) == ["greet", "notice", "ask", "ask", "bye"]
    assert commands[-1] == (Speak(5, (Say("Goodbye.", "en-US"),)),)


def test_a_timer_that_fires_early_is_set_again() -> None:
    before, _ = run(*TO_ASK)

    assert engine.step(before, Elapsed(), 6.99) == (before, (WaitUntil(7.0),))


def test_a_timer_that_was_overtaken_is_ignored() -> None:
    before, _ = run(*TO_ASK, (4.0, Pressed("1")))

    assert engine.step(before, Elapsed(), 7.0) == (before, ())


@pytest.mark.parametrize(
    ("keys", "pin", "end"),
    [
        ("12#", "12", ["told"]),
        ("1234", "1234", ["told"]),
        ("12##9", "12", ["told"]),
        ("1#", None, ["pin"]),
        ("1*34", None, ["pin"]),
        ("#", None, ["pin"]),
        ("1#2#", None, ["pin", "bye"]),
    ],
    ids=["finish key", "full", "late digits ignored", "too few", "a star is no digit", "nothing", "too few twice"],
)
def test_a_collect_leaves_once_with_what_was_pressed(keys: str, pin: str | None, end: list[str]) -> None:
    state, _ = run(*TO_PIN, *((6.0 + at, Pressed(key)) for at, key in enumerate(keys)))

    assert state.collected.get("pin") == pin
    assert path(state)[4:] == end


def test_a_collect_waits_longer_for_the_first_key_than_between_keys() -> None:
    _, commands = run(*TO_PIN, (6.0, Pressed("1")), (7.0, Pressed("2")), (9.0, Elapsed()))

    assert commands[-4] == (WaitUntil(10.0),)
    assert commands[-3:-1] == [(WaitUntil(8.0),), (WaitUntil(9.0),)]
    assert isinstance(commands[-1][0], Speak)


def test_collected_and_digit_variables_are_spoken_digit_by_digit() -> None:
    _, commands = run(*TO_PIN, (6.0, Pressed("4")), (6.1, Pressed("2")), (6.2, Pressed("#")))

    assert commands[-1] == (Speak(5, (Say("You pressed 4 2, of 1 2.", "en-US"),)),)


def test_an_opt_out_key_ends_the_call_at_once_under_its_own_outcome() -> None:
    state, commands = run(*TO_ASK, (4.0, Pressed("9")))

    assert commands[-1] == (OptOut("sender"), Hangup())
    assert (state.outcome, state.opted_out, state.ended_by) == ("opted_out", "sender", "dialplan")


def test_an_opt_out_keeps_an_outcome_that_was_set() -> None:
    source = "name: x\nlanguage: en-US\nstart: a\nnodes:\n  a: {outcome: refused, next: b}\n  b: {opt_out: tenant}\n"

    state, commands = run(plan=load(source, file="x.yaml"))

    assert (state.outcome, commands) == ("refused", [(OptOut("tenant"), Hangup())])


def test_a_machine_is_left_one_node_and_no_key_disturbs_it() -> None:
    state, commands = run((0.5, Pressed("1")), (1.0, PromptEnded(1)), by="machine")

    assert commands == [(Speak(1, (Play("notice", "en-US"),)),), (), (Hangup(),)]
    assert (path(state), state.answered_by) == (["notice"], "machine")


@pytest.mark.parametrize(("machine", "seen"), [("hangup", []), ("human", ["greet"])])
def test_a_machine_may_be_hung_up_on_or_taken_for_a_human(machine: str, seen: list[str]) -> None:
    plan = replace(PLAN, machine=replace(PLAN.machine, action=machine, node=None))

    state, commands = run(plan=plan, by="machine")

    assert path(state) == seen
    assert (Hangup() in commands[0]) == (machine == "hangup")


def test_a_machine_found_out_late_is_left_its_message_from_the_beginning() -> None:
    state, commands = run((0.7, Answered("machine")), by="unknown")

    assert commands[-1] == (StopSpeaking(), Speak(2, (Play("notice", "en-US"),)))
    assert (state.answered_by, state.answered_at, path(state)) == ("machine", 0.0, ["greet", "notice"])


def test_who_pressed_a_key_is_no_machine() -> None:
    before, _ = run(*TO_ASK, (4.0, Pressed("1")))

    assert engine.step(before, Answered("machine"), 4.1) == (before, ())


def test_a_hang_up_ends_the_call_with_what_was_reached() -> None:
    state, commands = run(*TO_ASK, (4.0, Pressed("2")), (4.2, HungUp("person")))

    assert (state.ended_by, state.outcome, commands[-1]) == ("person", "marked", ())
    assert engine.step(state, PromptEnded(4), 5.0) == (state, ())


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ({}, {"name": "is missing"}),
        ({"name": "  "}, {"name": "is missing"}),
        (
            {"name": "x" * 1001, "account": "1a"},
            {"name": "is longer than 1000 characters", "account": "must be digits"},
        ),
    ],
)
def test_variables_that_do_not_fit_are_all_named(given: dict[str, str], problems: dict[str, str]) -> None:
    with pytest.raises(BadVariables) as caught:
        engine.start(PLAN, given)

    assert caught.value.problems == problems


def test_what_a_variable_holds_is_never_read_as_a_template() -> None:
    _, commands = run(name="{{ account }}")

    assert commands[0] == (Speak(1, (Say("Hello {{ account }}.", "en-US"),)),)


def test_a_plan_that_goes_in_circles_ends() -> None:
    source = "name: x\nlanguage: en-US\nstart: a\nnodes:\n  a: {set: {b: c}, next: d}\n  d: {outcome: e, next: a}\n"

    state, commands = run(plan=load(source, file="x.yaml"))

    assert commands == [(Hangup(),)]
    assert len(state.path) == engine.MAX_VISITS


def test_a_key_in_a_circle_of_words_changes_nothing() -> None:
    source = "name: x\nlanguage: en-US\nstart: a\nnodes:\n  a: {say: A, next: b}\n  b: {say: B, next: a}\n"

    state, commands = run((0.5, Pressed("1")), plan=load(source, file="x.yaml"))

    assert (path(state), commands[-1]) == (["a"], ())
