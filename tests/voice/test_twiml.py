from typing import Any
from xml.etree import ElementTree as ET

import pytest

from gateway.voice import twilio_call, twiml
from gateway.voice.dialplan import Plan, Play, Say
from gateway.voice.loader import load
from gateway.voice.state import OptOut
from gateway.voice.twiml_verbs import Clip

PLAN = load(
    """\
name: x
language: en-US
start: greet
nodes:
  greet: {say: "Hello.", next: ask}
  ask:
    menu: {prompt: [{play: chime}, {pause: 500ms}], choices: {"1": pin, "2": mark, "9": stop, "#": ask}, timeout: 4500ms, attempts: 2, otherwise: bye}
  pin:
    collect: {into: pin, prompt: {say: "Pin."}, max_digits: 4, timeout: 5s, gap: 7s, otherwise: bye}
    next: mark
  mark: {outcome: marked, next: thanks}
  thanks: {say: "Thanks.", next: noted}
  noted: {outcome: thanked, next: bye}
  stop: {opt_out: tenant}
  bye: {say: "Goodbye.", then: hangup}
machine: {leave: thanks}
""",
    file="x.yaml",
)
SECONDS = 2.0


def answer(call: twilio_call.TwilioCall, step: int, now: float, **form: str) -> tuple[twilio_call.TwilioCall, str]:
    turn = twiml.receive(call, step, form, now=now)
    clips = {part: Clip(f"/{part.text if isinstance(part, Say) else part.name}", SECONDS) for part in turn.parts}
    call, xml = twiml.reply(turn, clip=clips.__getitem__, action="/voice?step={}".format, now=now)
    return call, xml.removeprefix('<?xml version="1.0" encoding="UTF-8"?>')


def begun(plan: Plan = PLAN, **form: str) -> tuple[twilio_call.TwilioCall, str]:
    return answer(twilio_call.begin(plan, {}), 0, 1000.0, AnsweredBy="human", **form)


def path(call: twilio_call.TwilioCall) -> list[str]:
    return [visit.node for visit in call.state.path]


def test_the_greeting_stands_in_the_gather_so_that_a_key_interrupts_it() -> None:
    _, xml = begun()

    assert xml == (
        '<Response><Gather action="/voice?step=1" actionOnEmptyResult="true" finishOnKey="" input="dtmf" method="POST" '
        'numDigits="1" timeout="5"><Play>/Hello.</Play><Play>/chime</Play><Pause length="1" /></Gather></Response>'
    )


def test_a_collect_ends_on_its_finish_key_and_waits_for_its_longer_time() -> None:
    call, _ = begun()
    _, xml = answer(call, 1, 1006.0, Digits="1")

    gather = ET.fromstring(xml)[0]  # noqa: S314  # it is our own answer
    assert (gather.attrib["finishOnKey"], gather.attrib["numDigits"], gather.attrib["timeout"]) == ("#", "4", "7")


def test_a_hash_key_is_a_choice_like_any_other() -> None:
    call, _ = begun()
    call, _ = answer(call, 1, 1006.0, Digits="#")

    assert (path(call), call.state.attempt) == (["greet", "ask", "ask"], 1)


def test_what_has_an_effect_waits_until_the_words_before_it_were_heard() -> None:
    call, _ = begun()
    call, xml = answer(call, 1, 1006.0, Digits="2")

    assert xml == '<Response><Play>/Thanks.</Play><Redirect method="POST">/voice?step=2</Redirect></Response>'
    assert call.state.outcome == "marked"

    call, xml = answer(call, 2, 1008.1)

    assert xml == "<Response><Play>/Goodbye.</Play><Hangup /></Response>"
    assert call.state.outcome == "thanked"


def test_a_repeated_webhook_gets_the_same_answer_and_moves_nothing() -> None:
    call, first = begun()
    moved, second = answer(call, 1, 1006.0, Digits="1")

    assert answer(moved, 1, 1009.0, Digits="1") == (moved, second)
    assert answer(moved, 0, 1009.0) == (moved, second)
    assert answer(call, 0, 1009.0) == (call, first)


