"""A real SQLite database in a fresh folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.model.tenant import Tenant
from gateway.store import tenants
from gateway.store.database import Database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database.open(tmp_path / "gateway.db", migrate=True) as database:
        await database.write(lambda tx: tenants.add_tenant(tx, Tenant("acme", "Acme Water", 1)))
        yield database
