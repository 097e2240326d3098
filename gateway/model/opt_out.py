"""An opt-out, and a text that came in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OptOut:
    """A person who said stop. `scope` is "tenant", or the number of the one sender it holds for.

    mode:     live or test: what is said to the practice far end binds nobody else.
    source:   keyword, dialplan, api or carrier. `evidence` is the words, the key pressed or the engine's reason.
    """

    tenant_id: str
    mode: str
    recipient: str
    scope: str
    source: str
    evidence: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Inbound:
    """A text somebody sent us. `answers` is the id of the last message this sender wrote to them, if any."""

    id: str
    tenant_id: str
    mode: str
    carrier: str
    carrier_id: str
    sender: str
    person: str
    body: str
    keyword: str
    answers: str | None
    at_ms: int
