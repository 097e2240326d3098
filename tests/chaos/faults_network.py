"""A network that goes silent: no byte passes, and nothing says so."""

import asyncio
from typing import ClassVar

from tests.chaos.fault import Fault
from tests.chaos.relay import BOTH, Way
from tests.chaos.world import Door, World


class RedisSilent(Fault):
    """No byte between the gateway and Redis for a while; then what waited arrives, or every connection is reset."""

    name = "network to Redis silent"
    relayed: ClassVar[tuple[Door, ...]] = ("redis",)
    ways: ClassVar[tuple[tuple[Way, ...], ...]] = (BOTH, BOTH, ("there",), ("back",))
    capped = 1.0

    async def strike(self, world: World) -> None:
        await self._midway(world)
        await asyncio.sleep(self.dice.uniform(0, 0.6))
        ways = self.dice.choice(self.ways)
        for relay in world.relays:
            relay.hush(ways)
        world.note(f"silence {' and '.join(ways)}")
        await asyncio.sleep(60 if self.full else self.dice.uniform(3, 20))
        is_cut = self.dice.random() < 0.5
        for relay in world.relays:
            if is_cut:
                relay.cut()
            relay.speak()
        world.note("every connection is reset" if is_cut else "what waited arrives")


class DatabaseSilent(RedisSilent):
    """The same between the gateway and PostgreSQL."""

    name = "network to the database silent"
    stores = ("postgresql",)
    relayed = ("database",)
    capped = 0.6


class HostSilent(DatabaseSilent):
    """One of two gateways hears neither PostgreSQL nor Redis for a while; the other goes on and takes the sender over."""

    name = "network of one worker silent"
    relayed = ("redis", "database")
    workers = 2
