"""What only a shared PostgreSQL can do: several processes, lost connections, a holder that stands still."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from gateway.errors.store import StoreUnavailable
from gateway.model.event import Event
from gateway.model.tenant import Tenant
from gateway.store import events, tenants
from gateway.store.database import Database, Tx
from gateway.store.postgres_sql import statements
from tests.peers.postgres import PostgresServer


def add(name: str) -> Any:
    return lambda tx: tenants.add_tenant(tx, Tenant(name, name, 1))


async def is_there(database: Database, name: str) -> bool:
    return await database.read(lambda tx: tx.row("tenants_one", id=name)) is not None


async def within(seconds: float, check: Callable[[], Any]) -> None:
    async with asyncio.timeout(seconds):
        while not await check():
            await asyncio.sleep(0.02)


class Line:
    """A TCP line to the server that can be cut: just before or just after it has carried a COMMIT."""

    def __init__(self) -> None:
        self.cut = ""
        self._writers: list[asyncio.StreamWriter] = []

    @contextlib.asynccontextmanager
    async def to(self, url: str) -> AsyncIterator[str]:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname, parts.port
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            yield parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}").geturl()
            self.break_all()

    def break_all(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection(self._host, self._port)
        self._writers += [writer, ours]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._forward(reader, ours, writer))
            group.create_task(self._forward(theirs, writer, writer))

    async def _forward(
        self, reader: asyncio.StreamReader, to: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                cut = self.cut if b"COMMIT\0" in data else ""
                if cut == "before":
                    to.transport.abort()
                    back.transport.abort()
                    return
                to.write(data)
                await to.drain()
                if cut == "after":
                    back.transport.abort()
        to.close()


async def test_every_statement_is_one_that_postgresql_takes(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    wrong = {}
    for name, statement in statements().items():
        for sql in filter(None, (statement.sql, statement.bulk)):
            try:
                prepared = await connection.prepare(sql)
            except asyncpg.PostgresError as error:
                wrong[name] = str(error)
            else:
                if any(each.type.name == "numeric" for each in prepared.get_attributes()):
                    wrong[name] = "gives a numeric: CAST(SUM(…) AS BIGINT)"
    await connection.close()

    assert wrong == {}


async def test_many_rows_go_in_as_columns_in_their_order(shared: tuple[Database, Database]) -> None:
    rows = [{"actor": "test", "action": str(number), "detail": "", "at_ms": number} for number in range(12_000)]
    await shared[0].write(lambda tx: tx.many("audit_insert", rows))

    async def look(tx: Any) -> Any:
        return await tx.connection.fetch("SELECT seq, at_ms FROM audit_log ORDER BY seq")

    found = await shared[1].read(look)
    assert [row["at_ms"] for row in found] == list(range(12_000))


async def test_a_reader_who_goes_on_from_a_number_misses_no_event_of_two_writers(
    shared: tuple[Database, Database],
) -> None:
    """Numbers are given under the writers' lock, so a lower one is never committed after a higher one was read."""
    done = asyncio.Event()

    def happen(which: int) -> Any:
        return lambda tx: events.add(tx, Event("test.happened", "acme", "live", str(which), 1, {}))

    async def write(database: Database, first: int) -> None:
        await asyncio.gather(*(database.write(happen(first + number)) for number in range(150)))

    async def read() -> list[str]:
        seen: list[str] = []
        after, last = 0, False
        while not last:
            last = done.is_set()
            found = await shared[0].read(lambda tx, after=after: events.after(tx, "acme", "live", after, 7))
            last = last and not found
            seen += [each["id"] for each in found]
            after = found[-1]["seq"] if found else after
        return seen

    reading = asyncio.create_task(read())
    await asyncio.gather(write(shared[0], 0), write(shared[1], 1000))
    done.set()

    assert sorted(await reading, key=int) == [str(n) for n in (*range(150), *range(1000, 1150))]


async def test_a_claim_does_not_wait_for_the_writer(shared: tuple[Database, Database]) -> None:
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def slow(tx: Tx) -> None:
        await add("slow")(tx)
        inside.set()
        await go_on.wait()

    writing = asyncio.create_task(shared[0].write(slow))
    await inside.wait()
    await shared[1].aside(add("claimed"))
    await shared[0].aside(add("claimed too"))

    assert not writing.done()
    go_on.set()
    await writing
    assert await is_there(shared[0], "slow")


