"""Forgets what has been over for longer than it is to be kept, oldest first, some at a time.

Texts and calls in a final state, the texts people sent, the event log, and jobs of which nothing is left. Never
opt-outs, how they came about, or the audit log.
"""

from functools import partial
from typing import Any, Final

from gateway.clock import first_id
from gateway.model.states import CALL_FINALS, MESSAGE_FINALS
from gateway.store.database import Database, Row, Tx

_TABLES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "messages": ("msg", {"finals": MESSAGE_FINALS}),
    "calls": ("call", {"finals": CALL_FINALS}),
    "inbound": ("in", {}),
    "jobs": ("job", {}),
}


async def forget(database: Database, before_ms: int, limit: int) -> int:
    """Forget what was over before then, at most `limit` rows of each table. Returns how many rows went."""
    gone = await _events(database, before_ms, limit)
    for table in _TABLES:
        if await database.read(partial(_over, table=table, before_ms=before_ms, limit=1)):
            gone += await database.write(partial(_rows, table=table, before_ms=before_ms, limit=limit))
    return gone


async def _over(tx: Tx, table: str, before_ms: int, limit: int) -> list[str]:
    kind, more = _TABLES[table]
    where = {"before": first_id(kind, before_ms), "before_ms": before_ms, "limit": limit, **more}
    return [row["id"] for row in await tx.rows(f"{table}_over", **where)]


async def _rows(tx: Tx, table: str, before_ms: int, limit: int) -> int:
    ids = await _over(tx, table, before_ms, limit)
    if ids and table == "jobs":
        await tx.run("answered_calls_forget", ids=ids)
    return await tx.run(f"{table}_forget", ids=ids) if ids else 0


async def _events(database: Database, before_ms: int, limit: int) -> int:
    """The log from its beginning on, past what is kept of it."""
    after = gone = 0
    while not gone:
        rows = await database.read(partial(_oldest, after=after, limit=limit))
        old = [row["seq"] for row in rows if row["at_ms"] < before_ms]
        if not old:
            break
        gone = await database.write(partial(_events_between, after=after, last=old[-1], before_ms=before_ms))
        after = old[-1]
    return gone


async def _oldest(tx: Tx, after: int, limit: int) -> list[Row]:
    return await tx.rows("events_oldest", after=after, limit=limit)


async def _events_between(tx: Tx, after: int, last: int, before_ms: int) -> int:
    return await tx.run("events_forget", after=after, last=last, before_ms=before_ms)
