"""A SQLite database that somebody else keeps locked, so that a gateway cannot write."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from gateway.store.database import Database


@contextlib.asynccontextmanager
async def locked(database: Database, path: Path) -> AsyncIterator[Callable[[], object]]:
    """Hold its write lock, which `database` waits 20 ms for, until what is yielded is called."""

    async def impatient(tx: Any) -> None:
        tx.connection.execute("PRAGMA busy_timeout = 20")

    await database.write(impatient)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield lambda: other.execute("ROLLBACK")
