"""`/v1/jobs`: how broadcasts stand; pause, resume, cancel. New ones: `jobs_accept`; more people: `jobs_recipients`."""

from typing import Annotated, Any

from gateway.api import job_answers, jobs_accept, jobs_recipients, why
from gateway.api.inputs import Page, one_of
from gateway.api.job_answers import Abandoned, Counts, JobView, JobWithCounts, Outcome, Retries
from gateway.api.operation import Answer, Call, operation
from gateway.api.views import Listed
from gateway.errors.api import JobNotOpen, NotFound
from gateway.model.job import Job
from gateway.model.states import JOB_MOVES
from gateway.store import abandonment, jobs, lives
from gateway.store.database import Tx
from gateway.store.records import to_record

__all__ = ["jobs_accept", "jobs_recipients"]  # importing them declares their operations


class JobsPage(Page):
    """Which jobs to list."""

    status: Annotated[str, one_of(JOB_MOVES)] = ""
    channel: Annotated[str, one_of(("sms", "voice"))] = ""
    reference: str = ""


@operation("GET", "/v1/jobs", "List broadcasts.", scope="jobs:read", query=JobsPage, answers={200: Listed[JobView]})
async def page(call: Call, query: JobsPage) -> Answer:
    """Newest first, all filters together."""
    rows = await call.doors.database.read(
        lambda tx: tx.rows(
            "jobs_page",
            tenant_id=call.key.tenant_id,
            mode=call.key.mode,
            before=query.cursor,
            status=query.status,
            channel=query.channel,
            reference=query.reference,
            limit=query.limit,
        )
    )
    items = [JobView(**job_answers.fields(to_record(Job, row))) for row in rows]
    return Answer(200, Listed[JobView](items=items, next_cursor=rows[-1]["id"] if len(rows) == query.limit else None))


@operation(
    "GET", "/v1/jobs/{id}", "One broadcast, and where its people are.", scope="jobs:read", answers={200: JobWithCounts}
)
async def one(call: Call) -> Answer:
    """Counts by state, why the held ones wait, segments, and for calls the dialplan's outcomes."""

    async def look(tx: Tx) -> JobWithCounts:
        job = await _own(call, tx)
        return JobWithCounts(
            **job_answers.fields(job), counts=await _counts(tx, job), **await _abandoned(call, tx, job)
        )

    return Answer(200, await call.doors.database.read(look))


async def _own(call: Call, tx: Tx) -> Job:
    job = await jobs.get(tx, call.key.tenant_id, call.key.mode, call.path("id"))
    if job is None:
        raise NotFound("job")
    return job


async def _counts(tx: Tx, job: Job) -> Counts:
    found: dict[str, Any] = await lives.counts(tx, jobs.things_of(job), job.id)
    if job.channel == "sms":
        segments = int(await tx.value("messages_segments_of_job", job_id=job.id))
        copies = int(await tx.value("messages_copies_of_job", job_id=job.id))
        return Counts(**found, segments=segments, copies=copies, outcomes=[], retries=None)
    rows = await tx.rows("calls_outcomes", job_id=job.id)
    outcomes = [Outcome(outcome=row["outcome"], count=row["n"], keys_pressed=row["keys"] or 0) for row in rows]
    return Counts(**found, segments=None, copies=0, outcomes=outcomes, retries=await _retries(tx, job))


async def _abandoned(call: Call, tx: Tx, job: Job) -> dict[str, Abandoned | None]:
    if job.channel == "sms":
        return {"abandoned": None, "abandoned_30_days": None}
    everybodys = await abandonment.of_tenant(tx, job.tenant_id, job.mode, call.now_ms)
    return {
        "abandoned": job_answers.abandoned(await abandonment.of_job(tx, job.id)),
        "abandoned_30_days": job_answers.abandoned(everybodys),
    }


async def _retries(tx: Tx, job: Job) -> Retries:
    row = await tx.row("calls_attempts_of_job", job_id=job.id)
    texts = await lives.counts(tx, "messages", job.id)
    calls, waiting = (row["n"], row["waiting"]) if row is not None else (0, 0)
    return Retries(calls=calls, waiting=waiting, texts=texts["by_state"])


@operation("POST", "/v1/jobs/{id}/pause", "Pause a broadcast.", scope="jobs:write", answers={200: JobView})
async def pause(call: Call) -> Answer:
    """At once: what was committed and not yet written is taken back, too. A paused job is paused once more in vain."""
    return await _change(call, "paused")


@operation("POST", "/v1/jobs/{id}/resume", "Resume a broadcast.", scope="jobs:write", answers={200: JobView})
async def resume(call: Call) -> Answer:
    """What the pause held is queued again."""
    return await _change(call, "running")


@operation("POST", "/v1/jobs/{id}/cancel", "Cancel a broadcast.", scope="jobs:write", answers={200: JobView})
async def cancel(call: Call) -> Answer:
    """At once and for good: everything that was not written yet ends as `cancelled`."""
    return await _change(call, "cancelled")


async def _change(call: Call, status: str) -> Answer:
    doors = call.doors
    job = await doors.database.read(lambda tx: _own(call, tx))
    if job.status == status:
        return Answer(200, JobView(**job_answers.fields(job)))
    if job.status == "completed":
        raise JobNotOpen(job.status)
    if status == "running":
        moved = await doors.database.write(lambda tx: jobs.change(tx, job, status, call.now_ms))
    else:
        moved = await jobs.change_with_recall(doors.database, doors.signals, job, status, call.now_ms)
    if moved is None:
        now = await doors.database.read(lambda tx: _own(call, tx))
        raise JobNotOpen(now.status)
    await jobs.settle(doors.database, job.id)
    for things in jobs.all_of(job):
        doors.signals.wake(things)
    doors.signals.wake("events")
    return Answer(200, JobView(**job_answers.fields(moved)))


@operation("GET", "/v1/jobs/{id}/why", "What a broadcast waits for.", scope="jobs:read", answers={200: why.JobWhy})
async def explain(call: Call) -> Answer:
    """Names the gate that holds it and when that opens, and every reason for which some of it waits."""
    job = await call.doors.database.read(lambda tx: _own(call, tx))
    return Answer(200, await why.of_job(call, job))
