"""What a carrier did with what it was offered: five outcomes, a closed set.

Only Throttled and NotSent may ever be offered again. Bytes out without an answer are Unknown.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Accepted:
    """The carrier took it. `carrier_id` is its name for it; `status` its first word on it, if any."""

    carrier_id: str
    status: str = "queued"


@dataclass(frozen=True, slots=True)
class Refused:
    """The carrier said no, for good. `code` is the carrier's, `reason` our slug, `final` the state it ends in."""

    code: str
    reason: str
    final: str = "failed"


@dataclass(frozen=True, slots=True)
class Throttled:
    """Too fast, and never processed. `retry_after_s` is the carrier's wish, when it had one."""

    code: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """No byte of the request left this machine: refused connection, no name, no socket in time."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The request was written and its answer never came, or was a 5xx. Never offered again on its own."""

    reason: str


Outcome = Accepted | Refused | Throttled | NotSent | Unknown
