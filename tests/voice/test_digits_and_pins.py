"""Keys that come quickly, and PINs: which question they answer, and what is told of them."""

import pytest

from gateway.voice import engine
from gateway.voice.loader import load
from gateway.voice.state import (
    Event,
    Pressed,
    PromptEnded,
)
from gateway.voice.transcript import simulate
from tests.voice.test_engine import path, run

TWO_QUESTIONS = load(
    """\
name: x
language: en-US
start: pin
nodes:
  pin:
    collect: {into: pin, prompt: {say: "Your pin."}, max_digits: 2, otherwise: hangup}
    next: ask
  ask: {menu: {prompt: {say: "Press pound."}, choices: {"#": end}, otherwise: hangup}}
  end: {hangup}
""",
    file="x.yaml",
)


@pytest.mark.parametrize(
    ("later", "end"),
    [
        ([(2.5, Pressed("#"))], ["ask"]),
        ([(2.5, Pressed("#")), (2.7, Pressed("#"))], ["ask", "end"]),
        ([(4.1, Pressed("#"))], ["ask", "end"]),
        ([(2.5, PromptEnded(2)), (2.6, Pressed("#"))], ["ask", "end"]),
    ],
    ids=["out of habit", "and then meant", "later", "after the question"],
)
def test_a_finish_key_right_after_the_last_digit_is_no_answer_to_the_next_question(
    later: list[tuple[float, Event]], end: list[str]
) -> None:
    state, _ = run((1.0, Pressed("1")), (2.0, Pressed("2")), *later, plan=TWO_QUESTIONS)

    assert path(state) == ["pin", *end]


def test_quick_keys_go_on_to_the_next_question() -> None:
    state, _ = run((0.1, Pressed("1")), (0.2, Pressed("4")), (0.3, Pressed("2")), (0.4, Pressed("#")))

    assert (path(state)[-1], state.collected) == ("told", {"pin": "42"})


PIN = load(
    """\
name: x
language: en-US
start: pin
variables: {pin: {type: digits, default: "0042"}}
nodes:
  pin:
    collect: {prompt: {say: PIN?}, equals: pin, max_digits: 4, attempts: 3, otherwise: locked}
    next: told
  told: {outcome: told, then: hangup}
  locked: {outcome: locked, then: hangup}
""",
    file="x.yaml",
)


@pytest.mark.parametrize(
    ("pin", "keys", "outcome"),
    [
        ("0042", ["0042"], "told"),
        ("0042", ["0043", "42#", "0042"], "told"),
        ("0042", ["0043", "0000", "42#", "0042"], "locked"),
        ("", ["#", "0#", "silence"], "locked"),
    ],
    ids=["at once", "at the third try", "too late", "no PIN is none that can be guessed"],
)
def test_a_pin_has_to_be_right_within_the_tries_and_is_kept_nowhere(pin: str, keys: list[str], outcome: str) -> None:
    transcript = simulate(PIN, {"pin": pin}, keys)

    assert transcript.outcome == outcome
    assert not transcript.collected
    assert set(transcript.keys) == {"x"}


GUARDED = load(
    """\
name: x
language: en-US
start: greet
variables: {pin: {type: digits, default: "4711"}}
nodes:
  greet: {say: Hello., next: noted}
  noted: {outcome: begun, next: ask}
  ask: {menu: {prompt: {say: "Press 1."}, choices: {"1": pin}, attempts: 3, otherwise: bye}}
  pin:
    collect: {prompt: {say: PIN?}, equals: pin, max_digits: 4, attempts: 3, otherwise: bye}
    next: bye
  bye: {say: Goodbye., then: hangup}
""",
    file="x.yaml",
)


def test_a_pin_that_is_typed_too_soon_or_goes_on_too_long_is_not_told_either() -> None:
    """Into a notice, into a menu that has no such key, and after the last digit; the menu's own key is told."""
    too_soon = [(1.0, Pressed(key)) for key in "4711"]
    state, _ = run(*too_soon, (2.0, PromptEnded(1)), (2.1, Pressed("4")), (2.2, Pressed("1")), plan=GUARDED)
    for key in "471185":
        state, _ = engine.step(state, Pressed(key), 3.0)

    assert state.pressed == "xxxx" + "x" + "1" + "xxxx" + "xx"
