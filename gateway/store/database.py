"""The database: one writer that commits in groups, a few readers beside it, numbered migrations.

All work is handed in as a function of a `Tx`, so that a state change and its event are one transaction by
construction. Works that arrive while a commit is under way share the next one; each runs in a savepoint of its
own, so one that fails takes nobody with it.
"""

import asyncio
import contextlib
import re
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Self, TypeVar

import aiosql
import aiosqlite

from gateway.errors import StoreNotMigrated, StoreUnavailable

T = TypeVar("T")
Row = sqlite3.Row

_GROUP = 64  # works a commit
_READERS = 3
_BUSY_MS = 5_000
_SQL = resources.files("gateway.store") / "sql"
_MIGRATIONS = resources.files("gateway.store") / "migrations"


def _load_queries() -> dict[str, str]:
    """Every named block; one that says `{things}` stands for messages and for calls."""
    loaded: dict[str, str] = {}
    for file in _SQL.iterdir():
        text = file.read_text(encoding="utf-8")
        for things in ("messages", "calls") if "{things}" in text else ("",):
            queries: Any = aiosql.from_str(
                text.replace("{things}", things),
                "aiosqlite",
                mandatory_parameters=False,
            )
            loaded |= {name: getattr(queries, name).sql for name in queries.available_queries if hasattr(queries, name)}
    return loaded


class Tx:
    """One transaction. Statements are named blocks of `store/sql`; a list parameter becomes an IN list."""

    def __init__(self, connection: aiosqlite.Connection, queries: dict[str, str]) -> None:
        self._connection = connection
        self._queries = queries

    async def rows(self, name: str, /, **params: Any) -> list[Row]:
        """Run the query `name` and return every row."""
        sql, flat = _expand(self._queries[name], params)
        async with self._connection.execute(sql, flat) as cursor:
            return list(await cursor.fetchall())

    async def row(self, name: str, /, **params: Any) -> Row | None:
        """Run the query `name` and return its first row, or None."""
        found = await self.rows(name, **params)
        return found[0] if found else None

    async def value(self, name: str, /, **params: Any) -> Any:
        """Run the query `name` and return the first column of its first row, or None."""
        row = await self.row(name, **params)
        return row[0] if row is not None else None

    async def run(self, name: str, /, **params: Any) -> int:
        """Run the statement `name` and return how many rows it changed."""
        sql, flat = _expand(self._queries[name], params)
        async with self._connection.execute(sql, flat) as cursor:
            return cursor.rowcount

    async def many(self, name: str, rows: Iterable[Any]) -> None:
        """Run the statement `name` once for each of `rows` (dicts, or tuples in its parameters' order)."""
        await (await self._connection.executemany(self._queries[name], rows)).close()


