import pytest

from gateway.errors.voice import BadVariables
from gateway.speech.spoken import normalised
from gateway.voice.dialplan import VariableType
from gateway.voice.loader import load
from gateway.voice.values import accepted, check, why_not, written

PLAN = load(
    """\
name: x
language: en-US
languages: [en-US, es-US]
start: a
variables:
  language: {default: en-US}
  amount: {type: money, required: true}
  due: {type: date, default: "2026-11-21"}
nodes:
  a:
    say: {en-US: "You owe {{ amount }}, due {{ due }}.", es-US: "Debe {{ amount }}, antes del {{ due }}."}
    then: hangup
""",
    file="x.yaml",
)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("digits", ["0", "007"], ["1a", "1 2", "\u0661", "-1"]),
        ("money", ["42", "42.5", "$1,204.50", "-3", "€10"], ["", "forty", "1,20", "1.234", "$", "1e9", "\u0661"]),
        ("date", ["2026-11-21", "2024-02-29"], ["2026-02-29", "21/11/2026", "2026-1-2", "20261121"]),
        ("time", ["14:30", "9:05", "2:30 PM", "12:00am"], ["24:00", "14:60", "13:00 PM", "0:30 am", "noon"]),
        ("phone", ["+12125551234"], ["2125551234", "+0", "+1 212 555 1234"]),
        ("name", ["Ana", "José O'Neil-Smith, Jr.", "李明"], ["", "R2D2", "Ana\n", "<b>", "#", "..."]),
        ("text", ["", "anything at all: 1 # <"], []),
    ],
)
def test_a_type_takes_its_values_and_no_others(kind: VariableType, good: list[str], bad: list[str]) -> None:
    assert [why_not(kind, value) for value in good] == [""] * len(good)
    assert all(why_not(kind, value).startswith("must be") for value in bad)


@pytest.mark.parametrize(
    ("kind", "value", "language", "heard"),
    [
        ("money", "1204.5", "en-US", "one thousand two hundred four dollars and fifty cents"),
        ("money", "$1,204.50", "es-US", "mil doscientos cuatro dólares con cincuenta centavos"),
        ("money", "1204.5", "fr-CA", "mille deux cent quatre dollars et cinquante cents"),
        ("money", "1", "en-US", "one dollar"),
        ("date", "2026-11-21", "en-US", "November twenty-first, twenty twenty-six"),
        ("date", "2026-11-21", "es-US", "veintiuno de noviembre de dos mil veintiséis"),
        ("date", "2026-11-21", "fr-CA", "vingt et un novembre deux mille vingt-six"),
        ("time", "14:30", "en-US", "two thirty P M"),
        ("time", "2:30 PM", "es-US", "dos y treinta de la tarde"),
        ("time", "2:30 pm", "fr-CA", "quatorze heures trente"),
        ("time", "00:05", "en-US", "twelve oh five A M"),
        ("digits", "0420", "es-US", "cero cuatro dos cero"),
        ("name", "Ana", "en-US", "Ana"),
    ],
)
def test_what_is_written_of_a_value_is_spoken_right(kind: VariableType, value: str, language: str, heard: str) -> None:
    assert normalised(written(kind, value, language), language) == heard


def test_every_wrong_variable_is_told_at_once_and_an_undeclared_one_too() -> None:
    with pytest.raises(BadVariables) as caught:
        check(PLAN, {"language": "fr-CA", "due": "soon", "amuont": "1"})

    assert caught.value.problems == {
        "amuont": "is not declared by the dialplan",
        "language": "must be one of en-US, es-US",
        "amount": "is missing",
        "due": "must be a date such as 2026-11-21",
    }


def test_what_a_job_has_in_common_need_not_be_all() -> None:
    check(PLAN, {"due": "2026-12-01"}, are_all=False)
    with pytest.raises(BadVariables, match="'who' is not declared"):
        check(PLAN, {"who": "Ana"}, are_all=False)


def test_a_call_leaves_undeclared_names_aside_and_fills_in_defaults() -> None:
    assert accepted(PLAN, {"amount": "3", "who": "Ana"}) == {"language": "en-US", "amount": "3", "due": "2026-11-21"}
