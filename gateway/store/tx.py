"""What works are written against: one transaction, its rows, and the rule that a work awaits nothing else."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from gateway.store.bus import Bus

T = TypeVar("T")


class Row(Protocol):
    """One row: its columns by name, or by place from 0 on."""

    def __getitem__(self, column: str | int, /) -> Any: ...

    def keys(self) -> Iterable[str]:
        """Its columns' names, in order."""
        ...


class Tx(ABC):
    """One transaction. Statements are named blocks of `store/sql`; a list parameter stands where the block says IN."""

    @abstractmethod
    async def rows(self, name: str, /, **params: Any) -> list[Row]:
        """Run the query `name` and return every row."""

    async def row(self, name: str, /, **params: Any) -> Row | None:
        """Run the query `name` and return its first row, or None."""
        found = await self.rows(name, **params)
        return found[0] if found else None

    async def value(self, name: str, /, **params: Any) -> Any:
        """Run the query `name` and return the first column of its first row, or None."""
        row = await self.row(name, **params)
        return row[0] if row is not None else None

    @abstractmethod
    async def run(self, name: str, /, **params: Any) -> int:
        """Run the statement `name` and return how many rows it changed."""

    @abstractmethod
    async def many(self, name: str, rows: Iterable[Any]) -> None:
        """Run the statement `name` once for each of `rows` (dicts, or tuples in its parameters' order)."""


Work = Callable[[Tx], Awaitable[T]]


class CommitUnknown(Exception):
    """The answer of a commit was lost. `was_kept` finds out, however long that takes."""

    def __init__(self, was_kept: Callable[[], Awaitable[bool]]) -> None:
        super().__init__("the answer of a commit was lost")
        self.was_kept = was_kept


@dataclass(slots=True)
class Pending:
    """A work that waits for its commit, then what came of it."""

    work: Work[Any]
    done: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None

    def tell(self) -> None:
        """Give the caller its result or its error, unless it has gone."""
        if self.done.done():
            return
        if self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.result)


class Engine(Protocol):
    """One kind of database. `Database` hands it the works."""

    @property
    def bus(self) -> Bus | None:
        """What joins the processes that share it; None where they cannot."""

    async def start(self, *, migrate: bool) -> None:
        """Open it. Raises StoreUnavailable; StoreNotMigrated where the schema is older and `migrate` is false."""

    async def stop(self) -> None:
        """Close what `start` opened, however far that came."""

    async def commit(self, gather: Callable[[], list[Pending]]) -> None:
        """Run what `gather` gives in one transaction, each in a savepoint, and note what came of each.

        gather is called when the transaction is open: what arrived until then shares it.
        Raises: StoreUnavailable when the commit failed: nothing was kept. CommitUnknown when its answer was lost.
        """

    async def aside(self, work: Work[T], write: Callable[[Work[T]], Awaitable[T]]) -> T:
        """Run `work` without waiting for the writer; where only the writer writes, by `write`.

        Raises: StoreUnavailable.
        """

    async def alone(self, name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `loop` while no other process runs one of this name; return when it does. Waits for its turn."""

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a connection that cannot write. Raises StoreUnavailable."""

    def free_bytes(self) -> int | None:
        """What is left on its disk; None where that is another machine's business. Raises StoreUnavailable."""


def finished(work: Work[T], tx: Tx) -> T:
    """Run a work whose Tx never waits, to its end, without an event loop.

    Raises: RuntimeError for one that waits for something else: it would hold up everybody's commit.
    """
    steps = work(tx).__await__()
    try:
        next(steps)
    except StopIteration as end:
        value: T = end.value
        return value
    if hasattr(steps, "close"):
        steps.close()
    raise RuntimeError("a work may await nothing but its Tx: do the rest before it or after it")
