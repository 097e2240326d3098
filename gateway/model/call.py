"""A call: one voice attempt to one person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Call:
    """One call. Times are epoch milliseconds; `dialplan_version` pins the plan it was accepted with.

    path:      nodes entered, each `{"node", "at_ms"}` counted from the answer.
    prompts:   what was played, each `{"text" | "name", "seconds"}`, seconds as really played.
    collected: values the dialplan's `collect` and `set` nodes left.
    detection: how it was found out who answered, and what a machine was left (docs/calls.md); empty where nobody asked.
    """

    id: str
    tenant_id: str
    mode: str
    sender: str
    recipient: str
    dialplan: str
    dialplan_version: int
    variables: Mapping[str, str] = field(default_factory=dict)
    direction: str = "out"
    job_id: str | None = None
    priority: int = 0
    status: str = "queued"
    reason: str = ""
    hold_until_ms: int | None = None
    expires_ms: int | None = None
    carrier: str = ""
    carrier_id: str | None = None
    error_code: str = ""
    answered_by: str = ""
    outcome: str = ""
    keys: str = ""
    path: Sequence[Mapping[str, object]] = ()
    prompts: Sequence[Mapping[str, object]] = ()
    collected: Mapping[str, str] = field(default_factory=dict)
    detection: Mapping[str, object] = field(default_factory=dict)
    engine_state: str = ""
    reference: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)
    callback_url: str = ""
    created_ms: int = 0
    updated_ms: int = 0
    answered_ms: int | None = None
    ended_ms: int | None = None
