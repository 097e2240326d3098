"""The schema of a PostgreSQL database: brought up to date by one process at a time."""

from typing import Any, Final

from gateway.errors.store import StoreNotMigrated
from gateway.store.postgres_errors import told
from gateway.store.postgres_sql import schema
from gateway.store.queries import migrations

_MIGRATING: Final = 0x67_77_02  # an advisory lock; others are in postgres.py
_MIGRATION_S: Final = 3600.0  # an index over millions of rows, or another process that makes it


async def bring_up_to_date(connection: Any, *, apply: bool) -> None:
    """Apply the migrations that are missing. Raises StoreNotMigrated where there are some and `apply` is false."""
    with told():
        await connection.execute(f"SELECT pg_advisory_lock({_MIGRATING})", timeout=_MIGRATION_S)
        try:
            version = await _version(connection)
            waiting = [item for item in migrations() if item[0] > version]
            if waiting and not apply:
                raise StoreNotMigrated(version, waiting[-1][0])
            for number, sql in waiting:
                async with connection.transaction():
                    await connection.execute(schema(number, sql), timeout=_MIGRATION_S)
        finally:
            await connection.execute(f"SELECT pg_advisory_unlock({_MIGRATING})")


async def _version(connection: Any) -> int:
    if await connection.fetchval("SELECT to_regclass('schema_version') IS NULL"):
        async with connection.transaction():
            await connection.execute("CREATE TABLE schema_version (version INTEGER NOT NULL)")
            await connection.execute("INSERT INTO schema_version (version) VALUES (0)")
    return int(await connection.fetchval("SELECT version FROM schema_version"))
