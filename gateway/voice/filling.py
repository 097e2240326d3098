"""What a plan's words become in one call: variables filled in, the call's language chosen. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.voice import template
from gateway.voice.dialplan import (
    Localised,
    Part,
    Pause,
    Plan,
    PlanPart,
    Play,
    Say,
    SetNode,
    Value,
)
from gateway.voice.state import State
from gateway.voice.values import LANGUAGE, SAMPLES, written
from gateway.voice.ways import parts_of


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one node lets a person hear in a call that is held in one language."""

    node: str
    language: str
    parts: tuple[Part, ...]


def values(state: State) -> dict[str, str]:
    """What each variable holds now; one that is only set, collected or recorded later on is empty."""
    empty = dict.fromkeys(state.plan.late_variables(), "")
    spoken = {LANGUAGE: state.plan.language} if state.plan.is_multilingual else {}
    return {**empty, **spoken, **state.variables, **state.collected}


def language_of(state: State) -> str:
    """The language the call is held in now."""
    return values(state)[LANGUAGE] if state.plan.is_multilingual else state.plan.language


def filled(state: State, part: PlanPart) -> Part:
    """A part of the plan as this person hears it now."""
    return _filled(state.plan, part, values(state), language_of(state))


def text_message(state: State, bodies: Mapping[str, str]) -> str:
    """The words of a text in the call's language; digits stand together, to be read and not heard."""
    held, language = values(state), language_of(state)
    kinds = {name: state.plan.type_of(name) for name in held}
    shown = {
        name: value if kinds[name] == "digits" else written(kinds[name], value, language)
        for name, value in held.items()
    }
    return template.fill(bodies[language], shown)


def _filled(plan: Plan, part: PlanPart, held: Mapping[str, str], language: str) -> Part:
    if isinstance(part, Localised):
        part = part.by_language[language]
    match part:
        case Say():
            pieces = [fixed or Value(plan.type_of(name), held[name]) for fixed, name in template.cut(part.text)]
            return replace(part, text=_text(pieces, part.language), pieces=tuple(pieces))
        case Play(text=text) if text:
            pieces = [fixed or Value(plan.type_of(name), held[name]) for fixed, name in template.cut(text)]
            return replace(part, text=_text(pieces, part.language))
        case _:
            return part


def _text(pieces: list[str | Value], language: str) -> str:
    return "".join(written(piece.type, piece.text, language) if isinstance(piece, Value) else piece for piece in pieces)


def foreseen(state: State) -> tuple[Say | Play, ...]:
    """Everything that a call may have to play, as far as it is known before the call: what to render ahead of it.

    In each language that it may come to be held in. Texts with a variable that is only set, collected or recorded
    during the call are not among them, nor is a text of which nothing is left because its variable is empty: a branch
    keeps this call from it.
    """
    late, held = state.plan.late_variables(), values(state)
    parts = [part for node in state.plan.nodes.values() for part in parts_of(node)]
    heard = (
        _filled(state.plan, part, held, language)
        for language in _languages(state)
        for part in parts
        if not late.intersection(_names(part, language))
    )
    return tuple(
        dict.fromkeys(part for part in heard if isinstance(part, Play) or (isinstance(part, Say) and part.text.strip()))
    )


def _languages(state: State) -> tuple[str, ...]:
    """The language the call begins in, and those that a `set` may choose."""
    chosen = (
        node.values[LANGUAGE]
        for node in state.plan.nodes.values()
        if isinstance(node, SetNode) and LANGUAGE in node.values
    )
    return tuple(dict.fromkeys([language_of(state), *(chosen if state.plan.is_multilingual else ())]))


def _names(part: PlanPart, language: str) -> tuple[str, ...]:
    here = part.by_language[language] if isinstance(part, Localised) else part
    return () if isinstance(here, Pause) else template.names(here.text)


def prompts(state: State) -> tuple[Prompt, ...]:
    """Everything the plan can let people hear, node by node, in each language a call may be held in.

    With the values that `state` holds; where it holds none, or none before the call, with a sample.
    """
    plan = state.plan
    held = {
        name: value or SAMPLES.get(plan.type_of(name), name.replace("_", " ")) for name, value in values(state).items()
    }
    return tuple(
        Prompt(name, language, tuple(_filled(plan, part, held | {LANGUAGE: language}, language) for part in parts))
        for language in plan.languages
        for name, node in plan.nodes.items()
        if (parts := parts_of(node))
    )
