"""The people of a large upload on their way in: as blocks until all of them are on disk, then as rows.

The writer is one, and a hundred thousand rows in one transaction would keep everybody else from it for seconds. So
blocks are written first, a few a transaction, and nothing refers to them. One short transaction accepts them all;
whoever asked then makes rows of them, a block a transaction, and the housekeeper goes on with what a killed process
left. Blocks that were never accepted are thrown away. So of an upload all is kept or nothing, and nothing of it leaves
before it is accepted. See docs/decisions/0011-loading-in-blocks.md.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import orjson

from gateway import steps
from gateway.clock import new_id, now_ms
from gateway.errors.store import StoreUnavailable
from gateway.store.database import Database, Tx
from gateway.store.signals import Things

# One person: number, reference, line, units (segments, or 1 for a call), and what the channel adds (text,
# encoding and network; or variables and other numbers, both as JSON).
Person: TypeAlias = list[Any]

_COLUMNS: Final[dict[str, tuple[tuple[str, int], ...]]] = {
    "messages": (("recipient", 0), ("reference", 1), ("segments", 3), ("body", 4), ("encoding", 5), ("network", 6)),
    "calls": (("recipient", 0), ("reference", 1), ("variables", 4), ("alternatives", 5)),
}
# Columns that the release before did not know: uploads may have been begun there.
_ADDED: Final[dict[str, dict[str, Any]]] = {
    "messages": {},
    "calls": {"attempt": 1, "first_id": None, "alternatives": "[]", "tried": "{}", "message_delay_ms": None},
}
_KIND: Final = {"messages": "msg", "calls": "call"}
_DROPPED_AT_ONCE: Final = 64  # blocks a transaction
_HALF_A_BLOCK_S: Final = 0.01
_GONE_AFTER_MS: Final = 30_000  # an upload writes its blocks milliseconds apart
_LEFT_AFTER_MS: Final = 5_000  # rows too


def _rows(things: Things, base: Mapping[str, Any], people: Iterable[Person]) -> Iterator[Mapping[str, Any]]:
    """Parameters of the insert. One mapping, filled anew for each person: it is bound before the next is asked for."""
    row, kind, columns = {**_ADDED[things], **base}, _KIND[things], _COLUMNS[things]
    for person in people:
        if len(person) <= columns[-1][1]:  # staged by the release before, which knew fewer columns
            columns = tuple(each for each in columns if each[1] < len(person))
        row["id"] = new_id(kind)
        for name, place in columns:
            row[name] = person[place]
        yield row


async def insert(tx: Tx, things: Things, base: Mapping[str, Any], people: Iterable[Person]) -> None:
    """Keep these people's messages or calls. `base` has the columns that are the same for all, as `to_row` gives."""
    await tx.many(f"{things}_insert", _rows(things, base, people))


async def is_loading(tx: Tx, job_id: str) -> bool:
    """Whether an upload into this job is under way: who is in the job is known only when it is over."""
    return await tx.row("loads_of_job", job_id=job_id) is not None


async def begin(tx: Tx, load_id: str, job_id: str, things: Things) -> bool:
    """Begin an upload into a job. False: another one is under way; try again later."""
    return await tx.row("loads_begin", id=load_id, job_id=job_id, things=things, now_ms=now_ms()) is not None


async def stage(tx: Tx, load_id: str, blocks: Iterable[tuple[int, bytes]]) -> None:
    """Keep blocks of people, each a JSON list of `Person`, under their numbers."""
    rows = [{"load_id": load_id, "number": number, "people": block.decode()} for number, block in blocks]
    await tx.many("load_blocks_insert", rows)
    await tx.run("loads_touch", id=load_id, now_ms=now_ms())


async def close(tx: Tx, load_id: str, base: Mapping[str, Any]) -> None:
    """Accept all that was staged, in the transaction that accepts the job.

    Raises: StoreUnavailable when this process was away for so long that the upload was given up.
    """
    row = await tx.row("loads_close", id=load_id, base=orjson.dumps(dict(base)).decode(), now_ms=now_ms())
    if row is None:
        raise StoreUnavailable("the upload took too long and was given up")


async def drop(database: Database, load_id: str) -> None:
    """Throw away what was staged, unless it was accepted."""
    while await database.write(lambda tx: _drop_some(tx, load_id)):
        pass


async def _drop_some(tx: Tx, load_id: str) -> bool:
    load = await tx.row("loads_one", id=load_id)
    if load is None or load["whole"]:
        return False
    rows = await tx.rows("load_blocks_numbers", load_id=load_id, limit=_DROPPED_AT_ONCE)
    if rows:
        await tx.run("load_blocks_delete", load_id=load_id, numbers=[row["number"] for row in rows])
    else:
        await tx.run("loads_delete", id=load_id)
    return bool(rows)


async def fill(database: Database, load_id: str, most: int | None = None) -> bool:
    """Make rows of an accepted upload, at most `most` blocks of it. Returns whether more is left."""
    made = 0
    while most is None or made < most:
        steps.reached("load:before")
        is_more = await database.write(lambda tx: _fill_one(tx, load_id))
        steps.reached("load:after")
        if not is_more:
            return False
        made += 1
    return True


async def fill_quickly(database: Database, load_id: str) -> None:
    """Make rows of all of it. Two take turns: while one's block is written, the other's waits next in line."""

    async def second() -> None:
        await asyncio.sleep(_HALF_A_BLOCK_S)
        await fill(database, load_id)

    await asyncio.gather(fill(database, load_id), second())


async def _fill_one(tx: Tx, load_id: str) -> bool:
    """Make rows of one block. False: there was none left."""
    load = await tx.row("loads_one", id=load_id)
    if load is None:
        return False
    block = await tx.row("load_blocks_next", load_id=load_id)
    if block is None:
        await tx.run("loads_delete", id=load_id)
        return False
    await insert(tx, load["things"], orjson.loads(load["base"]), orjson.loads(block["people"]))
    if await tx.value("jobs_status", id=load["job_id"]) != "running":
        await tx.run("job_changes_put", job_id=load["job_id"])  # these are to follow the others: see `jobs.settle`
    await tx.run("load_blocks_delete", load_id=load_id, numbers=[block["number"]])
    await tx.run("loads_touch", id=load_id, now_ms=now_ms())
    return True


async def left(tx: Tx) -> tuple[list[str], list[str]]:
    """Uploads that nobody works on any more: accepted ones still to be filled in, and those to be thrown away."""
    whole = await tx.rows("loads_left", before_ms=now_ms() - _LEFT_AFTER_MS)
    given_up = await tx.rows("loads_given_up", before_ms=now_ms() - _GONE_AFTER_MS)
    return [row["id"] for row in whole], [row["id"] for row in given_up]