def test_an_opt_out_is_handed_over_once() -> None:
    call, _ = begun()

    turn = twiml.receive(call, 1, {"Digits": "9"}, now=1006.0)
    after, xml = twiml.reply(turn, clip=lambda _: pytest.fail("nothing to say"), action=str, now=1006.0)

    assert turn.opt_outs == (OptOut("tenant"),)
    assert xml.endswith("<Response><Hangup /></Response>")
    assert twiml.receive(after, 1, {"Digits": "9"}, now=1007.0).opt_outs == ()
    assert twiml.hung_up(after, by="carrier", now=1008.0).opt_outs == ()


@pytest.mark.parametrize(
    ("answered_by", "believed"),
    [
        ("human", "human"),
        ("machine_end_beep", "machine"),
        ("machine_end_silence", "machine"),
        ("machine_start", "machine"),
        ("fax", "machine"),
        ("unknown", "unknown"),
        ("", "unknown"),
    ],
)
def test_twilios_word_for_who_answered_is_translated(answered_by: str, believed: str) -> None:
    call, xml = answer(twilio_call.begin(PLAN, {}), 0, 1000.0, AnsweredBy=answered_by)

    assert call.state.answered_by == believed
    if believed == "machine":
        assert xml == "<Response><Play>/Thanks.</Play><Hangup /></Response>"


@pytest.mark.parametrize(("after", "seen"), [(0.5, ["greet"]), (2.5, ["greet", "ask"]), (60.0, ["greet", "ask"])])
def test_a_hang_up_counts_what_was_heard_until_then(after: float, seen: list[str]) -> None:
    call, _ = begun()

    turn = twiml.hung_up(call, by="person", now=1000.0 + after)

    assert (path(turn.call), turn.call.state.ended_by) == (seen, "person")


def test_an_outcome_after_words_that_were_not_heard_does_not_count() -> None:
    call, _ = begun()
    call, _ = answer(call, 1, 1006.0, Digits="2")

    assert twiml.hung_up(call, by="person", now=1007.0).call.state.outcome == "marked"
    assert twiml.hung_up(call, by="person", now=1008.5).call.state.outcome == "thanked"


def test_a_call_that_said_all_it_had_to_say_was_ended_by_the_plan() -> None:
    call, _ = answer(twilio_call.begin(PLAN, {}), 0, 1000.0, AnsweredBy="machine_end_beep")

    assert twiml.hung_up(call, by="person", now=1003.0).call.state.ended_by == "dialplan"
    assert twiml.hung_up(call, by="person", now=1001.0).call.state.ended_by == "person"


def test_the_path_has_the_times_at_which_prompts_were_over() -> None:
    call, _ = begun()
    call, _ = answer(call, 1, 1009.0, Digits="1")

    assert [(visit.node, visit.at) for visit in call.state.path] == [
        ("greet", 1000.0),
        ("ask", 1002.0),
        ("pin", 1009.0),
    ]


def test_silence_comes_back_and_asks_again() -> None:
    call, _ = begun()
    call, _ = answer(call, 1, 1009.5, Digits="")
    call, xml = answer(call, 2, 1018.0, Digits="")

    assert path(call) == ["greet", "ask", "ask", "bye"]
    assert xml == "<Response><Play>/Goodbye.</Play><Hangup /></Response>"


@pytest.mark.parametrize("form", [{"Digits": "12", "FinishedOnKey": "#"}, {"Digits": "12"}], ids=["finish key", "time"])
def test_a_collect_takes_what_was_gathered(form: dict[str, str]) -> None:
    call, _ = begun()
    call, _ = answer(call, 1, 1006.0, Digits="1")
    call, _ = answer(call, 2, 1020.0, **form)

    assert call.state.collected == {"pin": "12"}


def test_spoken_nodes_that_go_round_are_handed_over_one_round_at_a_time() -> None:
    plan = load(
        "name: x\nlanguage: en-US\nstart: a\nnodes:\n  a: {say: A, next: b}\n  b: {say: B, next: a}\n", file="x.yaml"
    )

    _, xml = begun(plan)

    assert xml == '<Response><Play>/A</Play><Play>/B</Play><Redirect method="POST">/voice?step=1</Redirect></Response>'


