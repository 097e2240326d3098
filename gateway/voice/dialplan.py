"""What a dialplan is, as records: a name, variables, and nodes that each hold one verb.

The loader makes these from YAML and lets none through whose targets or variables do not exist, so the engine
may follow a plan without looking.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

HANGUP: Final = "hangup"  # as a target: the call ends here
MachineAction = Literal["human", "hangup", "leave"]
SIP: Final = "sip:"  # how a target that is an address, and no number, begins
KEYS: Final = frozenset("0123456789*#")  # what a telephone has; A to D exist only on test sets

Scope = Literal["tenant", "sender"]
Announced = Literal["identity", "opt_out"]
ANNOUNCED: Final[tuple[Announced, ...]] = ("identity", "opt_out")
SCOPES: Final[tuple[Scope, ...]] = ("tenant", "sender")
VariableType = Literal["text", "digits", "money", "date", "time", "name", "phone"]
VARIABLE_TYPES: Final[tuple[VariableType, ...]] = ("text", "digits", "money", "date", "time", "name", "phone")

INBOUND_VARIABLES: Final = frozenset({"last_message"})
"""What the gateway itself knows about a person who rings back: the words of the last message sent to them."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a variable holds, as it was given, and its type: how it is to be spoken."""

    type: VariableType
    text: str


@dataclass(frozen=True, slots=True)
class Say:
    """Text to speak. In a plan it may hold `{{ name }}`; in a command those are filled in.

    pieces: in a command, the same text cut where variables begin and end: what is fixed, and each value.
    """

    text: str
    language: str  # BCP 47, "en-US"
    pieces: tuple[str | Value, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Play:
    """A recorded prompt, by name, in a language; `text` is spoken where there is no such recording."""

    name: str
    language: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence, in seconds."""

    seconds: float


Part = Say | Play | Pause


@dataclass(frozen=True, slots=True)
class Localised:
    """What a plan of several languages says or plays in each of them."""

    by_language: Mapping[str, Say | Play]


PlanPart = Part | Localised


@dataclass(frozen=True, slots=True)
class Variable:
    """A word that varies from person to person. Either required or with a default, never both."""

    name: str
    default: str | None  # None: required
    type: VariableType  # how it is spoken, and what it may hold
    is_private: bool  # said only to whom a PIN was right
    line: int


@dataclass(frozen=True, slots=True)
class SpeakNode:
    """`say`, `play` or `pause`: something is heard, then the call goes on."""

    parts: tuple[PlanPart, ...]
    next: str
    line: int
    announces: Announced | None = None  # who calls, or the key that opts out: see `disclosure`


@dataclass(frozen=True, slots=True)
class MenuNode:
    """`menu`: one key chooses where the call goes. A wrong key or silence asks again, `attempts` times in all."""

    prompt: tuple[PlanPart, ...]
    choices: Mapping[str, str]  # key -> target
    timeout: float  # seconds, from the end of the prompt
    attempts: int
    otherwise: str | None  # None only in a plan that `check` refuses
    line: int


@dataclass(frozen=True, slots=True)
class CollectNode:
    """`collect`: several digits into a variable. Too few, a `*` or silence asks again, `attempts` times in all.

    equals: the variable that they must equal (a PIN), or they count as wrong; then `into` may be "", kept nowhere.
    """

    prompt: tuple[PlanPart, ...]
    into: str
    equals: str
    min_digits: int
    max_digits: int
    finish_key: str | None
    timeout: float  # seconds to the first key, from the end of the prompt
    gap: float  # seconds from one key to the next
    attempts: int
    otherwise: str | None  # None only in a plan that `check` refuses
    next: str
    line: int


@dataclass(frozen=True, slots=True)
class BranchNode:
    """`branch`: goes on by the value of a variable, compared as text."""

    on: str
    cases: Mapping[str, str]  # value -> target
    otherwise: str
    line: int


@dataclass(frozen=True, slots=True)
class SetNode:
    """`set`: gives variables new values; each may be a template."""

    values: Mapping[str, str]
    next: str
    line: int


@dataclass(frozen=True, slots=True)
class OutcomeNode:
    """`outcome`: the word this call will be reported under. The last one set counts."""

    word: str
    next: str
    line: int


@dataclass(frozen=True, slots=True)
class TransferNode:
    """`transfer`: hands the person over to a number or a SIP address; the plan is over then. A failure goes on."""

    to: str  # E.164 or sip:user@host, written in the plan: never what somebody pressed
    headers: Mapping[str, str]  # X-... -> template; contact data for who takes the call
    ring: float  # seconds until it has failed
    on_failure: str
    line: int


@dataclass(frozen=True, slots=True)
class RecordNode:
    """`record`: what the person says after a tone, kept as audio; its id goes into a variable."""

    prompt: tuple[PlanPart, ...]  # may be empty
    into: str
    max_seconds: float
    silence: float  # seconds of silence that end it
    finish_key: str | None
    otherwise: str  # when nothing was said
    next: str
    line: int


@dataclass(frozen=True, slots=True)
class SmsNode:
    """`send_sms`: a text to the person, through the ordinary path of messages. Takes no time of the call."""

    bodies: Mapping[str, str]  # by language; templates
    next: str
    line: int


@dataclass(frozen=True, slots=True)
class OptOutNode:
    """`opt_out`: the person is never called or texted again from that scope, and the call ends at once."""

    scope: Scope
    line: int


@dataclass(frozen=True, slots=True)
class HangupNode:
    """`hangup`: the call ends."""

    line: int


AskNode = MenuNode | CollectNode
WaitNode = TransferNode | RecordNode
"""What takes as long as the far end needs; keys mean nothing meanwhile, but for a recording's finish key."""
Node = SpeakNode | AskNode | WaitNode | BranchNode | SetNode | OutcomeNode | SmsNode | OptOutNode | HangupNode


@dataclass(frozen=True, slots=True)
class Machine:
    """What to do when a machine answers: go on as with a human, hang up, or leave one node after the beep."""

    action: MachineAction
    node: str | None = None  # the node to leave; set exactly when the action is "leave"
    line: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """One dialplan. Every target is a node of it or HANGUP; every variable used is declared, set or collected."""

    name: str
    language: str
    languages: tuple[str, ...]  # every one it can be held in, `language` among them
    start: str
    variables: Mapping[str, Variable]
    nodes: Mapping[str, Node]
    machine: Machine
    inbound: bool  # it answers calls instead of making them
    file: str
    line: int = 1  # of `start`

    def collected_variables(self) -> frozenset[str]:
        """Names that `collect` nodes fill with digits."""
        return frozenset(node.into for node in self.nodes.values() if isinstance(node, CollectNode) and node.into)

    def late_variables(self) -> frozenset[str]:
        """Names that `collect`, `record` and `set` nodes fill during the call."""
        by_set = {name for node in self.nodes.values() if isinstance(node, SetNode) for name in node.values}
        by_record = {node.into for node in self.nodes.values() if isinstance(node, RecordNode)}
        return self.collected_variables() | by_set | by_record

    def type_of(self, name: str) -> VariableType:
        """How the value of a variable is spoken: as declared, and digit by digit where it was collected from keys."""
        declared = self.variables.get(name)
        kind = declared.type if declared else "text"
        return "digits" if kind == "text" and name in self.collected_variables() else kind

    @property
    def is_multilingual(self) -> bool:
        """Whether a call may be held in one language or another; the variable `language` says which."""
        return len(self.languages) > 1
