"""Takes the people of a job into the database, all or none: at once where they are few, in blocks where they are many.

See `store.loads` for why.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

import structlog

from gateway.api.operation import Answer, Call
from gateway.api.people import People
from gateway.clock import new_id
from gateway.errors.store import StoreUnavailable
from gateway.model.job import Job
from gateway.store import jobs, loads
from gateway.store.database import Tx

_AT_ONCE: Final = 8  # blocks of a thousand a transaction
_AGAIN_S: Final = 0.05
_log = structlog.get_logger(__name__)

# Writes the job's change and makes the answer; also gives the columns that all rows have in common.
Accept: TypeAlias = Callable[[Tx], Awaitable[tuple[Answer, Mapping[str, Any]]]]
# Takes those out of the blocks with these numbers who are in the job already.
Screen: TypeAlias = Callable[[Tx, Iterable[int]], Awaitable[None]]


class _OtherUploadError(Exception):
    """Another upload into this job is under way; who is in it is known when that is over."""


async def load(call: Call, job: Job, people: People, accept: Accept, screen: Screen | None = None) -> Answer:
    """Keep these people of a job. When this returns, all of them are rows, or all of them will be.

    Whatever `accept` and `screen` raise is raised here, with nothing of it kept; and StoreUnavailable.
    """
    if len(people.blocks) > 1:
        return await _in_blocks(call, job, people, accept, screen)
    while True:
        try:
            return await call.create(lambda tx: _at_once(tx, job, people, accept, screen))
        except _OtherUploadError:
            await asyncio.sleep(_AGAIN_S)


async def _at_once(tx: Tx, job: Job, people: People, accept: Accept, screen: Screen | None) -> Answer:
    if screen is not None:
        if await loads.is_loading(tx, job.id):
            raise _OtherUploadError
        await screen(tx, range(len(people.blocks)))
    answer, base = await accept(tx)
    for chunk in people.chunks():
        await loads.insert(tx, jobs.things_of(job), base, chunk)
    return answer


async def _in_blocks(call: Call, job: Job, people: People, accept: Accept, screen: Screen | None) -> Answer:
    database, load_id = call.doors.database, new_id("load")

    async def accepted(tx: Tx) -> Answer:
        answer, base = await accept(tx)
        await loads.close(tx, load_id, base)
        return answer

    while True:
        if await database.write(lambda tx: loads.begin(tx, load_id, job.id, jobs.things_of(job))):
            break
        await asyncio.sleep(_AGAIN_S)
    try:
        await _stage(call, load_id, people, screen)
        answer = await call.create(accepted)
    finally:
        with contextlib.suppress(StoreUnavailable):  # the housekeeper throws it away
            await asyncio.shield(loads.drop(database, load_id))
    try:
        await loads.fill_quickly(database, load_id)
        await jobs.settle(database, job.id)
    except StoreUnavailable as error:
        _log.error("load_waits", error=str(error))  # it is accepted and on disk: the housekeeper goes on with it
    return answer


async def _stage(call: Call, load_id: str, people: People, screen: Screen | None) -> None:
    database, blocks = call.doors.database, people.blocks
    for first in range(0, len(blocks), _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, len(blocks)))
        if screen is not None:
            await database.read(lambda tx, numbers=numbers: screen(tx, numbers))  # type: ignore[misc]
        staged = [(number, blocks[number]) for number in numbers]
        await database.write(lambda tx, staged=staged: loads.stage(tx, load_id, staged))  # type: ignore[misc]
