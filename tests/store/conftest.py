"""Real databases, each new: the same contract holds on every kind of them."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.model.tenant import Tenant
from gateway.store import tenants
from gateway.store.database import Database
from gateway.store.sqlite import InlineSqlite


@pytest.fixture(scope="session")
def template() -> sqlite3.Connection:
    """An empty database in memory, migrated once."""
    return InlineSqlite.template()


@pytest.fixture(params=["sqlite", "inline", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    opened: Any = {
        "sqlite": lambda: Database.open(tmp_path / "gateway.db", migrate=True),
        "inline": lambda: Database.inline(request.getfixturevalue("template")),
        "postgres": lambda: Database.open(request.getfixturevalue("postgres_url")),
    }[request.param]()
    async with opened as database:
        await database.write(lambda tx: tenants.add_tenant(tx, Tenant("acme", "Acme Water", 1)))
        yield database


@pytest.fixture
async def shared(postgres_url: str) -> AsyncIterator[tuple[Database, Database]]:
    """One database, as two processes have it."""
    async with Database.open(postgres_url) as one, Database.open(postgres_url) as two:
        await one.write(lambda tx: tenants.add_tenant(tx, Tenant("acme", "Acme Water", 1)))
        yield one, two
