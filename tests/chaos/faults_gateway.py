"""What is done to the gateway itself: killed at a step or anywhere, stopped, paused, one of two; its clock and its disk."""

import asyncio
import re
import resource
import signal
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import ClassVar, Final

from gateway import steps
from tests.chaos.fault import Fault
from tests.chaos.processes import HOME
from tests.chaos.world import World

_SEEN_WITHIN_S: Final = 12.0  # a step that was not come to by then is not on this trial's way
_PUT_THROUGH_S: Final = 40.0  # the same of who is put through, and has heard the prompt before
_PUT_THROUGH: Final = ("bridge", "refer")
_ROOMS: Final = HOME / "gateway"


def all_steps() -> list[str]:
    """Every step that the source names, sorted."""
    texts = (file.read_text(encoding="utf-8") for file in sorted(_ROOMS.rglob("*.py")))
    assert steps.reached is not None
    return sorted({step for text in texts for step in re.findall(r'reached\("([\w:]+)"\)', text)})


class KillAtStep(Fault):
    """The gateway kills itself at a step, some visits in; half the time its next life does so, too."""

    name = "kill -9 at a step"
    step: ClassVar[str] = ""  # empty: the dice choose

    def __init__(self, dice: Random, *, full: bool) -> None:
        super().__init__(dice, full=full)
        self.where = self.step or dice.choice(all_steps())
        is_rare = self.where.startswith(("earlier", "load", "rebuild", "lease", *_PUT_THROUGH))
        is_often = self.where.startswith("commit")  # every group of works comes by
        visits = (1, 1, 2) if is_rare else (1, 2, dice.randint(3, 150 if is_often else 30))
        self.kill = f"{self.where}@{dice.choice(visits)}"
        if self.where.startswith(("dial", "lease", *_PUT_THROUGH)):  # calls take a lease of their own
            self.people, self.rung = (30, 60), 32
        if self.where.startswith("stop"):
            self.stops = 0.3
        if self.where.startswith("earlier"):
            self._comes_late()
        if self.where.startswith("load"):  # only large jobs come in by blocks
            self.people, self.in_job, self.limits = (1150, 1250), 0.95, {"rate": "400/s"}

    async def strike(self, world: World) -> None:
        again = f"{self.dice.choice(all_steps())}@{self.dice.randint(1, 20)}" if self.dice.random() < 0.5 else ""
        coming = asyncio.create_task(self._bring(world)) if self.late else None
        await self._until_dead(world, again)
        if coming is not None:
            await coming

    async def _until_dead(self, world: World, again: str) -> None:
        for kill in (again, ""):
            if self.where.startswith("rebuild"):
                await self._forget(world)
            is_late = self.rung > 0 and self.kill.startswith(_PUT_THROUGH)
            try:
                await world.gateway.ended(_PUT_THROUGH_S if is_late else _SEEN_WITHIN_S)
                world.note(f"killed itself at {self.kill}")
            except TimeoutError:  # it would come to it later, when nobody waits for that any more
                await world.gateway.end(signal.SIGTERM)
                world.note(f"never came to {self.kill}, and was stopped")
                await world.gateway.start()
                return
            await world.gateway.start(kill=kill)
            self.kill = kill
            if not kill:
                return

    async def _forget(self, world: World) -> None:
        await self._midway(world)
        client = world.valkey.client()
        await client.flushall()
        await client.aclose()


class KillAnytime(Fault):
    """SIGKILL at a moment of its own choosing, up to three times."""

    name = "kill -9 at random"

    async def strike(self, world: World) -> None:
        for _ in range(self.dice.randint(1, 3)):
            await self._midway(world)
            await asyncio.sleep(self.dice.uniform(0, 0.8))
            await world.gateway.end(signal.SIGKILL)
            world.note("killed")
            await world.gateway.start()


class KillInCalls(Fault):
    """SIGKILL while people ring, listen and press keys, once or twice."""

    name = "kill -9 while calling"
    people = (30, 60)
    rung = 40

    async def strike(self, world: World) -> None:
        for _ in range(self.dice.randint(1, 2)):
            await world.has_rung(world.rung() + self.dice.randint(1, 9), 15)
            await asyncio.sleep(self.dice.uniform(0, 2))
            await world.gateway.end(signal.SIGKILL)
            world.note(f"killed after {world.rung()} INVITEs")
            await world.gateway.start()


class CleanStop(Fault):
    """SIGTERM in the midst, and begun again: nothing may become unknown."""

    name = "clean stop"

    async def strike(self, world: World) -> None:
        await self._midway(world)
        code = await world.gateway.end(signal.SIGTERM)
        world.note(f"stopped with {code}")
        await world.gateway.start()


