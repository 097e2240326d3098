"""Published dialplans: a version never changes, and a call is pinned to one."""

import hashlib
from typing import Any

from gateway.store.database import Row, Tx


async def publish(tx: Tx, tenant_id: str, name: str, source: str, now_ms: int, *, tests: str = "") -> int:
    """Keep `source` (already checked) as the newest version of `name`; the same source again is the same version.

    tests: what stands beside it, which it passes; of the same version they are replaced.
    """
    sha256 = hashlib.sha256(source.encode()).hexdigest()
    newest = await tx.row("dialplans_newest", tenant_id=tenant_id, name=name)
    if newest is not None and newest["sha256"] == sha256:
        await tx.run("dialplans_tests", tenant_id=tenant_id, name=name, version=newest["version"], tests=tests)
        return int(newest["version"])
    version = int(newest["version"]) + 1 if newest is not None else 1
    await tx.run(
        "dialplans_insert",
        tenant_id=tenant_id,
        version=version,
        source=source,
        sha256=sha256,
        created_ms=now_ms,
        name=name,
        tests=tests,
    )
    return version


async def source_of(tx: Tx, tenant_id: str, name: str, version: int | None = None) -> tuple[int, str] | None:
    """Version number and source of a plan: that version, or the newest."""
    row: Row | None
    if version is None:
        row = await tx.row("dialplans_newest", tenant_id=tenant_id, name=name)
    else:
        row = await tx.row("dialplans_version", tenant_id=tenant_id, version=version, name=name)
    return (row["version"], row["source"]) if row is not None else None


async def kept_tests(tx: Tx, tenant_id: str, name: str, version: int | None = None) -> str:
    """The tests beside that version of a plan, or beside the newest; empty where there are none."""
    if version is None:
        row = await tx.row("dialplans_newest", tenant_id=tenant_id, name=name)
    else:
        row = await tx.row("dialplans_version", tenant_id=tenant_id, version=version, name=name)
    return str(row["tests"]) if row is not None else ""


async def names(tx: Tx, tenant_id: str) -> list[dict[str, Any]]:
    """Each plan's name, newest version and when that was published."""
    return [dict(row) for row in await tx.rows("dialplans_all", tenant_id=tenant_id)]
