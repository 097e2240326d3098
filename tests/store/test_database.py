"""The writer commits in groups: nobody's failure is another's, and what was answered is on disk."""

import asyncio
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from gateway.errors.store import StoreNotMigrated, StoreUnavailable
from gateway.model.tenant import Tenant
from gateway.store import tenants
from gateway.store.database import Database, Tx, migrations
from gateway.store.sqlite import SqliteTx

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def add(name: str) -> Any:
    return lambda tx: tenants.add_tenant(tx, Tenant(name, name, 1))


async def names(database: Database) -> set[str]:
    async def ask(tx: Tx) -> set[str]:
        found = [await tx.row("tenants_one", id=name) for name in ("acme", "good", "bad")]
        return {row["id"] for row in found if row is not None}

    return await database.read(ask)


@on_sqlite
async def test_what_was_answered_is_on_disk_for_another_reader(database: Database, tmp_path: Path) -> None:
    await database.write(add("good"))

    other = sqlite3.connect(tmp_path / "gateway.db")
    assert other.execute("SELECT count(*) FROM tenants WHERE id = 'good'").fetchone() == (1,)
    other.close()


async def test_a_work_that_fails_takes_nobody_in_its_group_with_it(database: Database) -> None:
    async def bad(tx: Tx) -> None:
        await add("bad")(tx)
        raise RuntimeError("after its first statement")

    results = await asyncio.gather(database.write(bad), database.write(add("good")), return_exceptions=True)

    assert isinstance(results[0], RuntimeError)
    assert results[1] is None
    assert await names(database) == {"acme", "good"}


@on_sqlite
async def test_a_full_disk_is_told_and_nothing_is_kept(database: Database) -> None:
    """SQLite's own page limit stands for the disk: the error is the same SQLITE_FULL."""

    async def pages(tx: SqliteTx) -> int:
        (count,) = tx.connection.execute("PRAGMA page_count").fetchone()
        tx.connection.execute(f"PRAGMA max_page_count = {count + 2}")
        return count

    await database.write(pages)
    rows = [{"actor": "test", "action": "fill", "detail": "x" * 4000, "at_ms": 1} for _ in range(100)]

    with pytest.raises(StoreUnavailable, match="full"):
        await database.write(lambda tx: tx.many("audit_insert", rows))

    async def count(tx: SqliteTx) -> int:
        return tx.connection.execute("SELECT count(*) FROM audit_log").fetchone()[0]

    assert await database.read(count) == 0
    await database.write(add("good"))  # and it goes on as soon as there is room for a row
    assert "good" in await names(database)


@pytest.mark.parametrize("database", ["sqlite", "inline"], indirect=True)
async def test_a_work_that_waits_for_anything_but_its_transaction_is_refused_alone(database: Database) -> None:
    async def waits(tx: Tx) -> None:
        await add("bad")(tx)
        await asyncio.sleep(0)

    results = await asyncio.gather(database.write(waits), database.write(add("good")), return_exceptions=True)

    assert "nothing but its Tx" in str(results[0])
    assert await names(database) == {"acme", "good"}
    with pytest.raises(RuntimeError, match="nothing but its Tx"):
        await database.read(lambda _tx: asyncio.sleep(0))


async def test_a_reading_work_cannot_write(database: Database) -> None:
    with pytest.raises(StoreUnavailable, match="read"):
        await database.read(add("bad"))

    assert await names(database) == {"acme"}


async def test_a_claim_made_aside_is_seen_at_once(database: Database) -> None:
    await database.aside(add("good"))

    assert await names(database) == {"acme", "good"}


async def test_a_caller_that_gives_up_does_not_stop_the_others(database: Database) -> None:
    impatient = asyncio.create_task(database.write(add("bad")))
    await asyncio.sleep(0)
    impatient.cancel()

    await database.write(add("good"))

    assert "good" in await names(database)


async def test_an_older_schema_is_refused_until_it_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    path.touch()

    with pytest.raises(StoreNotMigrated, match="gateway migrate"):
        async with Database.open(path):
            pass
    async with Database.open(path, migrate=True):
        pass
    async with Database.open(path):
        pass


async def test_a_folder_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"gateway\.db: unable to open"):
        async with Database.open(tmp_path / "nowhere" / "gateway.db", migrate=True):
            pass


async def test_who_only_looks_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"gateway\.db: there is no such file"):
        async with Database.open(tmp_path / "gateway.db"):
            pass
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [number for number, _ in migrations()] == list(range(1, len(migrations()) + 1))
