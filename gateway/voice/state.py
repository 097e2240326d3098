"""What goes in and out of the engine, and what it remembers of a call in between.

Times are seconds on one clock, the same for a whole call: the loop's own for a call held in one process, epoch
seconds for one that lives between webhooks.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from gateway.voice.dialplan import SIP, AskNode, Part, Plan, Scope, WaitNode

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
class Transferred:
    """The number of a Transfer took the call. The plan is over; only HungUp is due, when the conversation ends."""


@dataclass(frozen=True, slots=True)
class TransferFailed:
    """The number of a Transfer did not take the call, and the person is still there."""

    reason: str  # "busy", "no_answer", "failed"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A Record is over: the id of the audio and its length in seconds; "" and 0 when nothing was said.

    Where the person hung up meanwhile it is told before HungUp, so that what was said counts.
    """

    audio_id: str
    seconds: float


@dataclass(frozen=True, slots=True)
class HungUp:
    """The call is over, whoever ended it: the person, the carrier, or the gateway (a limit, a clean stop)."""

    by: Literal["person", "carrier", "gateway"]


Event = Answered | Pressed | PromptEnded | Elapsed | Transferred | TransferFailed | Recorded | HungUp


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
class Transfer:
    """Hand the person over to another number, then tell Transferred or TransferFailed.

    to:      E.164, or a SIP address: `is_address`.
    headers: X-... header -> value, filled in; for who takes the call, where the carrier can carry them.
    ring_s:  how long the number may ring before the transfer has failed.
    """

    to: str
    headers: Mapping[str, str]
    ring_s: float

    @property
    def is_address(self) -> bool:
        """Whether it goes to a SIP address."""
        return self.to.startswith(SIP)


@dataclass(frozen=True, slots=True)
class Record:
    """Sound a short tone and keep what the person says, then tell Recorded.

    It is over after `max_s` seconds, after `silence_s` seconds without speech, or at the key `finish_on`, which is
    told as Pressed first (None: no key ends it).
    """

    max_s: float
    finish_on: str | None
    silence_s: float


@dataclass(frozen=True, slots=True)
class SendSms:
    """Hand a text for this person to the ordinary path of messages, once; opt-outs and limits hold there."""

    body: str


@dataclass(frozen=True, slots=True)
class Hangup:
    """End the call. Nothing follows."""


Command = Speak | StopSpeaking | WaitUntil | OptOut | Transfer | Record | SendSms | Hangup


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
class Exit:
    """How a node was left, for coverage: a key, "case gold", "next" …; "silence" or "wrong" for no answer."""

    node: str
    by: str


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
    is_transferred: bool = False  # the person speaks with somebody else now
    exits: tuple[Exit, ...] = ()

    @property
    def asking(self) -> AskNode | None:
        """The menu or collect that waits for a key, if one does."""
        node = self.plan.nodes.get(self.node or "")
        return node if isinstance(node, AskNode) else None

    @property
    def waiting(self) -> WaitNode | None:
        """The transfer or recording that is under way, if one is."""
        node = self.plan.nodes.get(self.node or "")
        return node if isinstance(node, WaitNode) and not self.is_speaking and not self.is_transferred else None

    @property
    def pressed(self) -> str:
        """Every key of the call, in order."""
        return "".join(key.digit for key in self.keys)


_RECORDS: Final[Mapping[str, type[Visit | KeyPress | Exit]]] = {"path": Visit, "keys": KeyPress, "exits": Exit}


def to_json(state: State) -> str:
    """`state` without its plan, as JSON."""
    return json.dumps(to_dict(state))


def to_dict(state: State) -> dict[str, Any]:
    """`state` without its plan, as what JSON can hold."""
    plain = {name: getattr(state, name) for name in State.__dataclass_fields__ if name not in {"plan", *_RECORDS}}
    return plain | {name: [_flat(one) for one in getattr(state, name)] for name in _RECORDS}


def _flat(record: Visit | KeyPress | Exit) -> dict[str, Any]:
    """As `dataclasses.asdict`, ten times as fast: a call that lives between webhooks is written at each."""
    return {name: getattr(record, name) for name in record.__slots__}


def from_json(plan: Plan, text: str) -> State:
    """The state that `to_json` wrote, with the plan it was made with.

    Raises: ValueError, TypeError or KeyError if the text is not from `to_json`.
    """
    return from_dict(plan, json.loads(text))


def from_dict(plan: Plan, plain: Mapping[str, Any]) -> State:
    """What `to_dict` gave, as a State."""
    records = {name: tuple(kind(**one) for one in plain.get(name, ())) for name, kind in _RECORDS.items()}
    return State(plan, **{**plain, **records})
