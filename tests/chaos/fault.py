"""One kind of trouble, and when it strikes: what every fault is made of."""

from random import Random
from typing import ClassVar

from tests.chaos.world import TENANT, Door, World


class Fault:
    """One kind of trouble. Made with the dice of its trial; `strike` runs beside the engine."""

    name: ClassVar[str]
    stores: ClassVar[tuple[str, ...]] = ("sqlite", "postgresql")
    shift_s: int = 0
    kill: str = ""  # a step@visit at which the first life of the gateway ends
    stops: float = 0.05  # the share of people who say stop
    capped: float = 0.6  # how likely a cap stands in the way
    in_job: float = 0.0  # the share of people in the job; 0: the dice say
    jobs: int = 1  # how many texts each person of the job gets
    clock_steady: bool = True
    people: tuple[int, int] = (90, 220)
    rung: int = 0  # people who are called, beside those who are written to
    workers: ClassVar[int] = 1
    disk_mb: ClassVar[int] = 0  # of a disk that PostgreSQL has to itself; 0: none
    relayed: ClassVar[tuple[Door, ...]] = ()  # what the first gateway reaches over a network that may go silent

    def __init__(self, dice: Random, *, full: bool) -> None:
        """`full`: the long form, with pauses as long as they are in life."""
        self.dice = dice
        self.full = full
        self.settings: dict[str, object] = {}
        self.limits: dict[str, object] = {}
        self.late: dict[str, dict[str, object]] = {}  # limits that come while texts leave, by their path

    async def ready(self, world: World) -> None:
        """Wait until the engine may begin."""

    async def strike(self, world: World) -> None:
        """Do it, and wait until its worst is over."""

    async def heal(self, world: World) -> None:
        """Take away what would stay."""

    def _comes_late(self) -> None:
        """A cap of the tenant comes in the middle of its day, with room for some of what is left, and nothing before."""
        self.limits = {"rate": f"{self.dice.choice((40, 75))}/s"}
        self.late = {f"tenant/{TENANT}": {"daily": self.dice.randint(125, 190), "zones": ["Etc/GMT+8", "Europe/Paris"]}}

    async def _bring(self, world: World) -> None:
        """Let it come."""
        await self._midway(world)
        for scope, its in self.late.items():
            await world.sure("PUT", f"/v1/limits/{scope}", {"limits": its})
        world.note(f"{world.arrived()} have left; from now on {self.late}")

    async def _midway(self, world: World) -> None:
        """Wait for a moment at which texts go out."""
        await world.has_arrived(self.dice.randint(3, 40))


class Nothing(Fault):
    """No fault at all: the harness itself finds nothing."""

    name = "nothing"
