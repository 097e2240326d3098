"""Generated plans, keys and events: the engine never fails, always ends, and is the same on every carrier."""

import json
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors.voice import BadDialplan
from gateway.voice import engine
from gateway.voice.dialplan import Plan
from gateway.voice.loader import load
from gateway.voice.state import (
    Answered,
    Elapsed,
    Event,
    Hangup,
    HungUp,
    OptOut,
    Pressed,
    PromptEnded,
    Recorded,
    Speak,
    State,
    TransferFailed,
    Transferred,
    from_json,
    to_json,
)
from gateway.voice.transcript import simulate

NAMES = [f"n{at}" for at in range(7)]
targets = st.sampled_from([*NAMES, "hangup"])
texts = st.sampled_from(["One.", "Two {{ who }}.", "You pressed {{ typed }}.", "{{ mood }}"])
parts = st.one_of(
    st.fixed_dictionaries({"say": st.fixed_dictionaries({"en-US": texts, "es-US": st.just("Dos {{ owed }}.")})}),
    st.fixed_dictionaries({"say": texts, "language": st.just("es-US")}),
    st.fixed_dictionaries({"play": st.just("chime")}),
    st.fixed_dictionaries({"pause": st.sampled_from(["1s", "2s"])}),
)
prompts = parts | st.lists(parts, min_size=1, max_size=3)
asking = {
    "prompt": prompts,
    "timeout": st.sampled_from(["1s", "4s"]),
    "attempts": st.integers(1, 3),
    "otherwise": targets,
}
nodes = st.one_of(
    st.builds(lambda part, to: part | {"next": to}, parts, targets),
    st.fixed_dictionaries(
        {
            "menu": st.fixed_dictionaries(
                {**asking, "choices": st.dictionaries(st.sampled_from("0123456789*#"), targets, min_size=1, max_size=4)}
            )
        }
    ),
    st.fixed_dictionaries(
        {
            "collect": st.fixed_dictionaries(
                {
                    **asking,
                    "into": st.just("typed"),
                    "min_digits": st.integers(1, 2),
                    "max_digits": st.integers(2, 5),
                    "finish_key": st.sampled_from(["#", "*", "none"]),
                    "gap": st.sampled_from(["1s", "3s"]),
                }
            ),
            "next": targets,
        }
    ),
    st.fixed_dictionaries(
        {
            "branch": st.fixed_dictionaries(
                {
                    "on": st.sampled_from(["who", "typed", "mood"]),
                    "cases": st.dictionaries(st.sampled_from(["", "12", "Ana", "good"]), targets, max_size=2),
                    "otherwise": targets,
                }
            )
        }
    ),
    st.fixed_dictionaries(
        {"set": st.sampled_from([{"mood": "good"}, {"language": "es-US"}, {"language": "en-US"}]), "next": targets}
    ),
    st.fixed_dictionaries({"outcome": st.sampled_from(["yes", "no"]), "next": targets}),
    st.builds(lambda to: {"transfer": "+18005550199", "on_failure": to}, targets),
    st.builds(
        lambda prompt, finish, to, otherwise: {
            "record": {**prompt, "into": "answer", "max": "30s", "finish_key": finish, "otherwise": otherwise},
            "next": to,
        },
        st.fixed_dictionaries({}, optional={"prompt": prompts}),
        st.sampled_from(["#", "none"]),
        targets,
        targets,
    ),
    st.builds(
        lambda to: {"send_sms": {"en-US": "Dear {{ who }}: {{ typed }}", "es-US": "{{ owed }}"}, "next": to}, targets
    ),
    st.builds(
        lambda asked, to: {"collect": {**asked, "equals": "pin", "max_digits": 4}, "next": to},
        st.fixed_dictionaries(asking),
        targets,
    ),
    st.just({"opt_out": "sender", "then": "hangup"}),
    st.just({"hangup": None}),
)
entries = st.lists(
    st.sampled_from(["silence", "speaks", "no_transfer", "1", "2", "9", "12#", "1234*", "12345678"]), max_size=8
)
key_lists = st.builds(
    lambda first, between, last: [*first, *between, *last],
    st.sampled_from([[], ["machine"]]),
    entries,
    st.sampled_from([[], ["hangup"]]),
)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Any plan that can be run; many go in circles, which `check` would refuse."""
    drawn: dict[str, Any] = {name: draw(nodes) for name in NAMES}
    drawn["typed"] = {
        "collect": {
            "prompt": {"say": {"en-US": "?", "es-US": "¿?"}},
            "into": "typed",
            "max_digits": 4,
            "otherwise": "n0",
        },
        "next": "n0",
    }
    drawn["mood"] = {"set": {"mood": "good"}, "next": "n0"}
    spoken = [name for name in NAMES if drawn[name].keys() & {"say", "play", "pause"}]
    machine = draw(st.sampled_from(["human", "hangup", *({"leave": name} for name in spoken[:1])]))
    source = {
        "name": "generated",
        "language": "en-US",
        "languages": ["en-US", "es-US"],
        "start": draw(st.sampled_from([*NAMES, "typed"])),
        "variables": {
            "who": {"default": "Ana"},
            "owed": {"type": "money", "default": "3"},
            "pin": {"type": "digits", "default": "12"},
            "language": {"default": draw(st.sampled_from(["en-US", "es-US"]))},
        },
        "nodes": drawn,
        "machine": machine,
    }
    return load(json.dumps(source), file="generated.yaml")


events = st.one_of(
    st.builds(Pressed, st.sampled_from("0123456789*#A")),
    st.builds(PromptEnded, st.integers(0, 5)),
    st.just(Elapsed()),
    st.builds(Answered, st.sampled_from(["human", "machine", "unknown"])),
    st.sampled_from([Transferred(), TransferFailed("busy"), Recorded("recording-1", 2.0), Recorded("", 0.0)]),
    st.just("prompt ends"),
)


@settings(max_examples=60, deadline=None)
@given(plan=plans(), keys=key_lists)
def test_a_simulated_call_always_ends(plan: Plan, keys: list[str]) -> None:
    transcript = simulate(plan, {}, keys)

    assert transcript.ended_by in {"dialplan", "person"}
    assert len(transcript.path) <= engine.MAX_VISITS


@settings(max_examples=60, deadline=None)
@given(plan=plans(), drawn=st.lists(st.tuples(events, st.floats(0, 5)), max_size=40))
def test_whatever_happens_a_call_leaves_once_and_then_stays_as_it_was(
    plan: Plan, drawn: list[tuple[Event | str, float]]
) -> None:
    state, now = engine.start(plan, {}), 0.0
    hangups = opt_outs = 0
    for what, seconds in [(Answered("unknown"), 0.0), *drawn, (HungUp("person"), 1.0)]:
        now += seconds
        event: Event = PromptEnded(state.token) if isinstance(what, str) else what
        before, (state, commands) = state, engine.step(state, event, now)
        hangups += commands.count(Hangup())
        opt_outs += sum(isinstance(command, OptOut) for command in commands)
        _assert_sound(before, state)

    assert state.ended_by
    assert hangups == (state.ended_by == "dialplan")
    assert opt_outs == (state.opted_out is not None)
    assert engine.step(state, Pressed("1"), now) == (state, ())


def _assert_sound(before: State, state: State) -> None:
    assert from_json(state.plan, to_json(state)) == state
    assert state.path[: len(before.path)] == before.path
    assert state.keys[: len(before.keys)] == before.keys
    assert not (state.is_speaking and state.deadline is not None)
    if before.ended_by:
        assert state == before
    elif not state.ended_by:  # somebody is always due to tell the engine something
        assert state.is_speaking or state.deadline is not None or state.waiting or state.is_transferred


@settings(max_examples=60, deadline=None)
@given(plan=plans(), keys=key_lists)
def test_twilio_and_the_engine_alone_agree_on_path_words_keys_and_outcome(
    plan: Plan, keys: list[str], dial: Any
) -> None:
    alone = simulate(plan, {}, keys)

    phone = dial(plan, {}, keys)

    assert tuple(visit.node for visit in phone.state.path) == alone.path
    assert tuple(phone.said) == alone.said
    assert (phone.state.outcome, phone.state.collected) == (alone.outcome, alone.collected)
    assert (phone.state.pressed, phone.state.opted_out) == (alone.keys, alone.opted_out)
    assert (tuple(phone.sms), phone.state.exits) == (alone.sms, alone.exits)
    assert phone.state.ended_by == alone.ended_by


@settings(max_examples=60, deadline=None)
@given(plan=plans(), presses=st.lists(st.sampled_from("129*#"), max_size=5), after=st.integers(0, 3))
def test_a_key_during_a_prompt_stops_it_before_anything_else_is_said(
    plan: Plan, presses: list[str], after: int
) -> None:
    state, commands = engine.step(engine.start(plan, {}), Answered("human"), 0.0)
    for _ in range(after):
        state, commands = engine.step(state, PromptEnded(state.token), 1.0)
    for key in presses:
        was_speaking = state.is_speaking
        state, commands = engine.step(state, Pressed(key), 2.0)
        speaks = [at for at, command in enumerate(commands) if isinstance(command, Speak)]
        names = [type(command).__name__ for command in commands]
        assert names.count("StopSpeaking") <= 1
        if was_speaking and speaks:
            assert names[0] == "StopSpeaking"


@settings(max_examples=60, deadline=None)
@given(source=st.text(alphabet="abnsy:{}[]-,&*!|>'\"#\n 019\t\x00\ud800", max_size=200))
def test_no_text_whatever_crashes_the_loader(source: str) -> None:
    with suppress(BadDialplan):
        load(source, file="any.yaml")


@settings(max_examples=60, deadline=None)
@given(
    data=st.recursive(
        st.none() | st.booleans() | st.text(max_size=8) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "name",
                        "language",
                        "start",
                        "nodes",
                        "variables",
                        "machine",
                        "say",
                        "menu",
                        "collect",
                        "branch",
                        "set",
                        "opt_out",
                        "next",
                        "then",
                        "prompt",
                        "choices",
                        "on",
                        "cases",
                        "leave",
                    ]
                ),
                inner,
                max_size=6,
            )
        ),
        max_leaves=30,
    )
)
def test_no_tree_of_known_keys_crashes_the_loader(data: object) -> None:
    base = {"name": "x", "language": "en-US", "start": "a", "nodes": {"a": data}}
    for tree in (data, base, {**base, "variables": data, "machine": data}):
        with suppress(BadDialplan):
            load(json.dumps(tree), file="any.yaml")
