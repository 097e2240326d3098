"""What is done to limits while texts leave."""

from random import Random

from tests.chaos.fault import Fault
from tests.chaos.world import World


class LimitComes(Fault):
    """A cap comes in the middle of its window: what has left by then is in it."""

    name = "a limit comes"

    def __init__(self, dice: Random, *, full: bool) -> None:
        super().__init__(dice, full=full)
        self._comes_late()

    async def strike(self, world: World) -> None:
        await self._bring(world)


class LimitComesToTwo(LimitComes):
    """The same, with two gateways on one database."""

    name = "a limit comes to two workers"
    stores = ("postgresql",)
    workers = 2
