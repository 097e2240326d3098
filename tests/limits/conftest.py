"""A real Valkey for the gate's tests, one a session and emptied before each test; the simulation's model beside it."""

from collections.abc import AsyncIterator
from typing import cast

import pytest
from redis.asyncio import Redis

from gateway.limits.gate import Gate
from gateway.limits.server import connect
from tests.simulation.redis_client import ModelRedis
from tests.simulation.redis_model import Server


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[Redis]:
    """A client on the emptied server."""
    client = connect(valkey_url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture(params=["valkey", "model"])
def redis(request: pytest.FixtureRequest) -> Redis:
    """The same on both: what holds for the real server must hold for the simulation's model of it."""
    return cast("Redis", request.getfixturevalue("valkey") if request.param == "valkey" else ModelRedis(Server()))


@pytest.fixture
async def gate(redis: Redis) -> Gate:
    """A gate whose counters were begun with nothing sent."""
    gate = Gate(redis)
    await gate.rebuild([], 1, last_slot_us=0)
    return gate
