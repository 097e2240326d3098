"""A rolling upgrade of a shared PostgreSQL: the new release has migrated, the old one works on."""

import asyncio
from typing import Any

import asyncpg

from gateway.model.event import Event
from gateway.model.tenant import Tenant
from gateway.store import events, tenants
from gateway.store.database import Database, Tx
from tests.store.test_postgres import add, is_there


async def migrated_further(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("ALTER TABLE tenants ADD COLUMN since TEXT NOT NULL DEFAULT ''")
    await connection.execute("UPDATE schema_version SET version = 99")
    await connection.close()


async def test_a_program_begins_on_a_schema_that_is_newer_than_itself(postgres_url: str) -> None:
    """A rolling upgrade: the new release has migrated, a host of the old one restarts."""
    await migrated_further(postgres_url)

    async with Database.open(postgres_url, migrate=True) as database:
        await database.write(add("good"))
        assert await is_there(database, "good")


async def test_a_migration_under_a_running_program_costs_it_nothing(postgres_url: str) -> None:
    """What it had prepared does not fit the new tables: the transaction is begun again, and nobody hears of it."""
    look: Any = lambda tx: tx.row("tenants_one", id="acme")  # noqa: E731
    async with Database.open(postgres_url) as database:
        await database.write(add("acme"))
        await database.write(look)
        await database.read(look)
        await migrated_further(postgres_url)

        assert (await database.read(look))["id"] == "acme"
        assert (await database.write(look))["since"] == ""
        await database.write(add("good"))


async def test_a_migration_in_the_middle_of_a_group_runs_every_work_of_it_again_and_keeps_each_once(
    postgres_url: str,
) -> None:
    look: Any = lambda tx: tx.row("tenants_one", id="acme")  # noqa: E731
    ran = []

    async def told_while_another_release_migrates(tx: Tx) -> None:
        await events.add(tx, Event("test.told", "acme", "live", "one", 1, {}))
        if not ran:
            await migrated_further(postgres_url)  # commits: nothing of this transaction stands in its way
        ran.append("first")

    async with Database.open(postgres_url) as database:
        await database.write(add("acme"))
        await database.write(look)
        works = (told_while_another_release_migrates, look, add("good"))
        _, row, _ = await asyncio.gather(*map(database.write, works))

        assert ran == ["first", "first"]
        assert row["since"] == ""
        assert await is_there(database, "good")
        told = await database.read(lambda tx: events.after(tx, "acme", "live", 0, 9))
        assert [each["id"] for each in told] == ["one"]


async def test_a_migration_costs_a_claim_nothing(postgres_url: str) -> None:
    async def claim(tx: Tx) -> Any:
        await tenants.add_tenant(tx, Tenant(f"claim {len(begun)}", "", 1))
        begun.append(True)
        return await tx.row("tenants_one", id="acme")

    begun: list[bool] = []
    async with Database.open(postgres_url) as database:
        await database.write(add("acme"))
        await database.aside(claim)
        await migrated_further(postgres_url)

        assert (await database.aside(claim))["since"] == ""
        kept = [each for each in range(4) if await is_there(database, f"claim {each}")]
        assert (len(begun), kept) == (3, [0, 2])  # the one that met the migration left nothing
