"""What a plan's words become in one call: variables filled in, and what can be told before the call. Pure."""

from dataclasses import replace

from gateway.voice import template
from gateway.voice.dialplan import Part, Play, Say, parts_of
from gateway.voice.state import State


def values(state: State) -> dict[str, str]:
    """What each variable holds now; one that is only set, collected or recorded later on is empty."""
    empty = dict.fromkeys(state.plan.late_variables(), "")
    return {**empty, **state.variables, **state.collected}


def filled(state: State, part: Part) -> Part:
    """A part of the plan as this person hears it now."""
    if not isinstance(part, Say):
        return part
    held, spelled = values(state), state.plan.digit_variables()
    spoken = {name: " ".join(value) if name in spelled and value.isdigit() else value for name, value in held.items()}
    return replace(part, text=template.fill(part.text, spoken))


def foreseen(state: State) -> tuple[Say | Play, ...]:
    """Everything that a call may have to play, as far as it is known before the call: what to render ahead of it.

    Texts with a variable that is only set, collected or recorded during the call are not among them.
    """
    late = state.plan.late_variables()
    parts = (part for node in state.plan.nodes.values() for part in parts_of(node))
    known = (part for part in parts if not (isinstance(part, Say) and late.intersection(template.names(part.text))))
    heard = (filled(state, part) for part in known)
    return tuple(dict.fromkeys(part for part in heard if isinstance(part, Say | Play)))
