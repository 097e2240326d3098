"""How soon the people who answered heard the message: counted by job and day, in the transaction that ends each call.

16 CFR 310.4(b)(4) and 47 CFR 64.1200(a)(7): a call that a person answered is abandoned when the message does not begin
within two seconds of their completed greeting; of a telemarketing campaign's, over 30 days, at most 3 % may be.
"""

from dataclasses import dataclass
from typing import Final

from gateway.model.call import Call
from gateway.model.job import Job
from gateway.store.database import Row, Tx
from gateway.store.records import to_record

LATE_MS: Final = 2_000
_DAY_MS: Final = 86_400_000
_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class Heard:
    """Of calls that people answered, not machines: how many, and for how many the message began too late or never."""

    answered: int
    abandoned: int

    @property
    def share(self) -> float:
        """Abandoned of answered, 0 to 1."""
        return self.abandoned / self.answered if self.answered else 0.0


async def count(tx: Tx, call: Call, at_ms: int) -> None:
    """Count a call that has ended; those of no job, and those nobody or a machine answered, do not count."""
    if call.job_id is None or call.answered_ms is None or call.answered_by == "machine":
        return
    is_late = call.message_delay_ms is None or call.message_delay_ms > LATE_MS
    await tx.run("answered_calls_count", job_id=call.job_id, day=at_ms // _DAY_MS, abandoned=int(is_late))


async def of_job(tx: Tx, job_id: str) -> Heard:
    """Of one job, since it began."""
    return _heard(await tx.row("answered_calls_of_job", job_id=job_id))


async def of_tenant(tx: Tx, tenant_id: str, mode: str, now_ms: int) -> Heard:
    """Of all telemarketing jobs of a tenant, in the last 30 days."""
    return _heard(await tx.row("answered_calls_of_tenant", tenant_id=tenant_id, mode=mode, since=_since(now_ms)))


async def of_all(tx: Tx, now_ms: int) -> Heard:
    """Of everybody's telemarketing jobs, in the last 30 days; test calls are left out."""
    return _heard(await tx.row("answered_calls_of_all", since=_since(now_ms)))


async def above(tx: Tx, share: float, least: int, now_ms: int) -> list[tuple[Job, Heard]]:
    """Running telemarketing jobs that abandoned more than `share`, of `least` answered calls or more, in 30 days.

    Not those that a person resumed after they were paused for it.
    """
    rows = await tx.rows("jobs_abandoning", since=_since(now_ms))
    found = [(to_record(Job, row), _heard(row)) for row in rows]
    return [(job, heard) for job, heard in found if heard.answered >= least and heard.share > share]


def _since(now_ms: int) -> int:
    return now_ms // _DAY_MS - _DAYS + 1


def _heard(row: Row | None) -> Heard:
    return Heard(int(row["answered"]), int(row["abandoned"])) if row is not None else Heard(0, 0)
