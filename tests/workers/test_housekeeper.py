"""What time alone brings about."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import now_ms
from gateway.metrics import Metrics
from gateway.model.job import Job
from gateway.model.message import Message
from gateway.model.tenant import Tenant
from gateway.settings import Settings
from gateway.store import jobs, lives, tenants
from gateway.store.database import Database
from gateway.store.records import to_row
from gateway.store.signals import Signals
from gateway.workers.housekeeper import Housekeeper

SENDER, HOUR = "+18005550199", 3_600_000


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database.open(tmp_path / "gateway.db", migrate=True) as database:
        await database.write(lambda tx: tenants.add_tenant(tx, Tenant("acme", "Acme", 1)))
        yield database


async def keep(database: Database, **fields: Any) -> str:
    message = Message("msg_1", "acme", "live", SENDER, "+12125551234", "Hi", "gsm7", 1, **fields)
    await database.write(lambda tx: tx.many("messages_insert", [to_row(message)]))
    return message.id


async def swept(database: Database) -> Any:
    metrics = Metrics()
    await Housekeeper(database, Signals(), Settings(), metrics).sweep()
    return await database.read(lambda tx: tx.row("messages_one", id="msg_1"))


async def swept_empty(database: Database) -> None:
    """A job without people is not complete: they are still to be streamed in."""
    await Housekeeper(database, Signals(), Settings(), Metrics()).sweep()
    assert (await database.read(lambda tx: jobs.get(tx, "acme", "live", "job_1"))).status == "running"


async def test_a_hold_ends_when_its_time_has_come_and_not_before(database: Database) -> None:
    await keep(database, status="held", reason="cap_day", hold_until_ms=now_ms() + HOUR)
    assert (await swept(database))["status"] == "held"

    await database.write(lambda tx: lives.move(tx, "messages", ["msg_1"], "queued", 1))
    await database.write(lambda tx: lives.move(tx, "messages", ["msg_1"], "held", 1, reason="cap_day", until_ms=2))
    row = await swept(database)
    assert (row["status"], row["reason"], row["hold_until_ms"]) == ("queued", "", None)


async def test_a_sweep_that_finds_nothing_due_waits_for_no_writer(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keep(database, status="held", reason="cap_day", hold_until_ms=now_ms() + HOUR, expires_ms=now_ms() + HOUR)
    written: list[object] = []
    write = database.write

    async def counted(work: Any) -> Any:
        written.append(work)
        return await write(work)

    monkeypatch.setattr(database, "write", counted)
    assert (await swept(database))["status"] == "held"
    assert written == []


@pytest.mark.parametrize("status", ["queued", "held"])
async def test_what_waited_too_long_expires(database: Database, status: str) -> None:
    await keep(database, status=status, expires_ms=now_ms() - 1)

    assert (await swept(database))["status"] == "expired"


async def test_silence_for_three_days_is_no_report(database: Database) -> None:
    await keep(database, status="sent", sent_ms=now_ms() - 72 * HOUR - 1)

    assert (await swept(database))["status"] == "no_report"


async def test_silence_for_less_is_not(database: Database) -> None:
    await keep(database, status="sent", sent_ms=now_ms() - 71 * HOUR)

    assert (await swept(database))["status"] == "sent"


async def test_a_job_is_completed_once_nothing_in_it_can_be_sent(database: Database) -> None:
    job = Job("job_1", "acme", "live", "sms", SENDER, {}, created_ms=1)
    await database.write(lambda tx: jobs.accept(tx, job))
    await swept_empty(database)
    await keep(database, job_id="job_1")
    await swept(database)
    assert (await database.read(lambda tx: jobs.get(tx, "acme", "live", "job_1"))).status == "running"

    await database.write(lambda tx: lives.move(tx, "messages", ["msg_1"], "cancelled", 1))
    await swept(database)
    done = await database.read(lambda tx: jobs.get(tx, "acme", "live", "job_1"))
    assert done.status == "completed"
    assert done.finished_ms is not None


async def test_states_that_were_entered_are_counted_from_the_log_once(database: Database) -> None:
    keeper = Housekeeper(database, Signals(), Settings(), Metrics())
    await keep(database)
    await database.write(lambda tx: lives.move(tx, "messages", ["msg_1"], "sending", 1))
    seen = await keeper.count(0)
    await database.write(lambda tx: lives.move(tx, "messages", ["msg_1"], "sent", 2))
    await keeper.count(seen)

    counts = {state: keeper.metrics.messages.labels(state)._value.get() for state in ("sending", "sent", "delivered")}
    assert counts == {"sending": 1, "sent": 1, "delivered": 0}
