"""What goes in and out of the engine, and what it remembers of a call in between.

Times are seconds on one clock, the same for a whole call: the loop's own for a call held in one process, epoch
seconds for one that lives between webhooks.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from gateway.voice.dialplan import AskNode, Part, Plan, Scope

AnsweredBy = Literal["human", "machine", "unknown"]
EndedBy = Literal["dialplan", "person", "carrier", "gateway"]


# Events: what happened on the line.


@dataclass(frozen=True, slots=True)
class Answered:
    """Somebody, or something, picked up. For a machine that is to be left a message: tell it after the beep.

    A later Answered(by="machine") corrects an earlier guess; it is believed until a key was pressed.
    """

    by: AnsweredBy


@dataclass(frozen=True, slots=True)
class Pressed:
    """A key: one of 0-9 * # A-D."""

    digit: str


@dataclass(frozen=True, slots=True)
class PromptEnded:
    """What was to be spoken under this token was heard to its end. Not to be told for one that was stopped."""

    token: int


@dataclass(frozen=True, slots=True)
class Elapsed:
    """The time last given by WaitUntil has come."""


@dataclass(frozen=True, slots=True)
class HungUp:
    """The call is over, whoever ended it: the person, the carrier, or the gateway (a limit, a clean stop)."""

    by: Literal["person", "carrier", "gateway"]


Event = Answered | Pressed | PromptEnded | Elapsed | HungUp


# Commands: what the carrier's side is to do, in this order.


@dataclass(frozen=True, slots=True)
class Speak:
    """Let the person hear `parts` one after the other, then tell PromptEnded(token). Variables are filled in."""

    token: int
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class StopSpeaking:
    """Fall silent at once."""


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Tell Elapsed at `deadline` or after. Only the newest deadline counts."""

    deadline: float


@dataclass(frozen=True, slots=True)
class OptOut:
    """Record that this person wants no more calls or texts from that scope: durably, whatever becomes of the call."""

    scope: Scope


@dataclass(frozen=True, slots=True)
class Hangup:
    """End the call. Nothing follows."""


Command = Speak | StopSpeaking | WaitUntil | OptOut | Hangup


# The call so far.


@dataclass(frozen=True, slots=True)
class Visit:
    """A node was entered at a time; asking once more is another visit."""

    node: str
    at: float


@dataclass(frozen=True, slots=True)
class KeyPress:
    """A key, when, and the node it was pressed in."""

    digit: str
    at: float
    node: str


@dataclass(frozen=True, slots=True)
class State:
    """One call's way through a plan. `plan` stays the same for the whole call and is not part of its JSON."""

    plan: Plan
    variables: Mapping[str, str]
    collected: Mapping[str, str] = field(default_factory=dict)  # what `collect` and `set` nodes left
    node: str | None = None  # None before the answer and after the end
    path: tuple[Visit, ...] = ()
    keys: tuple[KeyPress, ...] = ()
    outcome: str = ""  # the plan's own word
    opted_out: Scope | None = None
    answered_by: AnsweredBy | None = None
    answered_at: float | None = None
    ended_by: EndedBy | None = None
    token: int = 0  # of the newest Speak
    is_speaking: bool = False
    is_leaving: bool = False  # a message to a machine: play it, then hang up
    attempt: int = 0  # of the question being asked, from 1
    digits: str = ""  # of the collect under way
    deadline: float | None = None
    late_key: str | None = None  # the finish key of a collect that was full before it came

    @property
    def asking(self) -> AskNode | None:
        """The menu or collect that waits for a key, if one does."""
        node = self.plan.nodes.get(self.node or "")
        return node if isinstance(node, AskNode) else None

    @property
    def pressed(self) -> str:
        """Every key of the call, in order."""
        return "".join(key.digit for key in self.keys)


def to_json(state: State) -> str:
    """`state` without its plan, as JSON."""
    return json.dumps(to_dict(state))


def to_dict(state: State) -> dict[str, Any]:
    """`state` without its plan, as what JSON can hold."""
    plain = {name: getattr(state, name) for name in State.__dataclass_fields__ if name not in {"plan", "path", "keys"}}
    plain["path"] = [asdict(visit) for visit in state.path]
    plain["keys"] = [asdict(key) for key in state.keys]
    return plain


def from_json(plan: Plan, text: str) -> State:
    """The state that `to_json` wrote, with the plan it was made with.

    Raises: ValueError, TypeError or KeyError if the text is not from `to_json`.
    """
    return from_dict(plan, json.loads(text))


def from_dict(plan: Plan, plain: Mapping[str, Any]) -> State:
    """What `to_dict` gave, as a State."""
    return State(
        plan,
        path=tuple(Visit(**visit) for visit in plain["path"]),
        keys=tuple(KeyPress(**key) for key in plain["keys"]),
        **{name: value for name, value in plain.items() if name not in {"path", "keys"}},
    )
