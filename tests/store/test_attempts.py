"""What follows the end of a call, and what is counted of it, on every database."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.clock import now_ms
from gateway.metrics import Metrics
from gateway.model.call import Call
from gateway.model.job import Job
from gateway.model.opt_out import OptOut
from gateway.model.sender import Sender
from gateway.model.tenant import Tenant
from gateway.settings import Settings
from gateway.store import abandonment, calls, events, jobs, opt_outs, tenants
from gateway.store.abandonment import Heard
from gateway.store.database import Database
from gateway.store.records import to_record, to_row
from gateway.store.signals import Signals
from gateway.workers.housekeeper import Housekeeper

SENDER, PERSON, OTHER = "+18005550199", "+12125551234", "+12125559876"
AGAIN = {"busy": {"after": "1h", "attempts": 1, "number": "next", "text": None}}
JOB = Job("job_1", "acme", "live", "voice", SENDER, {}, category="telemarketing", created_ms=1)


async def keep(database: Database, job: Job, *made: Call) -> None:
    async def work(tx: Any) -> None:
        await tenants.add_tenant(tx, Tenant("acme", "Acme", 1))
        await tenants.put_sender(tx, Sender(SENDER, "acme", "toll_free", voice="main"))
        await jobs.accept(tx, job)
        await tx.many("calls_insert", [to_row(call) for call in made])

    await database.write(work)


def call(number: int, **more: Any) -> Call:
    fixed = {"job_id": "job_1", "alternatives": (OTHER,), "created_ms": 1}
    return Call(f"call_{number}", "acme", "live", SENDER, PERSON, "bill", 1, **fixed | more)


async def all_calls(database: Database) -> list[Call]:
    rows = await database.read(lambda tx: tx.rows("calls_with_status", status="held", limit=99))
    return [to_record(Call, row) for row in rows]


async def test_an_end_keeps_one_attempt_at_the_next_number_and_a_stop_by_either_takes_it_back(
    database: Database,
) -> None:
    await keep(database, replace(JOB, retries=AGAIN), call(1, status="ringing"))

    ends = [await database.write(lambda tx: calls.ended(tx, "call_1", "busy", now_ms())) for _ in range(2)]
    (waits,) = await all_calls(database)
    unfinished = await database.read(jobs.finished)
    said = OptOut("acme", "live", PERSON, "tenant", "keyword", "STOP", now_ms())
    cancelled = await database.write(lambda tx: opt_outs.stop(tx, said))
    finished = await database.read(jobs.finished)

    assert ends == [True, False]
    assert (waits.recipient, waits.alternatives, waits.attempt, waits.first_id) == (OTHER, [PERSON], 2, "call_1")
    assert unfinished == []
    assert cancelled == [waits.id]
    assert [job.id for job in finished] == ["job_1"]


async def answered(database: Database, *delays: int | None, by: str = "human") -> None:
    """End a call to somebody who heard the message so late."""
    made = [
        call(100 + at, status="answered", answered_ms=1, answered_by=by, message_delay_ms=delay)
        for at, delay in enumerate(delays)
    ]
    await database.write(lambda tx: tx.many("calls_insert", [to_row(each) for each in made]))
    for each in made:
        await database.write(lambda tx, each=each: calls.ended(tx, each.id, "completed", now_ms()))


async def sweep(database: Database, **abandonment: Any) -> str:
    settings = Settings(abandonment={"least_answered": 4, "share": 0.25} | abandonment)  # type: ignore[arg-type]
    await Housekeeper(database, Signals(), settings, Metrics()).sweep()
    job = await database.read(lambda tx: jobs.get(tx, "acme", "live", "job_1"))
    assert job is not None
    return f"{job.status} {job.reason}".strip()


async def test_a_job_whose_people_hear_the_message_late_pauses_itself_once(database: Database) -> None:
    await keep(database, JOB, call(1), call(2))
    await answered(database, 0, 2000, 2001)
    assert await sweep(database) == "running"  # 1 of 3, and 3 are too few to tell
    await database.write(lambda tx: tx.many("calls_insert", [to_row(call(3, status="answered", answered_ms=1))]))
    await database.write(lambda tx: calls.ended(tx, "call_3", "completed", now_ms()))  # heard nothing at all

    assert await sweep(database) == "paused abandonment"
    heard = await database.read(lambda tx: abandonment.of_job(tx, "job_1"))
    of_tenant = await database.read(lambda tx: abandonment.of_tenant(tx, "acme", "live", now_ms()))
    later = await database.read(lambda tx: abandonment.of_all(tx, now_ms() + 30 * 86_400_000))
    told = (await database.read(lambda tx: events.after(tx, "acme", "live", 0, 99, kind="job.paused")))[-1]["data"]
    assert heard == of_tenant == Heard(answered=4, abandoned=2)
    assert later == Heard(0, 0)
    assert (told["reason"], told["answered"], told["abandoned"]) == ("abandonment", 4, 2)
    assert [each.reason for each in await all_calls(database)] == ["paused", "paused"]

    paused = await database.read(lambda tx: jobs.get(tx, "acme", "live", "job_1"))
    assert paused is not None
    await database.write(lambda tx: jobs.change(tx, paused, "running", now_ms()))
    assert await sweep(database) == "running resumed_in_spite"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("job", "by", "share"), [({"category": "informational"}, "human", 0), ({}, "machine", 0), ({}, "human", 1)]
)
async def test_other_jobs_machines_and_a_guard_that_is_off_pause_nothing(
    database: Database, job: Any, by: str, share: float
) -> None:
    await keep(database, replace(JOB, **job), call(1))
    await answered(database, None, None, None, None, by=by)

    assert await sweep(database, share=share) == "running"
