"""`POST /v1/jobs`: a broadcast, accepted whole. 100,000 people are checked in a worker thread, in one pass."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, SkipValidation

from gateway.api import job_answers, job_spec
from gateway.api.dry_run import Draft, DryRun, dry_run
from gateway.api.inputs import (
    CallbackUrl,
    Input,
    Metadata,
    NetworkName,
    Priority,
    Query,
    Reference,
    SenderNumber,
    Time,
    Variables,
)
from gateway.api.job_answers import JobAccepted
from gateway.api.job_spec import Hours, JobCall, JobMessage, Outcome, Retry
from gateway.api.loading import load
from gateway.api.long_list import LongList
from gateway.api.memory import give_back
from gateway.api.operation import Answer, Call, operation
from gateway.api.people import People
from gateway.api.roads import check_callback, check_times, for_calls, for_texts, start_of
from gateway.campaign.recipients import Intake
from gateway.clock import new_id
from gateway.errors.api import FieldProblem, InvalidRecipients, InvalidRequest
from gateway.model.job import Category, Job
from gateway.model.sender import Sender
from gateway.store import jobs
from gateway.store.database import Tx

OnInvalid = Literal["reject", "skip"]
_TELEMARKETING_RINGS_S: Final = 15  # 16 CFR 310.4(b)(4)(ii): 15 s or four rings
# Fields of the other channel, each with what it is when nobody gives it.
_FOREIGN: Final[Mapping[str, Mapping[str, object]]] = {
    "voice": {"on_unknown": "rest"},
    "sms": {"category": "informational", "retries": {}, "hours": None},
}


class NewRecipient(BaseModel):
    """One person of a job."""

    to: str | int = Field(examples=["+12125551234"])
    variables: Variables = Field(default_factory=dict)
    reference: str | int = ""
    network: NetworkName | None = Field(None, description="Where it is known. For sms.")
    alternatives: list[str] = Field(default_factory=list, description="Other numbers of theirs. For voice.")


class NewJob(Input):
    """A broadcast over one channel: `message` for sms, `call` for voice. More people can be streamed in later."""

    channel: Literal["sms", "voice"]
    from_: SenderNumber = Field(alias="from")
    recipients: Annotated[list[NewRecipient], SkipValidation] = Field(default_factory=list)
    message: JobMessage | None = None
    call: JobCall | None = None
    on_invalid: OnInvalid = Field(
        "reject", description="`skip` leaves people out that cannot be reached; each is told."
    )
    on_unknown: Literal["rest", "resend"] = Field(
        "rest",
        description="A text that the carrier never answered for and, asked twice, does not have: `rest` leaves it to a "
        "person; `resend` sends it once more, flagged as a copy. For sms.",
    )
    category: Category = Field("informational", description="What the calls are for, by law: docs/calls.md. For voice.")
    retries: dict[Outcome, Retry] = Field(
        default_factory=dict, description="What follows a call that ended so. For voice."
    )
    hours: Hours | None = Field(None, description="When people may be called. Null: at any time. For voice.")
    start_at: Time | None = Field(None, description="Everything is held until then.")
    expires_at: Time | None = None
    priority: Priority = 0
    reference: Reference = ""
    metadata: Metadata = Field(default_factory=dict)
    callback_url: CallbackUrl | None = None


class JobsQuery(Query):
    """Whether to do it."""

    dry_run: bool = Field(False, description="Tell what would happen; store nothing.")


@operation(
    "POST",
    "/v1/jobs",
    "Start a broadcast.",
    scope="jobs:write",
    body=NewJob,
    query=JobsQuery,
    answers={202: JobAccepted, 200: DryRun},
    idempotent=True,
    long="recipients",
)
async def create(call: Call, body: NewJob, query: JobsQuery) -> Answer:
    """All of it is on disk when this is answered, or nothing is.

    A recipient that cannot be reached refuses the whole job, or is left out (`on_invalid: skip`); either way each is
    told with its place and reason. With `dry_run=true` the answer is the plan: who, how many segments, and when
    the last would leave.
    """
    sender = await _sender(call, body)
    check_times(call.now_ms, ("start_at", body.start_at), body.expires_at)
    spec = await _spec(call, body)
    retries = await job_spec.of_retries(call, body.retries)
    if retries:
        await job_spec.check_retries(call, spec, retries, body.category)
    people = await job_spec.people_of(call, body.channel, spec, retries)
    recipients: Any = body.recipients
    if not isinstance(recipients, list | LongList):
        raise InvalidRequest(FieldProblem("recipients", "wrong_type", "must be a list"))
    intake = Intake(country=call.doors.settings.sms.default_country, channel=body.channel)
    await asyncio.to_thread(_sort_out, people, intake, recipients)
    if query.dry_run:
        draft = Draft(sender, body.channel == "voice", body.start_at, _hours(body))
        return Answer(200, await dry_run(call, draft, people))
    if people.left.count and body.on_invalid == "reject":
        raise InvalidRecipients(people.left.count, people.left.entries)
    answer = await _accept(call, _job(call, body, spec, retries), people)
    people.forget()
    await asyncio.to_thread(give_back, people.count)
    call.doors.signals.wake("messages" if body.channel == "sms" else "calls")
    call.doors.signals.wake("events")
    return answer


def _sort_out(people: People, intake: Intake, items: Iterable[object]) -> None:
    for chunk in intake.take_all(items):
        people.take(chunk)


async def _sender(call: Call, body: NewJob) -> Sender:
    wanted, other = ("message", "call") if body.channel == "sms" else ("call", "message")
    if getattr(body, wanted) is None:
        raise InvalidRequest(FieldProblem(wanted, "missing_field", f"is required for channel {body.channel}"))
    if getattr(body, other) is not None:
        raise InvalidRequest(FieldProblem(other, "unknown_field", f"does not belong to channel {body.channel}"))
    foreign = _FOREIGN[body.channel]
    if wrong := [name for name, default in foreign.items() if getattr(body, name) != default]:
        told = f"does not belong to channel {body.channel}"
        raise InvalidRequest(*(FieldProblem(name, "unknown_field", told) for name in wrong))
    if any(rule.text is not None for rule in body.retries.values()):
        await for_texts(call, body.from_)
    sender = await (for_texts if body.channel == "sms" else for_calls)(call, body.from_)
    if body.category == "telemarketing" and (ring_s := _rings_s(call, sender)) < _TELEMARKETING_RINGS_S:
        told = f"such calls must ring for {_TELEMARKETING_RINGS_S} s; over this sender's road they ring for {ring_s}"
        raise InvalidRequest(FieldProblem("category", "rings_too_briefly", told))
    return sender


def _rings_s(call: Call, sender: Sender) -> int:
    """How long calls of this sender ring before they are given up."""
    settings = call.doors.settings
    trunk = settings.trunks.get(sender.voice)
    return trunk.ring_timeout_s if trunk is not None else settings.twilio.ring_timeout_s


async def _spec(call: Call, body: NewJob) -> dict[str, Any]:
    if body.message is not None:
        return await job_spec.of_message(call, body.message)
    if body.call is not None:
        return await job_spec.of_call(call, body.call, body.category)
    raise AssertionError("one of the two is there: see _sender")


def _hours(body: NewJob) -> dict[str, Any]:
    return body.hours.model_dump(by_alias=True) if body.hours is not None else {}


def _job(call: Call, body: NewJob, spec: dict[str, Any], retries: dict[str, dict[str, Any]]) -> Job:
    return Job(
        id=new_id("job"),
        tenant_id=call.key.tenant_id,
        mode=call.key.mode,
        channel=body.channel,
        sender=body.from_,
        spec=spec,
        start_ms=body.start_at,
        expires_ms=body.expires_at,
        priority=body.priority,
        reference=body.reference,
        metadata=body.metadata,
        callback_url=check_callback(call, body.callback_url),
        created_ms=call.now_ms,
        on_unknown=body.on_unknown,
        category=body.category,
        retries=retries,
        hours=_hours(body),
    )


async def _accept(call: Call, job: Job, people: People) -> Answer:
    base = job_spec.base_row(job, start_of(call.now_ms, job.start_ms), call.now_ms)

    async def accept(tx: Tx) -> tuple[Answer, dict[str, Any]]:
        await jobs.accept(tx, job)
        accepted = JobAccepted(
            **job_answers.fields(job),
            accepted=people.count,
            segments=people.units,
            skipped=job_answers.entries(people.left),
            unused_variables=job_answers.unused(people),
        )
        return Answer(202, accepted), base

    return await load(call, job, people, accept)
