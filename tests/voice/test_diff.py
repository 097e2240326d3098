import pytest

from gateway.voice.diff import changed_words, changes
from gateway.voice.loader import load

SOURCE = """\
name: x
language: en-US
start: greet
variables: {who: {default: you}}
nodes:
  greet: {say: "Hello {{ who }}, this is City Water.", next: ask}
  ask:
    menu: {prompt: {say: Press 1 or 9.}, choices: {"1": good, "9": remove}, timeout: 5s, otherwise: bye}
  good: {outcome: confirmed, next: bye}
  bye: {say: Goodbye., then: hangup}
  remove: {opt_out: tenant}
"""


def told(*edits: tuple[str, str]) -> list[str]:
    after = SOURCE
    for old, new in edits:
        assert old in after
        after = after.replace(old, new)
    return [str(change) for change in changes(load(SOURCE, file="a"), load(after, file="b"))]


def test_a_plan_that_only_looks_different_has_not_changed() -> None:
    lines = SOURCE.replace("nodes:\n", "nodes:\n\n  # a comment\n").replace(
        '{"1": good, "9": remove}', "{1: good, 9: remove}"
    )

    assert changes(load(SOURCE, file="a"), load(lines, file="b")) == []


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (
            "this is City",
            "it is Gas and",
            ["greet: says: Hello {{ who }}, [-this-] {+it+} is [-City-] {+Gas and+} Water."],
        ),
        ('"9": remove', '"8": remove', ["ask: leads on 9: remove is gone", "ask: leads on 8: new, remove"]),
        ('"1": good', '"1": bye', ["ask: leads on 1: good -> bye"]),
        ("otherwise: bye", "otherwise: good", ["ask: leads on otherwise: bye -> good"]),
        ("next: ask}", "then: hangup}", ["greet: leads: ask -> hangup"]),
        ("timeout: 5s", "timeout: 8s", ["ask: timeout: 5 s -> 8 s"]),
        ("outcome: confirmed", "outcome: paid", ["good: outcome: confirmed -> paid"]),
        ("say: Goodbye.", "pause: 1s", ["bye: was a say, is a pause", "bye: says: [-Goodbye.-] {+(pause of 1 s)+}"]),
        ("default: you", "required: true", ["variable who: text, default 'you' -> text, required"]),
        ("start: greet", "start: ask", ["start: greet -> ask"]),
        ("nodes:", "machine: hangup\nnodes:", ["machine: human -> hangup"]),
        ("  bye:", "  new: {pause: 1s, next: bye}\n  bye:", ["new: new pause"]),
    ],
)
def test_a_change_is_named_by_what_it_is(old: str, new: str, what: list[str]) -> None:
    assert told((old, new)) == what


def test_a_node_with_another_name_is_not_a_change_to_all_that_lead_to_it() -> None:
    assert told(("good", "fine")) == ["fine: was called good"]


def test_a_node_that_went_is_named() -> None:
    assert told(('"1": good, ', ""), ("  good: {outcome: confirmed, next: bye}\n", "")) == [
        "ask: leads on 1: good is gone",
        "good: outcome is gone",
    ]


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("", "a b", "{+a b+}"),
        ("a b", "", "[-a b-]"),
        ("a b c", "a c", "a [-b-] c"),
        ("press 1 now", "press 2 now", "press [-1-] {+2+} now"),
    ],
)
def test_words_are_compared_as_words(old: str, new: str, shown: str) -> None:
    assert changed_words(old, new) == shown
