"""Who calls, and the opt-out key within two seconds of it, on every way from the start of a plan."""

from collections.abc import Mapping

import pytest

from gateway.errors.voice import BadDialplan
from gateway.voice import loader
from gateway.voice.dialplan import Plan
from gateway.voice.disclosure import Heard, problems

REST = """
  ask: {menu: {prompt: {say: Press 1.}, choices: {"1": bye, "9": remove}, otherwise: bye}}
  bye: {say: Goodbye., then: hangup}
  remove: {opt_out: tenant, then: hangup}
"""
WHO = "who: {say: This is City Water., announces: identity, next: key}"
KEY = "key: {say: To be removed press 9., announces: opt_out, next: ask}"


def plan_of(*nodes: str, start: str = "who", top: str = "") -> Plan:
    lines = "\n".join(f"  {node}" for node in nodes)
    return loader.load(f"name: x\nlanguage: en-US\nstart: {start}\n{top}nodes:\n{lines}{REST}", file="x.yaml")


def found(plan: Plan, seconds: Mapping[str, Heard | float] | None = None, category: str = "telemarketing") -> list[str]:
    heard = {
        (name, "en-US"): each if isinstance(each, Heard) else Heard(each) for name, each in (seconds or {}).items()
    }
    return [f"{each.severity} {each.node}: {each.text}" for each in problems(plan, heard, category)]


def test_a_key_announced_right_after_the_name_is_in_time() -> None:
    plan = plan_of(WHO, KEY)

    assert found(plan, {"who": Heard(9, tail_s=0.25), "key": Heard(9, lead_s=1.7)}) == []


def test_the_silences_between_name_and_key_count() -> None:
    plan = plan_of(WHO, KEY)

    assert found(plan, {"who": Heard(9, tail_s=0.4), "key": Heard(9, lead_s=1.7)}) == [
        "error key: announces the opt-out key 2.1 s after the caller's name; at most 2 s are allowed"
    ]


def test_a_menu_with_an_opt_out_key_announces_it_from_its_first_word() -> None:
    plan = plan_of(WHO.replace("next: key", "next: chat"), "chat: {say: We have news., next: ask}")

    assert found(plan, {"chat": 1.9}) == []
    assert found(plan, {"chat": 2.2})[0].startswith("error ask: announces the opt-out key 2.2 s after")


def test_the_longest_of_several_ways_counts() -> None:
    which = "which: {branch: {on: v, cases: {a: long}, otherwise: key}}"
    long = "long: {say: A long story., next: key}"
    plan = plan_of(WHO.replace("next: key", "next: which"), which, long, KEY, top='variables: {v: {default: ""}}\n')

    assert found(plan, {"long": 3.0})[0].startswith("error key: announces the opt-out key 3.0 s after")
    assert found(plan, {"long": 1.0}) == []


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        (("who: {say: Hello., next: key}", KEY), "error who: speaks before a node with 'announces: identity'"),
        (("who: {set: {a: b}, then: hangup}",), "error who: ends before anybody said who calls"),
        ((WHO.replace("next: key", "then: hangup"),), "error who: ends before an opt-out key was announced"),
        (
            (WHO.replace("next: key", "next: digits"),
             "digits: {collect: {into: d, prompt: {say: Your number?}, max_digits: 3, timeout: 12s, otherwise: ask}, next: ask}"),
            "error digits: no opt-out key has been announced 12.0 s after",
        ),
    ],
)  # fmt: skip
def test_what_is_missing_is_told_before_anything_is_rendered(nodes: tuple[str, ...], told: str) -> None:
    assert found(plan_of(*nodes))[0].startswith(told)


def test_a_key_that_is_announced_and_not_heard_yet_is_told() -> None:
    which = "which: {branch: {on: v, cases: {}, otherwise: ask}}"
    plan = plan_of(WHO, KEY.replace("next: ask", "next: which"), which, top='variables: {v: {default: ""}}\n')

    assert found(plan) == [
        "error key: announces a key that does nothing yet: a menu with that key must follow, only say between"
    ]


def test_a_pause_before_the_name_says_nothing() -> None:
    assert found(plan_of("wait: {pause: 1s, next: who}", WHO, KEY, start="wait")) == []


def test_a_plan_that_answers_calls_may_say_what_it_wants() -> None:
    assert found(plan_of("who: {say: Hello., next: ask}", top="inbound: true\n")) == []


def test_other_categories_are_only_warned() -> None:
    assert found(plan_of("who: {say: Hello., next: ask}"), category="informational") == [
        "warning who: speaks before a node with 'announces: identity' has said who calls"
    ]


def test_the_language_that_a_key_chooses_is_followed() -> None:
    plan = loader.load(
        """
name: x
language: en-US
languages: [en-US, es-US]
start: choose
nodes:
  choose: {set: {language: es-US}, next: who}
  who: {say: {en-US: City Water., es-US: City Water.}, announces: identity, next: chat}
  chat: {say: {en-US: Hi., es-US: Muy buenas tardes.}, next: key}
  key: {say: {en-US: Press 9., es-US: Oprima nueve.}, announces: opt_out, next: ask}
  ask: {menu: {prompt: {pause: 1s}, choices: {"9": remove}, otherwise: hangup}}
  remove: {opt_out: tenant, then: hangup}
""",
        file="x.yaml",
    )
    heard = {("chat", "en-US"): Heard(1.0), ("chat", "es-US"): Heard(2.5)}

    (problem,) = problems(plan, heard, "telemarketing")

    assert problem.text.startswith("announces the opt-out key 2.5 s after")
    assert problem.text.endswith("(in es-US)")


def test_a_circle_of_words_ends() -> None:
    plan = plan_of(WHO.replace("next: key", "next: one"), "one: {say: Hi., next: two}", "two: {say: Ho., next: one}")

    assert "no opt-out key has been announced" in found(plan, {"one": 1.0, "two": 1.0})[0]


def test_a_mark_stands_only_on_what_speaks() -> None:
    with pytest.raises(BadDialplan, match="announces"):
        plan_of("who: {pause: 1s, announces: identity, next: ask}")
    with pytest.raises(BadDialplan, match="identity or opt_out"):
        plan_of("who: {say: Hi., announces: name, next: ask}")
