"""What is done to Redis and to the database."""

import asyncio
import contextlib
import shutil
import signal
import sqlite3

import asyncpg

from tests.chaos.fault import Fault
from tests.chaos.world import World


class RedisKilled(Fault):
    """Redis is killed and comes back with its file after a while."""

    name = "Redis killed"
    capped = 1.0

    async def strike(self, world: World) -> None:
        await self._midway(world)
        await world.valkey.end()
        world.note("Redis killed")
        await asyncio.sleep(self.dice.uniform(0, 2))
        self.between(world)
        await world.valkey.start()

    def between(self, world: World) -> None:
        """What happens to its file meanwhile."""


class RedisEmpty(RedisKilled):
    """Redis comes back without its file."""

    name = "Redis empty"

    def between(self, world: World) -> None:
        shutil.rmtree(world.valkey.folder)


class RedisStale(RedisKilled):
    """Redis comes back with the file of a while ago, as a replica that was behind does."""

    name = "Redis stale"

    async def strike(self, world: World) -> None:
        await world.has_arrived(self.dice.randint(1, 10))
        world.valkey.send(signal.SIGSTOP)
        shutil.copytree(world.valkey.folder, world.folder / "stale")
        world.valkey.send(signal.SIGCONT)
        await asyncio.sleep(self.dice.uniform(0.1, 0.8))
        await super().strike(world)

    def between(self, world: World) -> None:
        shutil.rmtree(world.valkey.folder)
        shutil.move(world.folder / "stale", world.valkey.folder)


class RedisPaused(Fault):
    """Redis stands still, with questions in its socket."""

    name = "Redis SIGSTOP"
    capped = 1.0

    async def strike(self, world: World) -> None:
        await self._midway(world)
        world.valkey.send(signal.SIGSTOP)
        world.note("Redis stopped still")
        await asyncio.sleep(60 if self.full else self.dice.choice((0.3, 1.0, 3.0, 6.0)))
        world.valkey.send(signal.SIGCONT)


class RedisFlushed(Fault):
    """FLUSHALL, once or a few times."""

    name = "Redis FLUSHALL"
    capped = 1.0

    async def strike(self, world: World) -> None:
        client = world.valkey.client()
        for _ in range(self.dice.randint(1, 4)):
            await self._midway(world)
            await asyncio.sleep(self.dice.uniform(0, 0.5))
            await client.flushall()
            world.note("flushed")
        await client.aclose()


class RedisEvicts(Fault):
    """Some of its keys are gone, as under a memory policy that evicts."""

    name = "Redis evicts keys"
    capped = 1.0

    async def strike(self, world: World) -> None:
        client = world.valkey.client()
        for _ in range(self.dice.randint(1, 3)):
            await self._midway(world)
            await asyncio.sleep(self.dice.uniform(0, 0.5))
            found = sorted(await client.keys("*"))
            gone = [key for key in found if self.dice.random() < 0.5] or found[:1]
            if gone:
                await client.delete(*gone)
            world.note(f"evicted {len(gone)} of {len(found)} keys")
        await client.aclose()


class DatabaseLocked(Fault):
    """Another process holds SQLite's write lock longer than the gateway waits."""

    name = "database locked"
    stores = ("sqlite",)

    async def strike(self, world: World) -> None:
        await self._midway(world)
        await asyncio.to_thread(self._hold, world)

    def _hold(self, world: World) -> None:
        other = sqlite3.connect(world.where, isolation_level=None, timeout=20)
        with contextlib.closing(other):
            other.execute("BEGIN IMMEDIATE")
            world.note("locked")
            asyncio.run(asyncio.sleep(self.dice.choice((0.5, 2.0, 7.0))))
            other.execute("ROLLBACK")


class DatabaseCut(Fault):
    """Every connection to PostgreSQL is cut, once or a few times."""

    name = "database cut"
    stores = ("postgresql",)

    async def strike(self, world: World) -> None:
        for _ in range(self.dice.randint(1, 4)):
            await self._midway(world)
            await asyncio.sleep(self.dice.uniform(0, 0.6))
            cut = await self._cut(world)
            world.note(f"{cut} connections cut")

    async def _cut(self, world: World) -> int:
        connection = await asyncpg.connect(str(world.where))
        others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        cut: int = await connection.fetchval(f"SELECT count(pg_terminate_backend(pid)) {others}")
        await connection.close()
        return cut


class ServerDiskFull(Fault):
    """The disk under PostgreSQL, its log on it too, is full for a while; where the server ends of it, it is begun again."""

    name = "database disk full"
    stores = ("postgresql",)
    disk_mb = 160

    async def strike(self, world: World) -> None:
        await self._midway(world)
        await asyncio.sleep(self.dice.uniform(0, 0.6))
        assert world.server is not None
        world.server.fill(leave=self.dice.choice((0, 0, 100_000, 1_000_000)))
        world.note("PostgreSQL's disk is full")
        await asyncio.sleep(self.dice.uniform(1, 6))
        world.note(f"there is room again, the server {'runs' if world.server.alive else 'had ended'}")
        world.server.make_room()  # what it begins is on this thread, which it ends with


class DatabaseKilled(Fault):
    """PostgreSQL crashes, all of it, and comes back from its log."""

    name = "database killed"
    stores = ("postgresql",)

    async def strike(self, world: World) -> None:
        await self._midway(world)
        await asyncio.sleep(self.dice.uniform(0, 0.6))
        assert world.server is not None
        world.server.stop(signal.SIGQUIT)
        world.note("PostgreSQL crashed")
        await asyncio.sleep(self.dice.uniform(0, 1.5))
        world.server.start()  # on this thread, which it ends with


class DatabasePaused(Fault):
    """PostgreSQL stands still, every process of it, with questions in its sockets."""

    name = "database SIGSTOP"
    stores = ("postgresql",)

    async def strike(self, world: World) -> None:
        assert world.server is not None
        await self._midway(world)
        await asyncio.sleep(self.dice.uniform(0, 0.6))
        with world.server.stopped() as processes:
            world.note(f"{processes} processes of PostgreSQL stopped still")
            await asyncio.sleep(60 if self.full else self.dice.uniform(2, 15))
        world.note("they go on")