def test_the_parts_to_render_are_named_once_each() -> None:
    turn = twiml.receive(twilio_call.begin(PLAN, {}), 0, {}, now=1000.0)

    assert turn.parts == (Say("Hello.", "en-US"), Play("chime", "en-US"))


def test_a_call_survives_being_stored(dial: Any) -> None:
    phone = dial(PLAN, {}, ["silence", "1", "1234", "hangup"])

    assert twilio_call.from_json(PLAN, twilio_call.to_json(phone.call)) == phone.call
    assert phone.state.collected == {"pin": "1234"}


HANDING = load(
    """\
name: x
language: en-US
start: hold
nodes:
  hold: {say: "One moment.", next: agent}
  agent: {transfer: {to: "+18005550199", ring: 20s}, on_failure: busy}
  busy: {say: "Nobody is free.", next: tell}
  tell: {record: {prompt: {say: "Tell us."}, into: said, max: 30s, silence: 2s, finish_key: "#", otherwise: bye}, next: link}
  link: {send_sms: "Thank you.", next: bye}
  bye: {say: "Goodbye.", then: hangup}
""",
    file="x.yaml",
)


def test_a_transfer_is_a_dial_that_comes_back_with_how_it_went() -> None:
    call, first = begun(HANDING)
    call, xml = answer(call, 1, 1002.0)

    assert first == '<Response><Play>/One moment.</Play><Redirect method="POST">/voice?step=1</Redirect></Response>'
    dial = ET.fromstring(xml)[0]  # noqa: S314  it is our own answer
    assert (dial.tag, dial[0].text) == ("Dial", "+18005550199")
    assert (dial.attrib["timeout"], dial.attrib["action"]) == ("20", "/voice?step=2")

    done, hung_up = answer(call, 2, 1060.0, DialCallStatus="completed")
    assert (done.state.outcome, hung_up) == ("transferred", "<Response><Hangup /></Response>")
    assert twiml.hung_up(done, by="person", now=1061.0).call.state.ended_by == "person"
    assert path(answer(call, 2, 1025.0, DialCallStatus="no-answer")[0]) == ["hold", "agent", "busy"]


def test_headers_of_a_transfer_go_with_a_sip_address_as_far_as_twilio_takes_them() -> None:
    long = "Ana " + "\u00e9" * 60
    headers = '{X-Name: "{{ name }}", X-Long: "{{ name }}{{ name }}{{ name }}", X-Account: "12&34"}'
    plan = load(
        f"""\
name: x
language: en-US
start: agent
variables: {{name: {{default: "{long}"}}}}
nodes:
  agent: {{transfer: {{to: "sip:desk@pbx.example.com:5080", headers: {headers}}}, on_failure: bye}}
  bye: {{hangup}}
""",
        file="x.yaml",
    )

    _, xml = begun(plan)

    sip = ET.fromstring(xml)[0][0]  # noqa: S314  it is our own answer
    name = "Ana%20" + "%C3%A9" * 60
    assert (sip.tag, sip.text) == ("Sip", f"sip:desk@pbx.example.com:5080?X-Name={name}&X-Account=12%2634")


def test_a_recording_follows_the_words_before_it_and_its_text_is_handed_over_once() -> None:
    call, _ = begun(HANDING)
    call, _ = answer(call, 1, 1002.0)
    call, xml = answer(call, 2, 1025.0, DialCallStatus="busy")

    verbs = list(ET.fromstring(xml))  # noqa: S314  it is our own answer
    assert [verb.tag for verb in verbs] == ["Play", "Play", "Record", "Redirect"]
    assert {name: verbs[2].attrib[name] for name in ("maxLength", "timeout", "finishOnKey", "playBeep")} == {
        "maxLength": "30",
        "timeout": "2",
        "finishOnKey": "#",
        "playBeep": "true",
    }
    turn = twiml.receive(call, 3, {"RecordingSid": "RE1", "RecordingDuration": "4", "Digits": "#"}, now=1040.0)
    assert [text.body for text in turn.texts] == ["Thank you."]
    assert (turn.call.state.collected, turn.call.state.pressed) == ({"said": "RE1"}, "#")
    silent = twiml.receive(call, 3, {}, now=1035.0)
    assert (silent.texts, path(silent.call)[-1]) == ((), "bye")
