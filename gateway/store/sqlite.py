"""SQLite: one writing connection and a few readers, each with a thread; one hop to it for a whole group of works."""

import asyncio
import contextlib
import re
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from gateway import steps
from gateway.errors.store import StoreNotMigrated, StoreUnavailable
from gateway.store.queries import load, migrations
from gateway.store.tx import Pending, Row, Tx, Work, finished

T = TypeVar("T")

_READERS = 3
_BUSY_MS = 5_000
_LISTS = frozenset({list, tuple, set, frozenset})
_STATEMENTS = 512  # kept prepared by a connection; lists of different lengths are different statements
_PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", f"busy_timeout = {_BUSY_MS}")


def queries() -> dict[str, str]:
    """The named blocks without the words that SQLite does not know: with one writer there is nothing to skip."""
    return {name: sql.replace("FOR UPDATE SKIP LOCKED", "") for name, sql in load().items()}


class SqliteTx(Tx):
    """A transaction whose statements never wait: it is used in the connection's own thread."""

    def __init__(self, connection: sqlite3.Connection, named: dict[str, str]) -> None:
        self.connection = connection
        self._queries = named

    async def rows(self, name: str, /, **params: Any) -> list[Row]:  # noqa: D102 - as Tx says
        return self.connection.execute(*_spread(self._queries[name], params)).fetchall()

    async def run(self, name: str, /, **params: Any) -> int:  # noqa: D102 - as Tx says
        return self.connection.execute(*_spread(self._queries[name], params)).rowcount

    async def many(self, name: str, rows: Iterable[Any]) -> None:  # noqa: D102 - as Tx says
        self.connection.executemany(self._queries[name], rows)