def _expand(sql: str, params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    lists = {name: value for name, value in params.items() if isinstance(value, (list, tuple, set, frozenset))}
    if not lists:
        return sql, params
    flat = {name: value for name, value in params.items() if name not in lists}
    for name, values in lists.items():
        names = [f"{name}__{index}" for index in range(len(values))]
        flat.update(zip(names, values, strict=True))
        sql = re.sub(rf":{name}\b", "(" + ", ".join(f":{each}" for each in names) + ")", sql)
    return sql, flat


class Database:
    """SQLite behind one writer and a few readers. Open with `async with Database.open(path)`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queries = _load_queries()
        self._works: asyncio.Queue[tuple[Callable[[Tx], Awaitable[Any]], asyncio.Future[Any]]] = asyncio.Queue()
        self._readers: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()
        self._opened: list[aiosqlite.Connection] = []
        self._loop_task: asyncio.Task[None] | None = None

    def free_bytes(self) -> int:
        """What is left on the disk that holds it. Raises StoreUnavailable when the disk is not there."""
        try:
            return shutil.disk_usage(self._path.parent).free
        except OSError as error:
            raise StoreUnavailable(error.strerror or str(error)) from error

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, path: Path, *, migrate: bool = False) -> AsyncIterator[Self]:
        """Open the database at `path`, ready for work.

        migrate: bring the schema up to date first. Without it an older schema raises StoreNotMigrated.
        Raises:  StoreUnavailable when the file cannot be opened.
        """
        database = cls(path)
        try:
            await database._start(migrate=migrate)
            yield database
        finally:
            await database._stop()

    async def _start(self, *, migrate: bool) -> None:
        try:
            await asyncio.to_thread(self._try)
            writer = await self._connect()
            await _bring_up_to_date(writer, apply=migrate)
            for _ in range(_READERS):
                reader = await self._connect()
                await reader.execute("PRAGMA query_only = ON")
                self._readers.put_nowait(reader)
        except sqlite3.Error as error:
            raise StoreUnavailable(str(error)) from error
        self._loop_task = asyncio.create_task(self._write_loop(writer), name="store-writer")

    def _try(self) -> None:
        """Open the file once, plainly: aiosqlite leaves a thread behind that outlives the loop where it cannot."""
        sqlite3.connect(self._path).close()

    async def _connect(self) -> aiosqlite.Connection:
        connection = await aiosqlite.connect(self._path, isolation_level=None)
        self._opened.append(connection)
        connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", f"busy_timeout = {_BUSY_MS}"):
            await connection.execute(f"PRAGMA {pragma}")
        return connection

    async def _stop(self) -> None:
        if self._loop_task is not None:
            await self._works.join()  # what was asked for is finished before the door closes
            self._loop_task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loop_task
        for connection in self._opened:
            await connection.close()

    async def write(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        """Run `work` in a transaction; returns its result once that is on disk.

        Whatever `work` raises is raised here, with nothing of it kept. It may share its commit with others, so it
        must do nothing but database work.
        Raises: StoreUnavailable when the commit failed (a full disk, say): nothing was kept.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._works.put_nowait((work, done))
        return await done

    async def read(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        """Run `work` on a reading connection, which sees what was committed when its first statement began."""
        reader = await self._readers.get()
        try:
            return await work(Tx(reader, self._queries))
        except sqlite3.Error as error:
            raise StoreUnavailable(str(error)) from error
        finally:
            self._readers.put_nowait(reader)

    async def _write_loop(self, writer: aiosqlite.Connection) -> None:
        tx = Tx(writer, self._queries)
        while True:
            group = [await self._works.get()]
            while len(group) < _GROUP and not self._works.empty():
                group.append(self._works.get_nowait())
            try:
                await self._commit(writer, tx, group)
            finally:
                for _ in group:
                    self._works.task_done()

    async def _commit(
        self,
        writer: aiosqlite.Connection,
        tx: Tx,
        group: Sequence[tuple[Callable[[Tx], Awaitable[Any]], asyncio.Future[Any]]],
    ) -> None:
        results: list[tuple[asyncio.Future[Any], Any]] = []
        try:
            await writer.execute("BEGIN IMMEDIATE")
            for work, done in group:
                await self._in_savepoint(writer, tx, work, done, results)
            await writer.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                await writer.execute("ROLLBACK")
            for _, done in group:
                if not done.done():
                    done.set_exception(StoreUnavailable(str(error)))
            return
        for done, result in results:
            if not done.done():
                done.set_result(result)

    @staticmethod
    async def _in_savepoint(
        writer: aiosqlite.Connection,
        tx: Tx,
        work: Callable[[Tx], Awaitable[Any]],
        done: asyncio.Future[Any],
        results: list[tuple[asyncio.Future[Any], Any]],
    ) -> None:
        await writer.execute("SAVEPOINT work")
        try:
            result = await work(tx)
        except sqlite3.OperationalError:
            raise  # the disk, not the work: nobody in this group can be kept
        except Exception as error:  # noqa: BLE001 - it belongs to whoever handed the work in
            await writer.execute("ROLLBACK TO work")
            if not done.done():
                done.set_exception(error)
        else:
            results.append((done, result))
        await writer.execute("RELEASE work")


async def _bring_up_to_date(connection: aiosqlite.Connection, *, apply: bool) -> None:
    async with connection.execute("PRAGMA user_version") as cursor:
        row = await cursor.fetchone()
    version = int(row[0]) if row else 0
    waiting = [item for item in migrations() if item[0] > version]
    if waiting and not apply:
        raise StoreNotMigrated(version, waiting[-1][0])
    for number, sql in waiting:
        script = sql.replace("IDENTITY,", "INTEGER PRIMARY KEY AUTOINCREMENT,")
        await connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")


def migrations() -> list[tuple[int, str]]:
    """Every migration as (number, SQL), in order."""
    files = sorted((item for item in _MIGRATIONS.iterdir() if item.name.endswith(".sql")), key=lambda item: item.name)
    return [(int(item.name.split("_", 1)[0]), item.read_text(encoding="utf-8")) for item in files]
