"""A job: a broadcast over one channel to many recipients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

# What a broadcast of calls is for: 47 CFR 64.1200(a), (b) tell them apart.
Category: TypeAlias = Literal["informational", "telemarketing", "healthcare", "financial", "package", "emergency"]


@dataclass(frozen=True, slots=True)
class Job:
    """One broadcast. Times are epoch milliseconds; `spec` is the `message` or `call` part as it was given.

    category: what a broadcast of calls is for, by law.
    retries:  for calls, what follows each outcome: see `campaign.retry`.
    hours:    for calls, when people may be called: `from`, `to`, `days`, `zone`; empty: at any time.
    reason:   why it is paused, where nobody paused it.
    launch:   what was found wrong when the prompts of its calls were looked at: node, severity and text of each.
    on_unknown: what becomes of a text that the carrier never answered and does not list: "rest", or "resend" once.
    """

    id: str
    tenant_id: str
    mode: str
    channel: str
    sender: str
    spec: Mapping[str, object]
    status: str = "running"
    start_ms: int | None = None
    expires_ms: int | None = None
    priority: int = 0
    reference: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)
    callback_url: str = ""
    created_ms: int = 0
    finished_ms: int | None = None
    on_unknown: str = "rest"
    category: Category = "informational"
    retries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reason: str = ""
    hours: Mapping[str, Any] = field(default_factory=dict)
    launch: Sequence[Mapping[str, object]] = ()
