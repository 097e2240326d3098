"""The client of a modelled Redis, as far as the gate and its tests use one."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tests.simulation.redis_model import Server, to_word

Link = Callable[[Callable[[], Any]], Awaitable[Any]]  # carries one request to the server, and its answer back


async def _at_once(request: Callable[[], Any]) -> Any:
    await asyncio.sleep(0)
    return request()


class ModelRedis:
    """The client, as far as the gate and its tests use it. `link` is what a request goes through."""

    def __init__(self, server: Server, link: Link = _at_once) -> None:
        self.server = server
        self._link = link
        self._paused_until = 0.0

    async def _ask(self, request: Callable[[], Any]) -> Any:
        await asyncio.sleep(max(0.0, self._paused_until - time.monotonic()))
        return await self._link(request)

    async def evalsha(self, sha: str, numkeys: int, *words: Any) -> Any:
        return await self._ask(lambda: self.server.evalsha(sha, numkeys, words))

    async def eval(self, source: str, numkeys: int, *words: Any) -> Any:
        return await self._ask(lambda: self.server.evalsha(self.server.load(source), numkeys, words))

    async def script_load(self, source: str) -> str:
        return str(await self._ask(lambda: self.server.load(source)))

    async def script_flush(self) -> None:
        await self._ask(self.server.scripts.clear)

    async def info(self, section: str) -> dict[str, str]:
        told = {
            "server": {"run_id": f"run{self.server.starts}"},
            "replication": {"master_replid": f"replication{self.server.masters}"},
        }
        found: dict[str, str] = await self._ask(lambda: told[section])
        return found

    async def ping(self) -> bool:
        return bool(await self._ask(lambda: True))

    async def aclose(self) -> None:
        """Nothing is open."""

    async def flushall(self) -> None:
        await self._ask(self.server.flush)

    async def client_pause(self, ms: int, *, all: bool) -> None:  # noqa: A002 - redis-py's word
        self._paused_until = time.monotonic() + ms / 1000

    async def keys(self) -> list[bytes]:
        names = await self._ask(lambda: [key for key in list(self.server.keys) if self.server.do_exists(key)])
        return [name.encode() for name in names]

    async def hset(self, key: str, field: str = "", value: Any = "", mapping: Mapping[str, Any] | None = None) -> int:
        pairs = {field: value} if mapping is None else mapping
        words = [to_word(word) for pair in pairs.items() for word in pair]
        return int(await self._ask(lambda: self.server.do_hset(key, *words)))

    def pipeline(self, *, transaction: bool) -> "_Pipeline":
        return _Pipeline(self)

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        """Every other command: its words as text, its answer as bytes and integers."""
        command = getattr(self.server, f"do_{ {'delete': 'del'}.get(name, name) }")

        async def ask(*words: Any) -> Any:
            return _to_bytes(await self._ask(lambda: command(*map(to_word, words))))

        return ask


class _Pipeline:
    """Commands that travel together."""

    def __init__(self, redis: ModelRedis) -> None:
        self._redis = redis
        self._requests: list[Callable[[], Any]] = []

    def script_load(self, source: str) -> None:
        self._requests.append(lambda: self._redis.server.load(source))

    def __getattr__(self, name: str) -> Callable[..., None]:
        command = getattr(self._redis.server, f"do_{name}")
        return lambda *words: self._requests.append(lambda: _to_bytes(command(*map(to_word, words))))

    async def execute(self) -> list[Any]:
        return await self._redis._ask(lambda: [request() for request in self._requests])


def _to_bytes(answer: Any) -> Any:
    if isinstance(answer, list):
        return [_to_bytes(each) for each in answer]
    return answer.encode() if isinstance(answer, str) else answer
