"""PostgreSQL: one writing transaction at a time among all processes, readers beside it, claims in transactions apart.

A writer begins, waits for an advisory lock, then gathers its group: so events are numbered in the order of their
commits, and whoever reads on from a number misses none. The lock ends with the commit. A process that stands still in
the middle of it is cut by the server (`idle_in_transaction_session_timeout`), so that nobody waits for it for long.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import asyncpg
import structlog

from gateway import steps
from gateway.clock import monotonic
from gateway.errors.store import StoreUnavailable
from gateway.store.bus import Bus
from gateway.store.postgres_errors import AWAY, is_everybodys, told, why
from gateway.store.postgres_schema import bring_up_to_date
from gateway.store.postgres_sql import Statement, statements
from gateway.store.tx import CommitUnknown, Pending, Row, Tx, Work

T = TypeVar("T")

_WRITER: Final = 0x67_77_01  # advisory locks of this database; postgres_schema has one more
_ALONE: Final = 0x67_77_03
_READERS: Final = 4
_CLAIMERS: Final = 4
_CONNECT_S: Final = 5.0
_ANSWER_S: Final = 30.0  # a statement, or a wait for the writers before us; then the line counts as broken
_LOOK_AGAIN_S: Final = 0.1
_LONGEST_WAIT_S: Final = 2.0
_STILL_MS: Final = "4000"
_STANDS_STILL_MS: Final = "10000"
_SERVER: Final = {
    "application_name": "gateway",
    "idle_in_transaction_session_timeout": _STILL_MS,
    "tcp_user_timeout": _STILL_MS,
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "jit": "off",  # our statements are short: compiling them costs more than it saves
}
_CONNECTION: Final[dict[str, Any]] = {
    "timeout": _CONNECT_S,
    "command_timeout": _ANSWER_S,
    "statement_cache_size": 512,  # more than there are named blocks
    "max_cached_statement_lifetime": 0,
}
_log = structlog.get_logger(__name__)


class PostgresTx(Tx):
    """A transaction, or for readers a connection, of asyncpg."""

    def __init__(self, connection: Any, named: dict[str, Statement]) -> None:
        self.connection = connection
        self._statements = named

    async def rows(self, name: str, /, **params: Any) -> list[Row]:  # noqa: D102 - as Tx says
        statement = self._statements[name]
        found: list[Row] = await self.connection.fetch(statement.sql, *statement.values(params))
        return found

    async def run(self, name: str, /, **params: Any) -> int:  # noqa: D102 - as Tx says
        statement = self._statements[name]
        return _changed(await self.connection.execute(statement.sql, *statement.values(params)))

    async def many(self, name: str, rows: Iterable[Any]) -> None:  # noqa: D102 - as Tx says
        statement = self._statements[name]
        if statement.bulk:
            for columns in statement.columns(rows):
                await self.connection.execute(statement.bulk, *columns)
        else:
            await self.connection.executemany(statement.sql, [statement.in_order(row) for row in rows])


def _changed(status: str) -> int:
    """How many rows, by the last word of "UPDATE 3" or "INSERT 0 3"."""
    return int(status.rpartition(" ")[2])


def _place(url: str) -> str:
    """Where a database is, without who asks and by what password."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 5432}{parts.path}"


