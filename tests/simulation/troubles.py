"""What befalls Redis, the disk, the clocks and the carrier; each comes to an end by itself."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from gateway.limits.gate import MARKER
from tests.simulation.wire import Carrier
from tests.simulation.world import Clocks, Line, Redis, Store


@dataclass(frozen=True, slots=True)
class Troubles:
    """One history's. `line`: what its processes share, if there are several."""

    dice: Random
    redis: Redis
    store: Store
    clocks: Clocks
    carrier: Carrier
    line: Line | None
    say: Callable[[str], None]

    async def redis_away(self) -> None:
        """Connections are refused for a while."""
        self.redis.away = True
        await asyncio.sleep(self.dice.uniform(0.1, 4))
        self.redis.away = False

    async def redis_silent(self) -> None:
        """SIGSTOP, for a while."""
        self.redis.silent = True
        await asyncio.sleep(self.dice.uniform(0.1, 4))
        self.redis.wake()

    async def redis_flush(self) -> None:
        """FLUSHALL."""
        self.redis.server.flush()

    async def redis_restart(self) -> None:
        """Another run, with its data."""
        self.redis.server.restart(keeps=True)

    async def redis_restart_empty(self) -> None:
        """Another run, without."""
        self.redis.server.restart(keeps=False)

    async def redis_stale(self) -> None:
        """A replica that was behind takes its place."""
        replica = self.redis.server.snapshot()
        await asyncio.sleep(self.dice.uniform(0.05, 3))
        self.redis.server.fail_over(replica)
        self.say("redis: the stale replica is the master now")

    async def redis_evict(self) -> None:
        """A counter or the marker is thrown away."""
        keys = sorted(key for key in self.redis.server.keys if ":cap:" in key or key == MARKER)
        if keys:
            self.redis.server.evict(self.dice.choice(keys))

    async def disk(self) -> None:
        """Gone or slow, for a while."""
        if self.dice.random() < 0.5:
            self.store.down = True
        else:
            self.store.slow_s = self.dice.choice([0.05, 0.3, 1.0])
        await asyncio.sleep(self.dice.uniform(0.1, 4))
        self.store.down, self.store.slow_s = False, 0.0
        if self.line is not None:
            self.line.mend()

    async def change_clocks(self) -> None:
        """Somebody sets them."""
        dice = self.dice
        ahead_us = dice.choice([-3600_000_000, 3600_000_000, -1_000_000, 1_500_000, -5_000_000])
        if dice.random() < 0.7:
            self.clocks.host_us += ahead_us
        else:
            # A smaller step than two seconds, just at a hand-over, nobody can notice.
            self.clocks.redis_us += dice.choice([-3600_000_000, 3600_000_000, -5_000_000])
        await asyncio.sleep(dice.uniform(0.1, 6))
        self.clocks.host_us = 0

    async def carrier_away(self) -> None:
        """It takes no connections for a while."""
        self.carrier.down = True
        await asyncio.sleep(self.dice.uniform(0.5, 5))
        self.carrier.down = False
