"""A real Valkey for the gate's tests: one server a session, emptied before each test."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from gateway.limits.gate import Gate, connect
from gateway.limits.valkey import EmbeddedValkey


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running embedded Valkey."""
    server = EmbeddedValkey(Path(tmp_path_factory.mktemp("valkey")))
    yield asyncio.run(server.start())
    asyncio.run(server.stop())


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    """A client on the emptied server."""
    client = connect(valkey_url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def gate(redis: Redis) -> Gate:
    """A gate whose counters were begun with nothing sent."""
    gate = Gate(redis)
    await gate.rebuild([], 1, last_slot_us=0)
    return gate
