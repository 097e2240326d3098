"""Jobs: accepted whole, paused, resumed, cancelled and completed, each with its event."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from gateway.clock import now_ms
from gateway.model.event import Event
from gateway.model.job import Job
from gateway.model.states import CALL_FINALS, CALL_MOVES, JOB_MOVES, MESSAGE_FINALS, MESSAGE_MOVES, WAITING, sources
from gateway.store import events, lives
from gateway.store.criteria import OfJob
from gateway.store.database import Database, Tx
from gateway.store.recall import write_with_recall
from gateway.store.records import loads, to_record, to_row
from gateway.store.signals import Signals, Things

_CHUNK: Final = 1_000  # rows a transaction, so that nobody waits long for the writer
_OPEN: dict[Things, frozenset[str]] = {
    "messages": frozenset(MESSAGE_MOVES) - MESSAGE_FINALS - {"sent", "unknown"},
    "calls": frozenset(CALL_MOVES) - CALL_FINALS,
}


def things_of(job: Job) -> Things:
    """Which table a job's recipients live in."""
    return "messages" if job.channel == "sms" else "calls"


def all_of(job: Job) -> tuple[Things, ...]:
    """Every table with rows of a job: a text may follow a call that reached nobody."""
    return ("messages",) if job.channel == "sms" else ("calls", "messages")


async def accept(tx: Tx, job: Job) -> None:
    """Keep a job. Its people are written beside it, see `loads`."""
    await tx.run("jobs_insert", **to_row(job))
    await events.add(tx, _event(job, "job.created", job.created_ms, {}))


async def get(tx: Tx, tenant_id: str, mode: str, job_id: str) -> Job | None:
    """A tenant's job."""
    row = await tx.row("jobs_of_tenant", id=job_id, tenant_id=tenant_id, mode=mode)
    return to_record(Job, row) if row is not None else None


async def hours(tx: Tx, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Those of these jobs that may not call people at any time, each with its `Job.hours`."""
    rows = await tx.rows("jobs_hours", ids=ids) if ids else []
    return {row["id"]: loads(row["hours"]) for row in rows}


async def change(
    tx: Tx, job: Job, status: str, now_ms: int, *, reason: str = "", data: Mapping[str, object] | None = None
) -> Job | None:
    """Move a job to `status`, with what waits in it. None: it was no longer in a state that allows it.

    paused:   what is queued is held until somebody resumes. What is held for another reason stays so, and is not
              released while its job is paused.
    running:  what the pause held is queued again.

    reason:   why it is paused, where nobody paused it. data: what else the event says.

    Of a large job the first part moves here, and what is left is noted: nothing of that leaves any more while the job
    is not to run. Call `settle` next; the housekeeper would.
    """
    finished = now_ms if status in {"cancelled", "completed"} else None
    allowed = sources(JOB_MOVES, status)
    row = await tx.row("jobs_move", id=job.id, status=status, finished_ms=finished, sources=allowed, reason=reason)
    if row is None:
        return None
    moved = to_record(Job, row)
    if status != "completed":
        is_more = await _move_some(tx, moved, now_ms)
        await tx.run("job_changes_put" if is_more else "job_changes_delete", job_id=job.id)
    await events.add(tx, _event(moved, f"job.{status}", now_ms, data or {}))
    return moved


async def change_with_recall(
    database: Database,
    signals: Signals,
    job: Job,
    status: str,
    now_ms: int,
    *,
    reason: str = "",
    data: Mapping[str, object] | None = None,
) -> Job | None:
    """Pause or cancel a job that may be sending this moment: see `change`."""
    moved, _ = await write_with_recall(
        database,
        signals,
        OfJob(job.tenant_id, job.id, job.sender),
        now_ms,
        lambda tx: change(tx, job, status, now_ms, reason=reason, data=data),
    )
    return moved


async def launched(tx: Tx, job: Job, found: Sequence[Mapping[str, object]]) -> None:
    """Keep what was found when the prompts of its calls were looked at; see `Job.launch`."""
    await tx.run("jobs_launched", id=job.id, launch=orjson.dumps(list(found)).decode())


async def refuse_launch(
    database: Database, signals: Signals, job: Job, found: Sequence[Mapping[str, object]], now_ms: int
) -> None:
    """Pause a job whose calls would not be as they must: none is dialled, and the event says why."""

    async def refuse(tx: Tx) -> None:
        await launched(tx, job, found)
        await change(tx, job, "paused", now_ms, reason="launch", data={"problems": list(found)})

    await write_with_recall(database, signals, OfJob(job.tenant_id, job.id, job.sender), now_ms, refuse)
    await settle(database, job.id)


async def settle(database: Database, job_id: str) -> None:
    """Move what a large job's change has left where it belongs, some at a time."""
    while await settle_some(database, job_id):
        pass


async def settle_some(database: Database, job_id: str) -> bool:
    """Move some of it. Returns whether there may be more."""

    async def some(tx: Tx) -> bool:
        row = await tx.row("job_changes_one", job_id=job_id)
        if row is None:
            return False
        if is_more := await _move_some(tx, to_record(Job, row), now_ms()):
            return is_more
        await tx.run("job_changes_delete", job_id=job_id)
        return False

    return await database.write(some)


async def unsettled(tx: Tx) -> list[str]:
    """Jobs that were changed, and not all of whose messages and calls have followed yet."""
    return [row["job_id"] for row in await tx.rows("job_changes_all")]


async def _move_some(tx: Tx, job: Job, now_ms: int) -> bool:
    """Move what waits in a job where its state wants it, up to `_CHUNK` a table. Returns whether there may be more."""
    return any([await _move_some_of(tx, things, job, now_ms) for things in all_of(job)])


async def _move_some_of(tx: Tx, things: Things, job: Job, now_ms: int) -> bool:
    match job.status:
        case "paused":
            ids = await lives.of_job(tx, things, job.id, ["queued"], _CHUNK)
            await lives.move(tx, things, ids, "held", now_ms, reason="paused")
        case "running":
            rows = await tx.rows(f"{things}_ids_paused", job_id=job.id, limit=_CHUNK)
            ids = [row["id"] for row in rows]
            await lives.move(tx, things, ids, "queued", now_ms)
        case _:
            ids = await lives.of_job(tx, things, job.id, sorted(WAITING), _CHUNK)
            await lives.move(tx, things, ids, "cancelled", now_ms, reason="job_cancelled")
    return len(ids) == _CHUNK


async def finished(tx: Tx) -> list[Job]:
    """Running jobs that have people, none of whom waits, is under way or is still on the way in."""
    rows = await tx.rows("jobs_finished", messages=_OPEN["messages"], calls=_OPEN["calls"])
    return [to_record(Job, row) for row in rows]


async def complete_finished(tx: Tx, now_ms: int) -> int:
    """Complete each job that has finished. Returns how many."""
    done = [await change(tx, job, "completed", now_ms) for job in await finished(tx)]
    return len(done)


def _event(job: Job, kind: str, at_ms: int, more: Mapping[str, object]) -> Event:
    data = {"status": job.status, "channel": job.channel, "reference": job.reference, "metadata": job.metadata, **more}
    if job.reason:
        data |= {"reason": job.reason}
    return Event(kind, job.tenant_id, job.mode, job.id, at_ms, data, job_id=job.id, callback_url=job.callback_url)
