"""A large upload is kept whole or not at all, and holds nobody up for long."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.clock import now_ms
from gateway.errors.store import StoreUnavailable
from gateway.metrics import Metrics
from gateway.model.job import Job
from gateway.model.message import Message
from gateway.settings import Settings
from gateway.store import jobs, lives, loads
from gateway.store.database import Database
from gateway.store.records import to_row
from gateway.store.signals import Signals
from gateway.workers.housekeeper import Housekeeper

SENDER = "+18005550199"
JOB = Job("job_1", "acme", "live", "sms", SENDER, {})
BASE = to_row(Message("", "acme", "live", SENDER, "", "", "", 0, job_id="job_1"))


def block(first: int, size: int = 50) -> bytes:
    return orjson.dumps([[f"+1212{n:07}", f"ref-{n}", n, 1, "Hello", "gsm7", ""] for n in range(first, first + size)])


async def staged(database: Database, blocks: int = 3) -> None:
    assert await database.write(lambda tx: loads.begin(tx, "load_1", "job_1", "messages"))
    await database.write(lambda tx: loads.stage(tx, "load_1", [(n, block(2_000_000 + 50 * n)) for n in range(blocks)]))


async def accepted(database: Database) -> None:
    async def accept(tx: Any) -> None:
        await jobs.accept(tx, JOB)
        await loads.close(tx, "load_1", BASE)

    await database.write(accept)


async def states(database: Database) -> Any:
    return (await database.read(lambda tx: lives.counts(tx, "messages", "job_1")))["by_state"]


async def sweep(database: Database) -> None:
    await Housekeeper(database, Signals(), Settings(), Metrics()).sweep()


async def long_ago(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that worked on the upload was killed a minute ago."""
    monkeypatch.setattr(loads, "now_ms", lambda: now_ms() + 60_000)


async def test_nothing_of_an_upload_is_a_row_before_it_is_accepted_and_all_is_afterwards(database: Database) -> None:
    await staged(database)
    assert await states(database) == {}

    await accepted(database)
    await loads.fill(database, "load_1")

    assert await states(database) == {"queued": 150}
    rows = await database.read(lambda tx: lives.queued(tx, "messages", SENDER, "live", 200))
    assert [row["reference"] for row in rows] == [f"ref-{n}" for n in range(2_000_000, 2_000_150)]
    assert not await database.read(lambda tx: loads.is_loading(tx, "job_1"))


async def test_what_a_killed_process_left_of_an_accepted_upload_becomes_rows(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await staged(database)
    await accepted(database)
    assert await loads.fill(database, "load_1", 1)
    await sweep(database)
    assert await states(database) == {"queued": 50}  # its process may be at work on it

    await long_ago(database, monkeypatch)
    await sweep(database)

    assert await states(database) == {"queued": 150}


async def test_what_was_never_accepted_is_thrown_away_and_frees_its_job(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await staged(database, blocks=150)
    assert not await database.write(lambda tx: loads.begin(tx, "load_2", "job_1", "messages"))

    await long_ago(database, monkeypatch)
    await sweep(database)

    assert await database.write(lambda tx: loads.begin(tx, "load_2", "job_1", "messages"))
    assert await database.read(lambda tx: tx.rows("load_blocks_numbers", load_id="load_1", limit=9)) == []
    with pytest.raises(StoreUnavailable, match="given up"):
        await accepted(database)
    assert await states(database) == {}


async def test_an_accepted_upload_cannot_be_thrown_away(database: Database) -> None:
    await staged(database)
    await accepted(database)

    await loads.drop(database, "load_1")
    await loads.fill(database, "load_1")

    assert await states(database) == {"queued": 150}


@pytest.mark.parametrize(("change", "ends"), [("paused", {"held": 150}), ("cancelled", {"cancelled": 150})])
async def test_people_who_come_in_after_a_stop_follow_the_others(
    database: Database, change: str, ends: dict[str, int]
) -> None:
    await staged(database)
    await accepted(database)
    assert await loads.fill(database, "load_1", 1)
    await database.write(lambda tx: jobs.change(tx, JOB, change, 5))

    await loads.fill(database, "load_1")
    assert await database.read(lambda tx: lives.queued(tx, "messages", SENDER, "live", 200)) == []
    await sweep(database)

    assert await states(database) == ends


async def test_a_job_is_not_complete_while_people_are_on_their_way_in(database: Database) -> None:
    await staged(database)
    await accepted(database)
    await loads.fill(database, "load_1", 1)
    ids = await database.read(lambda tx: lives.of_job(tx, "messages", "job_1", ["queued"], 99))
    await database.write(lambda tx: lives.move(tx, "messages", ids, "expired", 7))

    assert await database.write(lambda tx: jobs.complete_finished(tx, 8)) == 0
    await loads.fill(database, "load_1")
    assert await states(database) == {"expired": 50, "queued": 100}


@pytest.mark.parametrize("change", ["paused", "cancelled"])
async def test_of_a_large_job_nothing_leaves_once_it_was_stopped_though_not_all_have_followed(
    tmp_path: Path, database: Database, change: str
) -> None:
    await database.write(lambda tx: jobs.accept(tx, JOB))
    people = orjson.loads(block(2_000_000, 2_500))
    await database.write(lambda tx: loads.insert(tx, "messages", BASE, people))
    planned = await database.read(lambda tx: lives.queued(tx, "messages", SENDER, "live", 2_500))
    ids = [row["id"] for row in planned]

    await database.write(lambda tx: jobs.change(tx, JOB, change, 5))
    assert (await states(database))["queued"] == 1_500
    assert await database.read(lambda tx: lives.queued(tx, "messages", SENDER, "live", 9)) == []
    assert await database.write(lambda tx: lives.move(tx, "messages", ids, "sending", 6)) == []

    await jobs.settle(database, "job_1")
    assert await states(database) == {"held" if change == "paused" else "cancelled": 2_500}


async def test_a_resumed_large_job_is_queued_again_whole(database: Database) -> None:
    await database.write(lambda tx: jobs.accept(tx, JOB))
    await database.write(lambda tx: loads.insert(tx, "messages", BASE, orjson.loads(block(2_000_000, 2_500))))
    await database.write(lambda tx: jobs.change(tx, JOB, "paused", 5))
    await jobs.settle(database, "job_1")

    await database.write(lambda tx: jobs.change(tx, JOB, "running", 6))
    await sweep(database)

    assert await states(database) == {"queued": 2_500}


async def test_others_are_not_held_up_by_an_upload(database: Database) -> None:
    assert await database.write(lambda tx: loads.begin(tx, "load_1", "job_1", "messages"))
    await database.write(
        lambda tx: loads.stage(tx, "load_1", [(n, block(2_000_000 + n * 1000, 1000)) for n in range(12)])
    )
    await accepted(database)
    filling = asyncio.create_task(loads.fill_quickly(database, "load_1"))
    commits = 0
    while not filling.done():
        await database.write(lambda tx: tx.value("epoch_now"))
        commits += 1

    assert commits >= 8
