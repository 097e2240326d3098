import pytest

from gateway.voice.coverage import coverage
from gateway.voice.loader import load
from gateway.voice.transcript import simulate

PLAN = load(
    """\
name: x
language: en-US
start: which
variables: {kind: {default: ""}}
nodes:
  which: {branch: {on: kind, cases: {gold: ask}, otherwise: pin}}
  ask:
    menu: {prompt: {say: Press 1.}, choices: {"1": agent}, otherwise: tell}
  pin:
    collect: {prompt: {say: PIN?}, into: typed, max_digits: 2, attempts: 1, otherwise: tell}
    next: ask
  agent: {transfer: "+18005550199", on_failure: tell}
  tell: {record: {into: said, otherwise: bye}, next: bye}
  bye: {outcome: done, then: hangup}
machine: hangup
""",
    file="x.yaml",
)
GOLD = {"kind": "gold"}
CALLS = [
    (GOLD, ["1"]),
    (GOLD, ["1", "no_transfer", "speaks"]),
    (GOLD, ["5", "silence", "silence", "silence"]),
    ({}, ["12", "hangup"]),
    ({}, ["*#", "silence"]),
    ({}, ["silence", "silence"]),
    ({}, ["machine"]),
]


def missed(*calls: tuple[dict[str, str], list[str]]) -> set[str]:
    return {str(way) for way in coverage(PLAN, [simulate(PLAN, *call) for call in calls]).missed}


def test_calls_that_go_every_way_miss_nothing() -> None:
    assert missed(*CALLS) == set()
    assert coverage(PLAN, [simulate(PLAN, *call) for call in CALLS]).percent == 100.0


@pytest.mark.parametrize(
    ("left_out", "ways"),
    [
        (0, {"agent: transferred"}),
        (1, {"agent: on_failure", "tell: recorded"}),
        (2, {"ask: wrong", "ask: silence", "ask: otherwise"}),
        (3, {"pin: digits"}),
        (4, {"pin: wrong"}),
        (5, {"pin: silence"}),
        (6, {"machine: hangup"}),
    ],
)
def test_what_only_one_call_has_done_is_missed_without_it(left_out: int, ways: set[str]) -> None:
    assert missed(*CALLS[:left_out], *CALLS[left_out + 1 :]) == ways


def test_a_plan_without_tests_has_gone_nowhere_and_each_way_has_its_line() -> None:
    covered = coverage(PLAN, [])

    assert (covered.percent, len(covered.missed)) == (0.0, len(covered.ways))
    assert ("which", "case gold", 6) in {(way.node, way.by, way.line) for way in covered.ways}


def test_nearly_all_is_not_rounded_up_to_all() -> None:
    assert coverage(PLAN, [simulate(PLAN, *call) for call in CALLS[1:]]).percent < 100