class Pause(Fault):
    """SIGSTOP: the process stands still with slots in hand, and goes on."""

    name = "gateway SIGSTOP"

    async def strike(self, world: World) -> None:
        await self._midway(world)
        world.gateway.send(signal.SIGSTOP)
        world.note("stopped still")
        await asyncio.sleep(60 if self.full else self.dice.choice((0.3, 1.0, 2.5, 6.0)))
        world.gateway.send(signal.SIGCONT)


class DiskFull(Fault):
    """No file of the gateway may grow any more (RLIMIT_FSIZE): every write beyond fails, as on a full disk."""

    name = "disk full"
    stores = ("sqlite",)

    async def strike(self, world: World) -> None:
        await self._midway(world)
        assert world.gateway.process is not None
        pid = world.gateway.process.pid
        size = _size(Path(f"{world.where}-wal"))
        no_limit = resource.RLIM_INFINITY
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + self.dice.choice((0, 100, 50_000)), no_limit))
        world.note(f"the disk is full at {size}")
        await asyncio.sleep(self.dice.uniform(0.5, 4))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (no_limit, no_limit))
        world.note("there is room again")


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


class ClockMoved(Fault):
    """The gateway's wall clock jumps by an hour, and later back."""

    name = "clock moved by an hour"
    clock_steady = False

    def __init__(self, dice: Random, *, full: bool) -> None:
        super().__init__(dice, full=full)
        self.hour = dice.choice((3600, -3600))

    async def strike(self, world: World) -> None:
        await self._midway(world)
        world.gateway.clock.write_text(f"{self.hour:+}\n")
        world.note(f"the clock jumped by {self.hour} s")
        await asyncio.sleep(self.dice.uniform(0.5, 3))

    async def heal(self, world: World) -> None:
        world.gateway.clock.write_text("+0\n")


class Boundary(Fault):
    """A day, a week or a month ends while texts go out, some of them where the clocks change; caps are small."""

    name = "window boundary"
    moments: ClassVar = (
        "2027-03-14T08:00",  # the day of 23 hours begins in Los Angeles
        "2027-03-14T10:00",  # 2 o'clock becomes 3 there
        "2027-03-15T07:00",  # that day ends
        "2027-11-07T07:00",  # the day of 25 hours begins
        "2027-11-07T09:00",  # 2 o'clock becomes 1
        "2027-11-08T08:00",  # that day ends
        "2027-02-01T08:00",  # a month ends, in both zones at once
        "2027-08-01T07:00",  # a month ends in Los Angeles, and a week with it
        "2027-08-01T08:00",  # and an hour later at UTC-8
        "2028-01-01T08:00",  # a year ends
    )
    people = (60, 140)
    lead_s = 14  # from the first process's start to the boundary

    def __init__(self, dice: Random, *, full: bool) -> None:
        super().__init__(dice, full=full)
        self.moment = dice.choice(self.moments)
        at = datetime.fromisoformat(self.moment).replace(tzinfo=UTC).timestamp()
        self.shift_s = int(at - self.lead_s - datetime.now(UTC).timestamp())
        cap = dice.randint(20, 50)
        self.limits = {"daily": cap, "weekly": cap + 15, "monthly": cap + 25}
        self.limits["zones"] = ["America/Los_Angeles", "Etc/GMT+8"]

    async def ready(self, world: World) -> None:
        await asyncio.sleep(self._left_s(world) - self.dice.uniform(0.5, 3))
        world.note(f"{self.moment} UTC is {self._left_s(world):.1f} s away")

    async def strike(self, world: World) -> None:
        await asyncio.sleep(max(0.0, self._left_s(world)) + 4)  # windows open 2 s after the boundary

    def _left_s(self, world: World) -> float:
        at = datetime.fromisoformat(self.moment).replace(tzinfo=UTC).timestamp()
        return at - world.now_ms() / 1000


class Workers(Fault):
    """Two gateways share the sender, on one database; something is done to one of them, or to each in turn."""

    name = "two workers"
    stores = ("postgresql",)
    workers = 2

    async def strike(self, world: World) -> None:
        await self._midway(world)
        await self.dice.choice((self._roll, self._kill, self._pause))(world)

    async def _roll(self, world: World) -> None:
        for gateway in world.gateways:
            code = await gateway.end(signal.SIGTERM)
            world.note(f"{gateway.data.name} stopped with {code}")
            await gateway.start()

    async def _kill(self, world: World) -> None:
        for _ in range(2):
            gateway = self.dice.choice(world.gateways)
            await gateway.end(signal.SIGKILL)
            world.note(f"{gateway.data.name} killed")
            await asyncio.sleep(self.dice.uniform(0, 7))  # a lease lasts 5 s
            await gateway.start()

    async def _pause(self, world: World) -> None:
        gateway = self.dice.choice(world.gateways)
        gateway.send(signal.SIGSTOP)
        world.note(f"{gateway.data.name} stopped still")
        await asyncio.sleep(60 if self.full else self.dice.choice((2.0, 5.5, 9.0)))
        gateway.send(signal.SIGCONT)
