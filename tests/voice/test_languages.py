"""Plans of several languages: what is heard in each, and what the loader says of a text that is missing."""

import pytest

from gateway.errors.voice import BadDialplan, BadVariables
from gateway.voice import engine
from gateway.voice.check import check
from gateway.voice.dialplan import Play, Say, Value
from gateway.voice.filling import foreseen
from gateway.voice.loader import load
from gateway.voice.state import Answered, Speak
from gateway.voice.transcript import simulate

SOURCE = """\
name: x
language: en-US
languages: [en-US, es-US]
start: greet
variables: {amount: {type: money, default: "42.50"}, language: {default: en-US}}
nodes:
  greet: {play: chime, text: {en-US: Ding, es-US: Din}, next: ask}
  ask:
    menu:
      prompt:
        - {say: "Para español, oprima dos.", language: es-US}
        - {say: {en-US: "You owe {{ amount }}.", es-US: "Debe {{ amount }}."}}
      choices: {"2": spanish}
      otherwise: bye
  spanish: {set: {language: es-US}, next: which}
  which: {branch: {on: language, cases: {es-US: link}, otherwise: bye}}
  link: {send_sms: {en-US: "You owe {{ amount }}.", es-US: "Debe {{ amount }}."}, next: ask}
  bye: {say: {en-US: Goodbye., es-US: Adiós.}, then: hangup}
"""
PLAN = load(SOURCE, file="x.yaml")


def problems(old: str, new: str) -> list[str]:
    assert old in SOURCE
    with pytest.raises(BadDialplan) as caught:
        load(SOURCE.replace(old, new), file="x.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_a_key_changes_the_language_of_all_that_follows() -> None:
    transcript = simulate(PLAN, {}, ["2", "silence"])

    assert transcript.said[:3] == ("(plays chime)", "Para español, oprima dos.", "You owe $42.50.")
    assert transcript.said[3:] == ("Para español, oprima dos.", "Debe $42.50.") * 3 + ("Adiós.",)
    assert transcript.collected == {"language": "es-US"}
    assert transcript.sms == ("Debe $42.50.",)


def test_a_variable_chooses_the_language_from_the_first_word() -> None:
    _, commands = engine.step(engine.start(PLAN, {"language": "es-US"}), Answered("human"), 0.0)

    assert commands == (Speak(1, (Play("chime", "es-US", "Din"),)),)
    assert simulate(PLAN, {"language": "es-US"}, []).said[-1] == "Adiós."
    with pytest.raises(BadVariables):
        engine.start(PLAN, {"language": "fr-CA"})


def test_a_command_carries_each_value_with_its_type() -> None:
    said = [part for part in foreseen(engine.start(PLAN, {})) if isinstance(part, Say)]

    [owed] = [part for part in said if part.text == "You owe $42.50."]
    assert owed.pieces == ("You owe ", Value("money", "42.50"), ".")


def test_everything_is_foreseen_in_each_language_a_call_may_come_to() -> None:
    texts = [part.text for part in foreseen(engine.start(PLAN, {}))]
    without = SOURCE.replace("set: {language: es-US}", "set: {mood: good}")

    assert {"You owe $42.50.", "Debe $42.50.", "Adiós.", "Din"} <= set(texts)
    assert "Adiós." not in [part.text for part in foreseen(engine.start(load(without, file="x.yaml"), {}))]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (", es-US: Adiós.", "", "18: error: node bye: has no text in es-US"),
        ("{en-US: Goodbye., es-US: Adiós.}", "Goodbye.", "18: error: node bye: has no text in es-US"),
        ("es-US: Adiós.", "fr-CA: Adieu.", "node bye: 'fr-CA' is none of this plan's languages"),
        (", es-US: Din", "", "7: error: node greet: has no text in es-US"),
        ("set: {language: es-US}", "set: {language: fr-CA}", "the language must be one of this plan's (en-US, es-US)"),
        ("set: {language: es-US}", "set: {language: '{{ amount }}'}", "the language must be one of this plan's"),
        ("language: {default: en-US}", "language: {default: fr-CA}", "the default of 'language' must be one of"),
        ("[en-US, es-US]", "[es-US, fr-CA]", "'languages' leaves out 'en-US'"),
        ("[en-US, es-US]", "[en-US, english]", "'languages' is a list of different languages"),
        ('default: "42.50"', "default: cheap", "5: error: the default of 'amount' must be an amount"),
    ],
)
def test_what_is_missing_in_a_language_is_told(old: str, new: str, told: str) -> None:
    assert any(told in problem for problem in problems(old, new)), problems(old, new)


def test_a_recording_must_exist_in_each_language_unless_a_text_stands_in_for_it() -> None:
    def recorded(language: str) -> frozenset[str]:
        return frozenset({"chime"} if language == "en-US" else ())

    bare = load(SOURCE.replace(", text: {en-US: Ding, es-US: Din}", ""), file="x.yaml")

    assert [p for p in check(PLAN, prompts=recorded, broadcast=False) if p.severity == "error"] == []
    [missing] = [p for p in check(bare, prompts=recorded, broadcast=False) if p.severity == "error"]
    assert missing.text.startswith("plays the prompt 'chime', which does not exist in es-US")
