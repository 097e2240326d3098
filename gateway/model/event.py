"""An event: one thing that happened, numbered."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `seq` is given by the database; `data` is what the engine is told.

    type:         `message.sent`, `call.answered`, `job.completed`, `inbound.received`, `opt_out.created`, …
    subject:      the id of the message, call, job, inbound text or number it is about.
    callback_url: where it is delivered; empty when nobody asked for it.
    """

    type: str
    tenant_id: str
    mode: str
    subject: str
    at_ms: int
    data: Mapping[str, object]
    job_id: str | None = None
    callback_url: str = ""
    seq: int = 0