class Postgres:
    """The engine of a PostgreSQL database. `url` may hold user and password; it is never told."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._statements = statements()
        self._writer: Any = None
        self._readers: Any = None
        self._claimers: Any = None
        self._failures = 0
        self._not_before = 0.0
        self.bus: Bus | None = Bus(self._connect)

    async def start(self, *, migrate: bool) -> None:
        """Open the writer, both pools and the bus: see Engine."""
        try:
            self._writer = await self._connect()
        except StoreUnavailable as error:  # whoever starts a gateway is told where it looked
            raise StoreUnavailable(f"{_place(self._url)}: {error.why}") from error
        await bring_up_to_date(self._writer, apply=migrate)
        with told():
            self._readers = await self._pool(_READERS, default_transaction_read_only="on")
            self._claimers = await self._pool(_CLAIMERS)
        if self.bus is not None:
            await self.bus.start()

    async def _connect(self, **more: str) -> Any:
        with told():
            return await asyncpg.connect(self._url, **_CONNECTION, server_settings={**_SERVER, **more})

    async def _pool(self, size: int, **more: str) -> Any:
        return await asyncpg.create_pool(
            self._url,
            min_size=1,
            max_size=size,
            **_CONNECTION,
            server_settings={**_SERVER, **more},
            reset=_as_it_is,
        )

    async def stop(self) -> None:
        """Close every connection."""
        if self.bus is not None:
            await self.bus.stop()
        for pool in (self._readers, self._claimers):
            if pool is not None:
                pool.terminate()
        if self._writer is not None:
            self._writer.terminate()

    # --- writing

    async def commit(self, gather: Callable[[], list[Pending]]) -> None:
        """One transaction for the group, under the writers' lock: see Engine."""
        connection = await self._writing()
        try:
            xid = await self._begin(connection)
            group = gather()
            try:
                kept = await self._run(connection, group)
            except asyncpg.InvalidCachedStatementError:  # a migration came in between, and its plans are forgotten now
                await connection.execute("ROLLBACK")
                xid = await self._begin(connection)
                kept = await self._run(connection, group)
        except AWAY as error:
            await _let_go(connection)
            raise StoreUnavailable(why(error)) from error
        if not kept:
            return
        steps.reached("commit:before")
        try:
            ended = await connection.execute("COMMIT")
        except AWAY as error:
            connection.terminate()
            raise CommitUnknown(lambda: self._was_kept(xid)) from error
        if ended != "COMMIT":
            raise StoreUnavailable("the transaction was rolled back")
        steps.reached("commit:after")

    @staticmethod
    async def _begin(connection: Any) -> str:
        """Take the writers' lock. Returns the transaction's own number."""
        await connection.execute(f"BEGIN; SELECT pg_advisory_xact_lock({_WRITER})")
        return str(await connection.fetchval("SELECT pg_current_xact_id()::text"))

    async def _writing(self) -> Any:
        if self._writer is not None and not self._writer.is_closed():
            return self._writer
        if monotonic() < self._not_before:
            raise StoreUnavailable("the connection is lost, and soon tried again")
        try:
            self._writer = await self._connect()
        except StoreUnavailable:
            self._failures += 1
            self._not_before = monotonic() + min(_LOOK_AGAIN_S * 2 ** min(self._failures, 8), _LONGEST_WAIT_S)
            raise
        self._failures = 0
        return self._writer

    async def _run(self, connection: Any, group: list[Pending]) -> bool:
        """Run each work in a savepoint; a work by itself needs none. Returns whether there is anything to commit."""
        tx = PostgresTx(connection, self._statements)
        alone, begin = len(group) == 1, "SAVEPOINT work"
        for pending in group:
            if not alone:
                await connection.execute(begin)
            pending.error = None
            try:
                pending.result = await pending.work(tx)
            except Exception as error:
                if connection.is_closed() or is_everybodys(error):
                    raise
                pending.error = error
                await connection.execute("ROLLBACK" if alone else "ROLLBACK TO SAVEPOINT work")
            begin = "RELEASE SAVEPOINT work; SAVEPOINT work"
        return not (alone and group[0].error is not None)

    async def _was_kept(self, xid: str) -> bool:
        """Whether a commit whose answer was lost took place; asks until somebody knows."""
        while True:
            try:
                async with self._readers.acquire(timeout=_CONNECT_S) as connection:
                    status = await connection.fetchval("SELECT pg_xact_status($1::text::xid8)", xid)
            except asyncpg.InvalidParameterValueError:
                return False  # the server fell back to a time before it: a standby that had not heard of it
            except AWAY:
                status = "in progress"
            if status != "in progress":
                return bool(status == "committed")
            await asyncio.sleep(_LOOK_AGAIN_S)

    # --- beside the writer

    async def aside(self, work: Work[T], _write: Callable[[Work[T]], Awaitable[T]]) -> T:
        """Run it in a transaction of its own: see Engine. One whose answer is lost may have been kept."""
        async with self._using(self._claimers) as tx:
            try:
                return await _transaction(tx, work)
            except asyncpg.InvalidCachedStatementError:  # as for a commit
                return await _transaction(tx, work)

    async def alone(self, name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Hold a lock of the session while it runs: see Engine."""
        while True:
            try:
                connection = await self._connect(idle_session_timeout=_STANDS_STILL_MS)
            except StoreUnavailable:
                await asyncio.sleep(_LONGEST_WAIT_S)
                continue
            try:
                while not await connection.fetchval(f"SELECT pg_try_advisory_lock({_ALONE}, hashtext($1))", name):  # noqa: ASYNC110
                    await asyncio.sleep(_LONGEST_WAIT_S)
                if await _while_connected(connection, loop):
                    return
            except AWAY as error:
                _log.warning("turn_lost", loop=name, error=why(error))
            finally:
                connection.terminate()

    async def read(self, work: Work[T]) -> T:
        """Run it on a connection that may not write: see Engine."""
        async with self._using(self._readers) as tx:
            return await work(tx)

    @contextlib.asynccontextmanager
    async def _using(self, pool: Any) -> AsyncIterator[PostgresTx]:
        with told():
            async with pool.acquire(timeout=_CONNECT_S) as connection:
                yield PostgresTx(connection, self._statements)

    def free_bytes(self) -> None:
        """Its disk is the server's business: see Engine."""
        return


async def _transaction(tx: PostgresTx, work: Work[T]) -> T:
    async with tx.connection.transaction():
        return await work(tx)


async def _let_go(connection: Any) -> None:
    """Leave a transaction that failed; a connection that does not answer is given up."""
    try:
        await connection.execute("ROLLBACK", timeout=_CONNECT_S)
    except AWAY:
        connection.terminate()


async def _while_connected(connection: Any, loop: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    """Run `loop` to its end, or until the connection is lost. Returns whether it came to its end."""
    running = asyncio.create_task(loop())
    connection.add_termination_listener(lambda _connection: running.cancel())
    try:
        while not (await asyncio.wait({running}, timeout=_LONGEST_WAIT_S))[0]:
            await connection.execute("SELECT 1", timeout=_CONNECT_S)
    except AWAY:
        return False
    finally:
        running.cancel()
        await asyncio.wait({running})
    if running.cancelled():
        return False
    running.result()
    return True


async def _as_it_is(_connection: Any) -> None:
    """Nothing in our sessions changes, so a pool has nothing to set back."""
