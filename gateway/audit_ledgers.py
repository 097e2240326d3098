"""What is audited: the engine's, the database's and the far end's ledger, how strictly, and what is found in them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.model.limit import Limit, UsageRow

# Each check, and the promise that it holds (product promises P1 to P7).
CHECKS: Final[Mapping[str, str]] = {
    "lost": "P1",
    "not_ended": "P1",
    "accepted_twice": "P1",
    "state_differs": "P1",
    "never_arrived": "P1",
    "copy": "P2",
    "not_committed": "P2",
    "stranger": "P2",
    "cap": "P3",
    "usage_low": "P3",
    "usage_high": "P3",
    "rate": "P4",
    "after_stop": "P5",
    "confirmation": "P5",
    "unexplained": "P6",
    "regressed": "P7",
    "illegal_move": "P7",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken promise. `check` is a key of CHECKS; `subject` an id, a limit's key or a masked person."""

    check: str
    subject: str
    detail: str

    def __str__(self) -> str:
        return f"{CHECKS[self.check]} {self.check}: {self.subject}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Move:
    """One `message.<state>` event. `seq` rises with every event of the database."""

    seq: int
    state: str
    at_ms: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """A message as the database has it, with its moves in order; `resent` copies that a person or a job asked for."""

    id: str
    tenant_id: str
    mode: str
    sender: str
    recipient: str
    kind: str
    status: str
    segments: int
    reference: str = ""
    job_id: str | None = None
    network: str = ""
    reason: str = ""
    attempts: int = 0
    sent_ms: int | None = None
    moves: tuple[Move, ...] = ()
    resent: int = 0


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request that reached the far end. `at_s` is monotonic, `at_ms` wall time; `outcome` as docs/practice.md."""

    message_id: str
    sender: str
    recipient: str
    segments: int
    outcome: str
    at_s: float
    at_ms: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """One answer 202: a text's id, or a job's and how many people it took. References are the engine's, used once."""

    at_ms: int
    message_id: str = ""
    job_id: str = ""
    people: int = 0
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """An opt-out, from the moment it was acknowledged until it was lifted. `scope` is "tenant" or a sender."""

    tenant_id: str
    mode: str
    recipient: str
    scope: str
    acknowledged_ms: int
    lifted_ms: int | None = None

    def forbids(self, text: Text, at_ms: int) -> bool:
        """Whether a write of `text` at that time breaks it, kinds aside."""
        return (
            (self.tenant_id, self.mode, self.recipient) == (text.tenant_id, text.mode, text.recipient)
            and self.scope in {"tenant", text.sender}
            and self.acknowledged_ms < at_ms < (self.lifted_ms or at_ms + 1)
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage rows, read before the texts and again after them: a gateway that runs meanwhile only adds."""

    before: Sequence[UsageRow] = ()
    after: Sequence[UsageRow] = ()


@dataclass(frozen=True, slots=True)
class Ledgers:
    """What is audited. `arrivals` and `accepted` None: that ledger is not at hand.

    limits: what a text counts against, as it stands today.
    jobs:   (id, reference) of every job; `loading` those whose people are still being made rows.
    counted: by their keys the limits under which something was asked for since any changed, and when that was first
              (us): their rows have what left in the windows of then, and since. None: nobody noted it, all are judged.
    since_ms: what was accepted earlier is not in `texts`, and is not missed.
    """

    texts: Sequence[Text]
    limits: Callable[[Text], Sequence[Limit]]
    usage: Usage = field(default_factory=Usage)
    stops: Sequence[Stop] = ()
    jobs: Sequence[tuple[str, str]] = ()
    loading: frozenset[str] = frozenset()
    counted: Mapping[str, int] | None = None
    since_ms: int = 0
    accepted: Sequence[Accepted] | None = None
    arrivals: Sequence[Arrival] | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """How strictly.

    ended:        everything should have come to a final state by now.
    jitter_ms:    between our socket and the far end's look at its clock.
    clock_steady: the gateway's clock was not moved; if it was, its own stamps say nothing of rates and stops.
    """

    ended: bool = False
    jitter_ms: int = 25
    clock_steady: bool = True
