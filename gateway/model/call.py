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
    quality:   what the line was like (docs/calls.md); empty where the audio does not pass through here.
    attempt:   which of a person's calls in a job it is, from 1; `first_id` is the first one's, where it is a later one.
    alternatives: the person's other numbers. tried: how many attempts before it ended in each outcome.
    transfers: to whom the call was handed on, each `{"to", "how", "result", "after_s"}`.
    recordings: spoken answers that were kept, each `{"id", "node", "seconds"}`.
    message_delay_ms: from the end of the person's greeting to the first sound of ours; None: they heard nothing.
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
    quality: Mapping[str, object] = field(default_factory=dict)
    engine_state: str = ""
    reference: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)
    callback_url: str = ""
    created_ms: int = 0
    updated_ms: int = 0
    answered_ms: int | None = None
    ended_ms: int | None = None
    attempt: int = 1
    first_id: str | None = None
    alternatives: Sequence[str] = ()
    tried: Mapping[str, int] = field(default_factory=dict)
    message_delay_ms: int | None = None
    transfers: Sequence[Mapping[str, object]] = ()
    recordings: Sequence[Mapping[str, object]] = ()