@pytest.mark.parametrize(("cut", "kept"), [("after", True), ("before", False)])
async def test_a_commit_whose_answer_was_lost_is_told_as_what_it_was(postgres_url: str, cut: str, kept: bool) -> None:
    line = Line()
    async with line.to(postgres_url) as url, Database.open(url) as database:
        await database.write(add("acme"))
        line.cut = cut
        (result,) = await asyncio.gather(database.write(add("bill")), return_exceptions=True)

        assert (result is None) is kept
        assert isinstance(result, StoreUnavailable) is not kept
        line.cut = ""
        assert await is_there(database, "bill") is kept
        await database.write(add("next"))


async def test_a_broken_connection_is_told_and_a_new_one_is_made(postgres_url: str) -> None:
    line = Line()
    async with line.to(postgres_url) as url, Database.open(url) as database:

        async def breaks(tx: Tx) -> None:
            await add("bad")(tx)
            line.break_all()
            await add("never")(tx)

        with pytest.raises(StoreUnavailable):
            await database.write(breaks)
        await database.write(add("good"))

        assert (await is_there(database, "good"), await is_there(database, "bad")) == (True, False)


async def test_a_server_that_comes_back_is_used_again(postgres: PostgresServer, postgres_url: str) -> None:
    async with Database.open(postgres_url) as database:
        await database.write(add("acme"))
        await asyncio.to_thread(postgres.stop)
        try:
            with pytest.raises(StoreUnavailable):
                await database.write(add("bad"))
            with pytest.raises(StoreUnavailable):
                await database.read(lambda tx: tx.row("tenants_one", id="acme"))
        finally:
            postgres.start()

        async def works() -> bool:
            with contextlib.suppress(StoreUnavailable):
                await database.write(add("good"))
                return await is_there(database, "good")
            return False

        await within(5, works)


async def test_a_server_that_stands_still_keeps_what_is_asked_waiting_and_answers_it_when_it_goes_on(
    postgres: PostgresServer, postgres_url: str
) -> None:
    async with Database.open(postgres_url) as database:
        with postgres.stopped() as processes:
            writing = asyncio.create_task(database.write(add("acme")))
            await asyncio.wait([writing], timeout=0.3)
            assert not writing.done()
        await writing

        assert processes > 3  # the one that listens, those that keep it going, and ours
        assert await is_there(database, "acme")


async def test_a_holder_of_the_writers_lock_that_stands_still_is_cut(shared: tuple[Database, Database]) -> None:
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def stands_still(tx: Tx) -> None:
        await add("still")(tx)
        inside.set()
        await go_on.wait()

    holding = asyncio.create_task(shared[0].write(stands_still))
    await inside.wait()
    async with asyncio.timeout(8):
        await shared[1].write(add("other"))
    go_on.set()

    with pytest.raises(StoreUnavailable):
        await holding
    assert not await is_there(shared[1], "still")


async def test_words_on_the_bus_reach_every_process_and_a_break_is_told(postgres_url: str) -> None:
    line = Line()
    heard: list[str] = []
    missed = asyncio.Event()
    async with line.to(postgres_url) as url, Database.open(url) as one, Database.open(postgres_url) as two:
        assert one.bus is not None
        assert two.bus is not None
        await one.bus.subscribe("recall", heard.append, missed.set)

        async def came(word: str) -> bool:
            return word in heard

        await two.bus.publish("recall", "first")
        await within(5, lambda: came("first"))
        line.break_all()
        async with asyncio.timeout(5):
            await missed.wait()
        await two.bus.publish("recall", "second")
        await one.bus.publish("recall", "own")
        await within(5, lambda: came("own"))

    assert heard == ["first", "second", "own"]


async def test_a_value_that_cannot_be_is_the_askers_fault_and_not_a_database_that_is_away(
    shared: tuple[Database, Database],
) -> None:
    with pytest.raises(asyncpg.DataError):
        await shared[0].read(lambda tx: tx.row("tenants_one", id="a\0"))


async def test_a_server_that_is_not_there_is_named_to_whoever_starts_and_its_password_is_not() -> None:
    with pytest.raises(StoreUnavailable) as refused:
        async with Database.open("postgresql://gateway:s3cret@127.0.0.1:1/texts"):
            pass

    assert str(refused.value) == "the database cannot be used: 127.0.0.1:1/texts: Connection refused"
