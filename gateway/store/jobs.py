"""Jobs: accepted whole, paused, resumed, cancelled and completed, each with its event."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.model.event import Event
from gateway.model.job import Job
from gateway.model.states import CALL_FINALS, CALL_MOVES, JOB_MOVES, MESSAGE_FINALS, MESSAGE_MOVES, WAITING, sources
from gateway.store import events, lives
from gateway.store.database import Database, Tx
from gateway.store.recall import write_with_recall
from gateway.store.records import to_record, to_row
from gateway.store.signals import Signals, Things

_OPEN: dict[Things, frozenset[str]] = {
    "messages": frozenset(MESSAGE_MOVES) - MESSAGE_FINALS - {"sent", "unknown"},
    "calls": frozenset(CALL_MOVES) - CALL_FINALS,
}


def things_of(job: Job) -> Things:
    """Which table a job's recipients live in."""
    return "messages" if job.channel == "sms" else "calls"


async def accept(tx: Tx, job: Job, rows: Iterable[Mapping[str, Any]]) -> None:
    """Keep a job and all its messages or calls (as `records.to_row` gives them)."""
    await tx.run("jobs_insert", **to_row(job))
    await tx.many(f"{things_of(job)}_insert", rows)
    await events.add(tx, _event(job, "job.created", job.created_ms))


async def get(tx: Tx, tenant_id: str, mode: str, job_id: str) -> Job | None:
    """A tenant's job."""
    row = await tx.row("jobs_of_tenant", id=job_id, tenant_id=tenant_id, mode=mode)
    return to_record(Job, row) if row is not None else None


async def change(tx: Tx, job: Job, status: str, now_ms: int) -> Job | None:
    """Move a job to `status`, with what waits in it. None: it was no longer in a state that allows it.

    paused:   what is queued is held until somebody resumes. What is held for another reason stays so, and is not
              released while its job is paused.
    running:  what the pause held is queued again.
    """
    finished = now_ms if status in {"cancelled", "completed"} else None
    allowed = sources(JOB_MOVES, status)
    row = await tx.row("jobs_move", id=job.id, status=status, finished_ms=finished, sources=allowed)
    if row is None:
        return None
    await _change_waiting(tx, job, status, now_ms)
    moved = to_record(Job, row)
    await events.add(tx, _event(moved, f"job.{status}", now_ms))
    return moved


async def change_with_recall(database: Database, signals: Signals, job: Job, status: str, now_ms: int) -> Job | None:
    """Pause or cancel a job that may be sending this moment: see `change`."""
    things = things_of(job)

    async def settle(tx: Tx, ids: Sequence[str]) -> list[str]:
        if status == "cancelled":
            return await lives.move(tx, things, ids, "cancelled", now_ms, reason="job_cancelled")
        await lives.move(tx, things, ids, "queued", now_ms)
        return await lives.move(tx, things, ids, "held", now_ms, reason="paused")

    moved, _ = await write_with_recall(
        database,
        signals,
        lambda thing: thing.job_id == job.id,
        settle,
        lambda tx: change(tx, job, status, now_ms),
    )
    return moved


async def _change_waiting(tx: Tx, job: Job, status: str, now_ms: int) -> None:
    things = things_of(job)
    if status == "paused":
        queued = await lives.of_job(tx, things, job.id, ["queued"])
        await lives.move(tx, things, queued, "held", now_ms, reason="paused")
    elif status == "running":
        rows = await tx.rows(f"{things}_ids_paused", job_id=job.id)
        await lives.move(tx, things, [row["id"] for row in rows], "queued", now_ms)
    elif status == "cancelled":
        waiting = await lives.of_job(tx, things, job.id, sorted(WAITING))
        await lives.move(tx, things, waiting, "cancelled", now_ms, reason="job_cancelled")


async def complete_finished(tx: Tx, now_ms: int) -> int:
    """Complete each running job that has people, none of whom waits or is under way any more. Returns how many."""
    done = 0
    for row in await tx.rows("jobs_running"):
        job = to_record(Job, row)
        things = things_of(job)
        if await tx.row(f"{things}_done_in_job", job_id=job.id, statuses=_OPEN[things]) is not None:
            done += await change(tx, job, "completed", now_ms) is not None
    return done


def _event(job: Job, kind: str, at_ms: int) -> Event:
    data = {"status": job.status, "channel": job.channel, "reference": job.reference, "metadata": job.metadata}
    return Event(kind, job.tenant_id, job.mode, job.id, at_ms, data, job_id=job.id, callback_url=job.callback_url)
