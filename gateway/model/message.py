"""A message: one SMS to one person."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Message:
    """One SMS. Times are epoch milliseconds. `kind` is "out" for the engine's, "reply" for our keyword answers.

    hold_until_ms:   when the hold ends by itself; None while only a person can end it.
    reason:          our slug for why it ended so, or why it is held.
    error_code:      the carrier's own code.
    network:         the destination network, where the engine knows it: att, tmobile, verizon, other; else empty.
    copies:          how often it was queued again although it may have left before; somebody chose that.
    """

    id: str
    tenant_id: str
    mode: str
    sender: str
    recipient: str
    body: str
    encoding: str
    segments: int
    job_id: str | None = None
    kind: str = "out"
    priority: int = 0
    status: str = "queued"
    reason: str = ""
    hold_until_ms: int | None = None
    expires_ms: int | None = None
    carrier: str = ""
    carrier_id: str | None = None
    error_code: str = ""
    reference: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)
    callback_url: str = ""
    attempts: int = 0
    copies: int = 0
    created_ms: int = 0
    updated_ms: int = 0
    sent_ms: int | None = None
    network: str = ""
