"""What is answered about jobs."""

from typing import Any, Final

from pydantic import ConfigDict, Field

from gateway.api.operation import View
from gateway.api.people import People
from gateway.api.told import Left
from gateway.api.views import when
from gateway.model.job import Job
from gateway.store.abandonment import Heard

UNUSED: Final = "What recipients have and nothing in the job asks for: the first 100 names."


class Entry(View):
    """One recipient that was left out. `line` counts from 1: items of a list, lines of a file."""

    line: int
    field: str
    slug: str
    detail: str


class Entries(View):
    """Recipients that were left out: how many, and all that is wrong with the first; a thousand entries at most."""

    count: int
    entries: list[Entry]


class UnusedVariable(View):
    """A variable that recipients have, and that nothing in the job asks for. It may be misspelt."""

    name: str
    count: int = Field(description="How many have it.")
    first_line: int
    did_you_mean: str | None


class JobView(View):
    """One job."""

    model_config = ConfigDict(validate_by_name=True)

    id: str
    channel: str
    status: str
    from_: str = Field(alias="from")
    spec: dict[str, Any] = Field(description="Its message or its call, as given, and what that was resolved to.")
    start_at: str | None
    expires_at: str | None
    priority: int
    reference: str
    metadata: dict[str, Any]
    callback_url: str
    on_unknown: str
    category: str = Field(description="Of calls.")
    retries: dict[str, Any] = Field(description="What follows calls that reached nobody, by outcome.")
    hours: dict[str, Any] = Field(description="When people may be called; empty: at any time.")
    reason: str = Field(description="Why it is paused, where nobody paused it.")
    launch: list[dict[str, Any]] = Field(
        description="What was wrong with its calls' prompts, looked at before the first."
    )
    mode: str
    created_at: str
    finished_at: str | None


class JobAccepted(JobView):
    """A job as it was accepted. All of `accepted` are on disk."""

    accepted: int
    segments: int = Field(description="Of all its texts; of calls, how many.")
    skipped: Entries
    unused_variables: list[UnusedVariable] = Field(description=UNUSED)


class RecipientsAccepted(View):
    """What was added to a job. All of `accepted` are on disk."""

    job_id: str
    accepted: int
    segments: int
    skipped: Entries
    unused_variables: list[UnusedVariable] = Field(description=UNUSED)


class Outcome(View):
    """How many calls ended with one of the dialplan's words; empty: none was set."""

    outcome: str
    count: int
    keys_pressed: int


class Retries(View):
    """What followed calls that reached nobody. `calls` are counted in `total` too, `texts` are not."""

    calls: int
    waiting: int = Field(description="Of these calls.")
    texts: dict[str, int] = Field(description="By state.")


class Counts(View):
    """Where a job's texts or calls are, each attempt a call of its own."""

    total: int
    by_state: dict[str, int]
    held: dict[str, int] = Field(description="Why the held ones wait.")
    segments: int | None = Field(description="Null for voice.")
    copies: int = Field(description="Texts sent again by choice although they may have left before.")
    outcomes: list[Outcome] = Field(description="Of calls that were answered and are over.")
    retries: Retries | None = Field(description="Further attempts of calls; null for sms.")


class Abandoned(View):
    """Of calls that people answered, those whose message began over two seconds after their greeting, or never."""

    calls: int
    answered: int = Field(description="By people: machines do not count.")
    share: float = Field(description="0 to 1.")


class JobWithCounts(JobView):
    """One job and where its recipients are."""

    counts: Counts
    abandoned: Abandoned | None = Field(description="Of this job; null for sms.")
    abandoned_30_days: Abandoned | None = Field(description="Of all your telemarketing jobs; null for sms.")


def fields(job: Job) -> dict[str, Any]:
    """What every view of a job has."""
    same = (
        *("id", "channel", "status", "reason", "category", "priority", "reference", "callback_url"),
        *("on_unknown", "mode"),
    )
    return {
        **{name: getattr(job, name) for name in same},
        "from": job.sender,
        "spec": dict(job.spec),
        "retries": dict(job.retries),
        "hours": dict(job.hours),
        "launch": list(job.launch),
        "metadata": dict(job.metadata),
        "start_at": when(job.start_ms),
        "expires_at": when(job.expires_ms),
        "created_at": when(job.created_ms),
        "finished_at": when(job.finished_ms),
    }


def abandoned(heard: Heard) -> Abandoned:
    """As it is answered."""
    return Abandoned(calls=heard.abandoned, answered=heard.answered, share=round(heard.share, 4))


def entries(left: Left) -> Entries:
    """As it is answered."""
    return Entries(count=left.count, entries=[Entry.model_validate(each) for each in left.entries])


def unused(people: People) -> list[UnusedVariable]:
    """As it is answered."""
    return [UnusedVariable.model_validate(each) for each in people.unused.entries()]
