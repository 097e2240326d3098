"""What comes from outside: a carrier in trouble or dead, people who say STOP while they are written to."""

import asyncio
import signal
from typing import ClassVar

from tests.chaos.fault import Fault
from tests.chaos.world import World


class CarrierTrouble(Fault):
    """One kind of misbehaviour of the carrier after the other."""

    name = "carrier trouble"
    kinds: ClassVar[tuple[dict[str, object], ...]] = (
        {"latency_s": 1.0},
        {"silence": True, "every": 3},
        {"drop": True, "every": 4},
        {"accept_status": 500, "every": 4},
        {"fail_status": 429},
        {"fail_status": 500},
        {"throttle_per_s": 20},
        {"reset": True},
        {"duplicate": True, "reorder": True},
        {"early": True},
        {"late_s": 2.0},
        {"mute": True},
    )
    capped = 0.0

    async def strike(self, world: World) -> None:
        for kind in self.dice.sample(self.kinds, k=3):
            await world.carrier(**kind)
            world.note(f"the carrier: {kind}")
            await asyncio.sleep(self.dice.uniform(0.3, 1.5))
            await world.carrier(**{name: type(value)() for name, value in kind.items()})


class CarrierKilled(Fault):
    """The far end is killed with requests in hand, and comes back with its ledger."""

    name = "carrier killed"
    capped = 0.0

    async def strike(self, world: World) -> None:
        await self._midway(world)
        await world.far_end.end()
        world.note("the far end killed")
        await asyncio.sleep(self.dice.uniform(0, 1.5))
        await world.far_end.start()


class StopRace(Fault):
    """Everybody says stop while they are being written to, and the gateway may be killed meanwhile."""

    name = "STOP races sending"
    stops = 0.8
    jobs = 4
    people = (60, 110)
    capped = 0.0

    async def strike(self, world: World) -> None:
        if self.dice.random() < 0.5:
            await self._midway(world)
            await asyncio.sleep(self.dice.uniform(0, 1))
            await world.gateway.end(signal.SIGKILL)
            world.note("killed")
            await world.gateway.start()
