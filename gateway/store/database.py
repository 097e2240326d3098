"""The database: one writer that commits in groups, a few readers beside it, numbered migrations.

All work is handed in as a function of a `Tx`, so that a state change and its event are one transaction by
construction. Works that arrive while a commit is under way share the next one; each runs in a savepoint of its
own, so one that fails takes nobody with it. A work awaits nothing but its Tx: on SQLite a whole group runs in the
connection's thread, where there is no event loop.
"""

import asyncio
import contextlib
import importlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar

import structlog

from gateway.errors.store import StoreUnavailable
from gateway.store.bus import Bus
from gateway.store.queries import migrations
from gateway.store.sqlite import InlineSqlite, Sqlite
from gateway.store.tx import CommitUnknown, Engine, Pending, Row, Tx, Work

__all__ = ["Bus", "Database", "Row", "Tx", "Work", "migrations"]

T = TypeVar("T")

_GROUP = 256  # works a commit
_LAST_S = 10.0  # how long closing waits for what was asked for
_log = structlog.get_logger(__name__)


class Database:
    """One writer and a few readers. Open with `async with Database.open(path)`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._works: asyncio.Queue[Pending] = asyncio.Queue()
        self._loop_task: asyncio.Task[None] | None = None
        self._asking: set[asyncio.Task[None]] = set()

    @property
    def bus(self) -> Bus | None:
        """What joins the processes that share this database; None where it is one process's own."""
        return self._engine.bus

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, where: Path | str, *, migrate: bool = False) -> AsyncIterator[Self]:
        """Open a database, ready for work.

        where:   the file of a SQLite database, or the `postgresql://…` of a shared one, with its user and password.
        migrate: bring the schema up to date first. Without it an older schema raises StoreNotMigrated; a newer one
                 is taken as it is, since migrations only add.
        Raises:  StoreUnavailable when it cannot be opened.
        """
        async with cls._running(_engine(where), migrate=migrate) as database:
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
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_S):
                    await self._works.join()  # what was asked for is finished before the door closes
            tasks = (self._loop_task, *self._asking)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            while not self._works.empty():
                self._tell([self._works.get_nowait()], "the gateway stopped")
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
        Raises: StoreUnavailable when the commit failed (a full disk, say): nothing was kept. Where the connection was
                lost in the middle of a commit, this waits until the database says what became of it.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._works.put_nowait(Pending(work, done))
        return await done

    async def aside(self, work: Work[T]) -> T:
        """Run a claim or a lease in a short transaction of its own, which waits for no writer; it writes no events.

        On SQLite, where one transaction writes at a time, it is a work like any other. Whatever is claimed so must come
        back by itself, for on PostgreSQL it may have been kept although its answer was lost.
        Raises: StoreUnavailable.
        """
        return await self._engine.aside(work, self.write)

    async def alone(self, name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `loop` while no other process that shares this database runs one of this name; waits for its turn.

        One whose connection breaks, or that stands still for 10 s, loses its turn: `loop` is cancelled as soon as that
        is noticed, and begun again when the turn comes back. Two may overlap for a moment, so each step of it must be
        harmless twice.
        """
        await self._engine.alone(name, loop)

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a reading connection; each statement sees what was committed when it began.

        Raises: StoreUnavailable.
        """
        return await self._engine.read(work)

    async def _write_loop(self) -> None:
        while True:
            await self._commit([await self._works.get()])

    async def _commit(self, group: list[Pending]) -> None:
        def gather() -> list[Pending]:
            while len(group) < _GROUP and not self._works.empty():
                group.append(self._works.get_nowait())
            return group

        try:
            await self._engine.commit(gather)
        except CommitUnknown as lost:
            asking = asyncio.create_task(self._find_out(group, lost))
            self._asking.add(asking)
            asking.add_done_callback(self._asking.discard)
        except asyncio.CancelledError:
            self._tell(group, "the gateway stopped in the middle of a commit")
            raise
        except StoreUnavailable as error:
            self._tell(gather(), error.why)
        except Exception as error:  # noqa: BLE001 - whatever it was, nobody may wait for ever
            _log.exception("commit_failed", error=repr(error))
            self._tell(gather(), repr(error))
        else:
            self._tell(group)

    async def _find_out(self, group: list[Pending], lost: CommitUnknown) -> None:
        """Ask what became of a commit, while other works go on; only then are its callers told."""
        _log.warning("commit_unknown", works=len(group))
        why = "the connection was lost during the commit, and the gateway stopped before anybody knew"
        try:
            why = "" if await lost.was_kept() else "the connection was lost, and the commit with it"
        finally:
            self._tell(group, why)

    def _tell(self, group: list[Pending], why: str = "") -> None:
        """Tell each its own result or error, or (where nothing was kept) why."""
        for each in group:
            if why and each.error is None:
                each.error = StoreUnavailable(why)
            each.tell()
            self._works.task_done()


def _engine(where: Path | str) -> Engine:
    if isinstance(where, Path):
        return Sqlite(where)
    try:
        postgres = importlib.import_module("gateway.store.postgres")
    except ModuleNotFoundError as error:
        raise StoreUnavailable("PostgreSQL needs the extra: pip install 'campaign-gateway[postgresql]'") from error
    engine: Engine = postgres.Postgres(where)
    return engine
