"""The database: one writer that commits in groups, a few readers beside it, numbered migrations.

All work is handed in as a function of a `Tx`, so that a state change and its event are one transaction by
construction. Works that arrive while a commit is under way share the next one; each runs in a savepoint of its
own, so one that fails takes nobody with it. A work awaits nothing but its Tx: on SQLite a whole group runs in the
connection's thread, where there is no event loop.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self, TypeVar

import structlog

from gateway.errors import StoreUnavailable
from gateway.store.queries import migrations
from gateway.store.sqlite import InlineSqlite, Sqlite
from gateway.store.tx import Engine, Pending, Row, Tx, Work

__all__ = ["Database", "Row", "Tx", "Work", "migrations"]

T = TypeVar("T")

_GROUP = 256  # works a commit
_log = structlog.get_logger(__name__)


class Database:
    """One writer and a few readers. Open with `async with Database.open(path)`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._works: asyncio.Queue[Pending] = asyncio.Queue()
        self._loop_task: asyncio.Task[None] | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, path: Path, *, migrate: bool = False) -> AsyncIterator[Self]:
        """Open the database at `path`, ready for work.

        migrate: bring the schema up to date first. Without it an older schema raises StoreNotMigrated.
        Raises:  StoreUnavailable when the file cannot be opened.
        """
        async with cls._running(Sqlite(path), migrate=migrate) as database:
            yield database

    @classmethod
    @contextlib.asynccontextmanager
    async def inline(cls, template: sqlite3.Connection | None = None) -> AsyncIterator[Self]:
        """Open a database in memory that uses no thread: for a simulation, whose clock no thread would follow.

        template: `InlineSqlite.template()`, made once for many databases, or a copy of one with rows in it.
        """
        async with cls._running(InlineSqlite(template or InlineSqlite.template()), migrate=True) as database:
            yield database

    @classmethod
    @contextlib.asynccontextmanager
    async def _running(cls, engine: Engine, *, migrate: bool) -> AsyncIterator[Self]:
        database = cls(engine)
        try:
            await engine.start(migrate=migrate)
            database._loop_task = asyncio.create_task(database._write_loop(), name="store-writer")
            yield database
        finally:
            await database._stop()

    async def _stop(self) -> None:
        if self._loop_task is not None:
            await self._works.join()  # what was asked for is finished before the door closes
            self._loop_task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loop_task
        await self._engine.stop()

    def free_bytes(self) -> int | None:
        """What is left on the disk that holds it; None where that is not this machine's to say.

        Raises: StoreUnavailable when the disk is not there.
        """
        return self._engine.free_bytes()

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction; returns its result once that is on disk.

        Whatever `work` raises is raised here, with nothing of it kept. It may share its commit with others, so it
        must do nothing but database work, and await nothing but its Tx.
        Raises: StoreUnavailable when the commit failed (a full disk, say): nothing was kept.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._works.put_nowait(Pending(work, done))
        return await done

    async def aside(self, work: Work[T]) -> T:
        """Run a claim or a lease in a short transaction of its own, which waits for no writer; it writes no events.

        On SQLite, where one transaction writes at a time, it is a work like any other.
        Raises: StoreUnavailable.
        """
        return await self.write(work)

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a reading connection; each statement sees what was committed when it began.

        Raises: StoreUnavailable.
        """
        return await self._engine.read(work)

    async def _write_loop(self) -> None:
        while True:
            group = [await self._works.get()]
            try:
                await self._commit(group)
            finally:
                for _ in group:
                    self._works.task_done()

    async def _commit(self, group: list[Pending]) -> None:
        def gather() -> list[Pending]:
            while len(group) < _GROUP and not self._works.empty():
                group.append(self._works.get_nowait())
            return group

        try:
            await self._engine.commit(gather)
        except Exception as error:  # noqa: BLE001 - whatever it was, nobody may wait for ever
            if not isinstance(error, StoreUnavailable):
                _log.exception("commit_failed", error=repr(error))
            why = error.why if isinstance(error, StoreUnavailable) else repr(error)
            for each in gather():
                each.error = each.error or StoreUnavailable(why)
        for each in group:
            each.tell()
