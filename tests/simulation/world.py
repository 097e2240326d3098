"""What outlives a gateway's process: true time, the database, the Redis server, the carrier, the people, the record."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import Any, TypeVar

from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.errors.store import StoreUnavailable
from gateway.store.sqlite import InlineSqlite
from gateway.store.tx import Pending, Work, finished
from tests.simulation.redis_model import Server
from tests.simulation.virtual_loop import Killed, VirtualLoop, process_of

T = TypeVar("T")


class Redis:
    """The Redis server and the ways to it."""

    def __init__(self, server: Server, dice: Random, *, troubled: bool) -> None:
        self.server = server
        self.away = False
        self.silent = False
        self._dice = dice
        self.troubled = troubled
        self._waiting: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []

    async def link(self, request: Callable[[], Any]) -> Any:
        """Carry one request there, and its answer back."""
        dice = self._dice
        goes_slowly = dice.random() < 0.5
        if goes_slowly:
            await asyncio.sleep(self._way())
        if self.away or (self.troubled and dice.random() < 0.01):
            raise RedisConnectionError("refused")
        if self.silent:  # stopped: what lies in its socket is done when it goes on, whoever has gone meanwhile
            answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            self._waiting.append((request, answer))
            return await answer
        result = request()
        if self.troubled and dice.random() < 0.01:
            raise RedisConnectionError("the answer was lost")
        if not goes_slowly:
            await asyncio.sleep(self._way())
        return result

    def wake(self) -> None:
        """It goes on."""
        self.silent = False
        for request, answer in self._waiting:
            try:
                result = request()
            except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
                if not answer.done():
                    answer.set_exception(error)
                    answer.exception()
            else:
                if not answer.done():
                    answer.set_result(result)
        self._waiting.clear()

    def _way(self) -> float:
        if self.troubled and self._dice.random() < 0.03:
            return self._dice.choice([0.05, 0.2, 0.4, 0.8])
        return self._dice.uniform(0.0001, 0.001)


class Store:
    """The disk. One connection for all histories of this Python process: statements stay compiled."""

    def __init__(self) -> None:
        self.inline = InlineSqlite(InlineSqlite.template())
        self.connection = self.inline._connection
        self._tables: list[str] = []
        self._kept: dict[str, list[Any]] = {}
        self.down = False
        self.slow_s = 0.0

    async def open(self) -> None:
        """Copy the schema, once."""
        await self.inline.start(migrate=True)
        names = self.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        self._tables = [row["name"] for row in names if not row["name"].startswith("sqlite_")]
        self._kept = {name: found for name in self._tables if (found := self._rows(name))}

    def _rows(self, table: str) -> list[Any]:
        return [tuple(row) for row in self.connection.execute(f"SELECT * FROM {table}")]  # noqa: S608

    def clear(self) -> None:
        """As after the migrations."""
        self.down, self.slow_s = False, 0.0
        execute = self.connection.execute
        execute("BEGIN")
        for table in reversed(self._tables):  # what refers to others was made after them
            execute(f"DELETE FROM {table}")  # noqa: S608
            for row in self._kept.get(table, []):
                execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608
        execute("DELETE FROM sqlite_sequence")
        execute("COMMIT")

    def query(self, sql: str, *words: Any) -> list[Any]:
        """Look, from outside."""
        return self.connection.execute(sql, words).fetchall()


class Disk:
    """One process's `Engine` on the store: a commit takes its time, and may fail."""

    def __init__(self, store: Store, dice: Random) -> None:
        self._store = store
        self._dice = dice

    async def start(self, *, migrate: bool) -> None:
        """It is open."""

    async def stop(self) -> None:
        """It stays open."""

    def free_bytes(self) -> None:
        """Enough."""

    async def commit(self, gather: Callable[[], list[Pending]]) -> None:
        """What arrives while the disk is waited for shares the commit."""
        is_before = self._dice.random() < 0.5  # it is waited for before or after it is kept: one wait is enough
        if is_before:
            await self._wait(0.004)
        group = gather()
        if self._store.down:
            raise StoreUnavailable("the disk is gone")
        try:
            await self._store.inline.commit(lambda: group)
        except Killed:
            self._store.connection.rollback()
            raise
        if not is_before or self._store.slow_s:
            await self._wait(0.004)

    async def aside(self, work: Work[T], write: Callable[[Work[T]], Awaitable[T]]) -> T:
        """A transaction of its own; while the disk is slow its answer may get lost."""
        pending = Pending(work, asyncio.get_running_loop().create_future())
        await self.commit(lambda: [pending])
        if self._store.slow_s and self._dice.random() < 0.2:
            raise StoreUnavailable("the answer was lost")
        pending.tell()
        return await pending.done

    async def alone(self, _name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Two may overlap."""
        await loop()

    async def read(self, work: Work[T]) -> T:
        """Reads see what is committed."""
        at = self._dice.random()  # it is waited for before or after it is read, or it is in memory
        if at < 0.3:
            await self._wait(0.001)
        if self._store.down:
            raise StoreUnavailable("the disk is gone")
        result = finished(work, self._store.inline._tx)  # its own `read` sets a pragma, which compiles all anew
        if at > 0.7 or (at >= 0.3 and self._store.slow_s):
            await self._wait(0.001)
        return result

    async def _wait(self, most_s: float) -> None:
        await asyncio.sleep(self._dice.random() * (most_s + self._store.slow_s))


class Line:
    """What processes that share a database say to each other. `broken`: nobody hears anything."""

    def __init__(self, loop: VirtualLoop, store: Store) -> None:
        self._loop = loop
        self._store = store
        self._ears: list[tuple[str, Callable[[str], None], Callable[[], None], contextvars.Context]] = []

    def listen(self, channel: str, heard: Callable[[str], None], missed: Callable[[], None]) -> None:
        """Have `heard` called in the listener's process: later if that is stopped, never if it is dead."""
        self._ears.append((channel, heard, missed, contextvars.copy_context()))

    def say(self, channel: str, payload: str) -> None:
        """Have everybody hear it. Raises StoreUnavailable."""
        if self._store.down:
            raise StoreUnavailable("the line is broken")
        for where, heard, _, context in self._ears:
            if where == channel:
                self._loop.call_later(0.001, heard, payload, context=context)

    def mend(self) -> None:
        """It was broken, and is whole again."""
        for _, _, missed, context in self._ears:
            self._loop.call_soon(missed, context=context)


class Ear:
    """One process's `Bus`."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def subscribe(
        self, channel: str, heard: Callable[[str], None], missed: Callable[[], None] = lambda: None
    ) -> None:
        """See Bus."""
        self._line.listen(channel, heard, missed)

    async def publish(self, channel: str, payload: str = "") -> None:
        """See Bus."""
        await asyncio.sleep(0.0005)
        self._line.say(channel, payload)


class Clocks:
    """Stands where `time` stood in gateway.clock: each process has its host's idea of the time."""

    def __init__(self, loop: VirtualLoop, begins_us: int) -> None:
        self._loop = loop
        self.begins_us = begins_us
        self.redis_us = 0  # what Redis's clock is ahead
        self.host_us = 0  # what the hosts' clocks are ahead

    def true_us(self) -> int:
        """The time that nobody steps."""
        return self.begins_us + round(self._loop.now_s * 1_000_000)

    def time_ns(self) -> int:
        """A host's wall clock."""
        return (self.true_us() + (self.host_us if process_of.get() is not None else 0)) * 1000

    def monotonic(self) -> float:
        """The loop's own. Reading it takes time, or who waits for its next microsecond would do so for ever."""
        self._loop.now_s += 1e-7
        return self._loop.now_s

    def redis_wall_us(self) -> int:
        """Redis's clock."""
        return self.true_us() + self.redis_us


class Outside:
    """Runs what belongs to no process, and waits for what does."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._context = contextvars.copy_context()
        self.tasks: set[asyncio.Task[Any]] = set()
        self.failed: list[BaseException] = []

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run it, whoever dies."""
        task = self._loop.create_task(coroutine, context=self._context)
        self.tasks.add(task)
        task.add_done_callback(self._ended, context=self._context)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed.append(error)


Asked = Callable[[], Awaitable[Any]]