def _spread(sql: str, params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Write each list parameter as an IN list. `params` may be changed: it is the call's own."""
    for name in [name for name, value in params.items() if value.__class__ in _LISTS]:
        values = params.pop(name)
        sql, names = _written_out(sql, name, len(values))
        params.update(zip(names, values, strict=True))
    return sql, params


@lru_cache(maxsize=_STATEMENTS)
def _written_out(sql: str, name: str, count: int) -> tuple[str, list[str]]:
    names = [f"{name}__{index}" for index in range(count)]
    return re.sub(rf":{name}\b", "(" + ", ".join(f":{each}" for each in names) + ")", sql), names


def commit_group(tx: SqliteTx, group: Iterable[Pending]) -> None:
    """Run works in one transaction, each in a savepoint. Raises StoreUnavailable: nothing was kept."""
    execute = tx.connection.execute
    try:
        execute("BEGIN IMMEDIATE")
        for pending in group:
            _in_savepoint(tx, pending)
        steps.reached("commit:before")
        execute("COMMIT")
        steps.reached("commit:after")
    except sqlite3.Error as error:
        with contextlib.suppress(sqlite3.Error):
            execute("ROLLBACK")
        raise StoreUnavailable(str(error)) from error


def _in_savepoint(tx: SqliteTx, pending: Pending) -> None:
    tx.connection.execute("SAVEPOINT work")
    try:
        pending.result = finished(pending.work, tx)
    except sqlite3.OperationalError:
        raise  # the disk, not the work: nobody in this group can be kept
    except Exception as error:  # noqa: BLE001 - it belongs to whoever handed the work in
        tx.connection.execute("ROLLBACK TO work")
        pending.error = error
    tx.connection.execute("RELEASE work")


def bring_up_to_date(connection: sqlite3.Connection, *, apply: bool) -> None:
    """Apply the migrations that are missing. Raises StoreNotMigrated where there are some and `apply` is false."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    waiting = [item for item in migrations() if item[0] > version]
    if waiting and not apply:
        raise StoreNotMigrated(version, waiting[-1][0])
    for number, sql in waiting:
        script = sql.replace("IDENTITY,", "INTEGER PRIMARY KEY AUTOINCREMENT,")
        connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")


class _Connection(aiosqlite.Connection):
    """An aiosqlite connection that runs a whole function in its thread, instead of a hop a statement."""

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        result: T = await self._execute(function, self._conn)  # type: ignore[no-untyped-call]
        return result


class Sqlite:
    """The engine of a database in a file."""

    bus = None

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queries = queries()
        self._readers: asyncio.Queue[_Connection] = asyncio.Queue()
        self._opened: list[_Connection] = []

    async def start(self, *, migrate: bool) -> None:
        """Open the writer and the readers: see Engine."""
        try:
            await asyncio.to_thread(self._try, make=migrate)
            writer = await self._connect()
            await writer.run(partial(bring_up_to_date, apply=migrate))
            for _ in range(_READERS):
                reader = await self._connect()
                await reader.execute("PRAGMA query_only = ON")
                self._readers.put_nowait(reader)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{self._path}: {error}") from error

    def _try(self, *, make: bool) -> None:
        """Open the file once, plainly: aiosqlite leaves a thread behind that outlives the loop where it cannot.

        make: whether one that is not there is made. Who only looks leaves nothing behind.
        """
        if not make and not self._path.exists():
            raise StoreUnavailable(f"{self._path}: there is no such file; `gateway serve` makes it")
        sqlite3.connect(self._path).close()

    async def _connect(self) -> _Connection:
        connect = partial(sqlite3.connect, self._path, isolation_level=None, cached_statements=_STATEMENTS)
        connection = _Connection(connect, 1)
        await connection
        self._opened.append(connection)
        connection.row_factory = sqlite3.Row
        for pragma in _PRAGMAS:
            await connection.execute(f"PRAGMA {pragma}")
        return connection

    async def stop(self) -> None:
        """Close every connection."""
        for connection in self._opened:
            await connection.close()

    async def commit(self, gather: Callable[[], list[Pending]]) -> None:
        """One hop for the group: see Engine."""
        group = gather()
        await self._opened[0].run(lambda connection: commit_group(SqliteTx(connection, self._queries), group))

    async def aside(self, work: Work[T], write: Callable[[Work[T]], Awaitable[T]]) -> T:
        """A work like any other: see Engine."""
        return await write(work)

    async def alone(self, _name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """There is no other process: see Engine."""
        await loop()

    async def read(self, work: Work[T]) -> T:
        """One hop for the whole work: see Engine."""
        reader = await self._readers.get()
        try:
            return await reader.run(lambda connection: finished(work, SqliteTx(connection, self._queries)))
        except sqlite3.Error as error:
            raise StoreUnavailable(str(error)) from error
        finally:
            self._readers.put_nowait(reader)

    def free_bytes(self) -> int:
        """What is left on the disk that holds the file: see Engine."""
        try:
            return shutil.disk_usage(self._path.parent).free
        except OSError as error:
            raise StoreUnavailable(error.strerror or str(error)) from error


class InlineSqlite:
    """The engine of a database in memory, without a thread: each work runs at once, in whoever commits or reads.

    template: a migrated database to begin as a copy of (`InlineSqlite.template()`), which takes about a millisecond.
    """

    bus = None

    def __init__(self, template: sqlite3.Connection) -> None:
        self._template = template
        self._queries = queries()
        self._connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=_STATEMENTS)
        self._connection.row_factory = sqlite3.Row
        self._tx = SqliteTx(self._connection, self._queries)

    @staticmethod
    def template() -> sqlite3.Connection:
        """Make an empty database in memory, with the newest schema."""
        connection = sqlite3.connect(":memory:", isolation_level=None)
        bring_up_to_date(connection, apply=True)
        return connection

    async def start(self, *, migrate: bool) -> None:
        """Copy the template: see Engine."""
        self._template.backup(self._connection)
        bring_up_to_date(self._connection, apply=migrate)
        self._connection.execute("PRAGMA foreign_keys = ON")

    async def stop(self) -> None:
        """Forget everything."""
        self._connection.close()

    async def commit(self, gather: Callable[[], list[Pending]]) -> None:
        """Run the group here and now: see Engine."""
        commit_group(self._tx, gather())

    async def aside(self, work: Work[T], write: Callable[[Work[T]], Awaitable[T]]) -> T:
        """A work like any other: see Engine."""
        return await write(work)

    async def alone(self, _name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """There is no other process: see Engine."""
        await loop()

    async def read(self, work: Work[T]) -> T:
        """Run the work here and now: see Engine."""
        self._connection.execute("PRAGMA query_only = ON")
        try:
            return finished(work, self._tx)
        except sqlite3.Error as error:
            raise StoreUnavailable(str(error)) from error
        finally:
            self._connection.execute("PRAGMA query_only = OFF")

    def free_bytes(self) -> None:
        """Memory has no disk: see Engine."""
        return
