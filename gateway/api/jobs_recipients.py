"""`POST /v1/jobs/{id}/recipients`: more people for a job, from NDJSON, CSV, JSON or XLSX, all or none of a request."""

import asyncio
import hashlib
from collections.abc import Iterable
from typing import Any

from aiohttp import web
from pydantic import Field

from gateway.api import job_answers, job_spec
from gateway.api.dry_run import Draft, DryRun, dry_run
from gateway.api.inputs import Query
from gateway.api.job_answers import RecipientsAccepted
from gateway.api.jobs_accept import OnInvalid
from gateway.api.loading import load
from gateway.api.memory import give_back
from gateway.api.operation import Answer, Call, operation
from gateway.api.people import People
from gateway.api.roads import for_calls, for_texts, start_of
from gateway.campaign.readers import BLOCK, FORMATS, Reader, reader_for
from gateway.campaign.recipients import Intake
from gateway.errors.api import BadMediaType, InvalidRecipients, JobNotOpen, NotFound
from gateway.model.job import Job
from gateway.store import jobs
from gateway.store.database import Tx

_ABOUT = {
    "application/x-ndjson": "One JSON object `{to, alternatives?, variables?, reference?, network?}` a line.",
    "application/json": "A list of such objects.",
    "text/csv": "A header line with a column `to`, maybe `alternatives` (other numbers, with ; between), "
    "`reference` and `network`; every other column is a variable.",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "A workbook; its first sheet is read as CSV.",
}


class RecipientsQuery(Query):
    """How to take them."""

    on_invalid: OnInvalid = Field("reject", description="`skip` leaves people out that cannot be reached.")
    dry_run: bool = Field(False, description="Tell what would happen; store nothing.")


@operation(
    "POST",
    "/v1/jobs/{id}/recipients",
    "Add people to a broadcast.",
    scope="jobs:write",
    query=RecipientsQuery,
    takes=_ABOUT,
    answers={202: RecipientsAccepted, 200: DryRun},
    idempotent=True,
)
async def add(call: Call, query: RecipientsQuery) -> Answer:
    """Read as it arrives. Nobody is added twice to one job; a job that was completed runs again."""
    job = await _open_job(call)
    people = await job_spec.people_of(call, job.channel, job.spec, job.retries)
    call = call.keyed(await _read(call, people, job.channel))
    if before := await call.answered_before():
        return before
    if query.dry_run:
        sender = await (for_texts if job.channel == "sms" else for_calls)(call, job.sender)
        return Answer(200, await dry_run(call, Draft(sender, job.channel == "voice", job.start_ms, job.hours), people))
    refuses = query.on_invalid == "reject"
    _refuse_invalid(people, refuses)
    answer = await _add(call, job, people, refuses=refuses)
    people.forget()
    await asyncio.to_thread(give_back, people.count)
    call.doors.signals.wake("messages" if job.channel == "sms" else "calls")
    call.doors.signals.wake("events")
    return answer


async def _open_job(call: Call) -> Job:
    return await call.doors.database.read(lambda tx: _look(call, tx, call.path("id")))


async def _look(call: Call, tx: Tx, job_id: str) -> Job:
    job = await jobs.get(tx, call.key.tenant_id, call.key.mode, job_id)
    if job is None:
        raise NotFound("job")
    if job.status == "cancelled":
        raise JobNotOpen(job.status)
    return job


async def _read(call: Call, people: People, channel: str) -> "hashlib._Hash":
    """Read the whole body into `people`; what it says is checked in threads. Returns the body's digest."""
    request = call.request
    if request.content_type not in FORMATS:
        raise BadMediaType(FORMATS)
    intake = Intake(country=call.doors.settings.sms.default_country, channel=channel)
    reader = reader_for(request.content_type, intake)
    digest, size = hashlib.sha256(), 0
    most = call.doors.settings.http.max_body_bytes
    async for block in request.content.iter_chunked(BLOCK):
        size += len(block)
        if size > most:
            raise web.HTTPRequestEntityTooLarge(max_size=most, actual_size=size)
        digest.update(block)
        await asyncio.to_thread(_take, reader, people, block)
    await asyncio.to_thread(_finish, reader, people)
    return digest


def _take(reader: Reader, people: People, block: bytes) -> None:
    people.take(reader.receive(block))


def _finish(reader: Reader, people: People) -> None:
    for rows in reader.finish():
        people.take(rows)


def _refuse_invalid(people: People, refuses: bool) -> None:
    if refuses and people.left.count:
        raise InvalidRecipients(people.left.count, people.left.entries)


async def _add(call: Call, job: Job, people: People, *, refuses: bool) -> Answer:
    """Add them, as the job is then: it may be paused or cancelled while they are read."""

    async def screen(tx: Tx, blocks: Iterable[int]) -> None:
        for number, chunk in zip(blocks, people.chunks(blocks), strict=True):
            here = await _in_job_already(tx, job, [each[0] for each in chunk])
            if here:
                people.leave_out(number, here, "this number is in the job already")

    async def accept(tx: Tx) -> tuple[Answer, dict[str, Any]]:
        now = await _look(call, tx, job.id)
        _refuse_invalid(people, refuses)  # those who are in the job already count
        if now.status == "completed":
            now = await jobs.change(tx, now, "running", call.now_ms) or now
        start = start_of(call.now_ms, now.start_ms)
        if now.status == "paused" and start[0] == "queued":
            start = ("held", "paused", None)
        added = RecipientsAccepted(
            job_id=job.id,
            accepted=people.count,
            segments=people.units,
            skipped=job_answers.entries(people.left),
            unused_variables=job_answers.unused(people),
        )
        return Answer(202, added), job_spec.base_row(now, start, call.now_ms)

    return await load(call, job, people, accept, screen)


async def _in_job_already(tx: Tx, job: Job, numbers: list[str]) -> set[str]:
    rows = await tx.rows(f"{jobs.things_of(job)}_in_job_among", recipients=numbers, job_id=job.id)
    return {row["recipient"] for row in rows}
