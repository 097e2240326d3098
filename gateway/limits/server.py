"""The Redis server as the gate sees it: its scripts, and one answer or RedisAway."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from gateway.errors.limits import RedisAway
from gateway.limits.asking import MARKER

SCRIPTS: Final = ("take", "told", "give_back", "lease", "refill", "rebuild", "notice")
# What stands before a script.
_BEFORE: Final = {"take": ("rate", "quotas", "channels"), "told": ("rate",), "lease": ("channels",)}

T = TypeVar("T")
_log = structlog.get_logger(__name__)


class Server:
    """Runs the scripts. Every method raises RedisAway where no answer came within `timeout_s`."""

    def __init__(self, redis: Redis, timeout_s: float) -> None:
        self.redis = redis
        self._timeout_s = timeout_s
        self._shas: dict[str, str] = {}
        self._told = ""

    async def eval(self, name: str, keys: Sequence[str], args: Sequence[int | str], *, load: bool = True) -> Any:
        """Run a script. load: False where only a server that was compared by `load` may run it."""

        async def ask() -> Any:
            if name not in self._shas:
                await self.load()
            try:
                return await self.redis.evalsha(self._shas[name], len(keys), *keys, *args)
            except NoScriptError:
                if not load:
                    raise
                await self.load()
                return await self.redis.evalsha(self._shas[name], len(keys), *keys, *args)

        return await self.bounded(ask)

    async def load(self) -> str:
        """Compare the server with the one whose counters these are, and only then load the scripts.

        Scripts do not survive a restart and are not replicated, so a server that has them was compared.
        """
        info = await self.redis.info("server")
        replication = await self.redis.info("replication")
        server = f"{info['run_id']}:{replication['master_replid']}"
        await self.redis.eval(script("notice"), 1, MARKER, server)
        pipeline = self.redis.pipeline(transaction=False)
        for name in SCRIPTS:
            pipeline.script_load(script(name))
        self._shas.update(zip(SCRIPTS, await pipeline.execute(), strict=True))
        return server

    async def bounded(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask something else of it."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await ask()
        except TimeoutError as error:
            raise RedisAway(f"no answer within {self._timeout_s} s") from error
        except (RedisError, OSError) as error:
            self._tell(error)
            raise RedisAway(f"{type(error).__name__}: {error}") from error

    def _tell(self, error: Exception) -> None:
        """Log what a server that is there says against what it was asked, once: to the loops it is away."""
        if isinstance(error, ResponseError) and str(error) != self._told:
            self._told = str(error)
            _log.error("redis_refuses", error=self._told)


def connect(url: str, *, timeout_s: float = 2.0) -> Redis:
    """Make a client that answers once or fails: a take that is retried would debit twice."""
    return Redis.from_url(
        url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=Retry(NoBackoff(), 0), protocol=2
    )


@lru_cache
def script(name: str) -> str:
    """The source of a script of this package, whole."""
    folder = files("gateway.limits").joinpath("lua")
    return "\n".join(folder.joinpath(f"{part}.lua").read_text("utf-8") for part in (*_BEFORE.get(name, ()), name))
