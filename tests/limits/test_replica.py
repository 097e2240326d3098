"""A replica that was behind takes over: noticed before it grants, and the caps hold."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.limits.gate import Gate
from gateway.limits.server import connect
from gateway.limits.valkey import _shipped_binary
from gateway.model.limit import Cap, Granted, Refused, UsageRow
from tests.peers.ports import free_port

DAY = Cap("day", 10, "day", "Etc/GMT+8")


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Callable[[str], tuple[str, int]]]:
    """Starts a server on a port of its own; gives its URL and port."""
    servers: list[subprocess.Popen[bytes]] = []

    def begin(*words: str) -> tuple[str, int]:
        port = free_port()
        folder = tmp_path / str(port)
        folder.mkdir()
        words = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), *words)
        servers.append(subprocess.Popen([_shipped_binary(), *words], stdout=subprocess.DEVNULL))
        return f"redis://127.0.0.1:{port}/0", port

    yield begin
    for server in servers:
        server.kill()
        server.wait()


async def until_up(client: Redis, section: str, name: str, value: object) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                if (await client.info(section)).get(name) == value:
                    return
            except (OSError, RedisError):  # it is starting
                pass
            await asyncio.sleep(0.05)


async def test_a_replica_that_was_behind_grants_nothing_until_rebuilt(start: Callable[..., tuple[str, int]]) -> None:
    first_url, port = start("--repl-diskless-sync-delay", "0")
    first = connect(first_url)
    await until_up(first, "replication", "role", "master")
    second_url, _ = start("--replicaof", "127.0.0.1", str(port))
    second = connect(second_url)
    await until_up(second, "replication", "master_link_status", "up")
    gate = Gate(first)
    await gate.rebuild([], 1, last_slot_us=0)
    answers = [await gate.take([DAY], [2])]
    async with asyncio.timeout(10):
        while not await second.exists("{gateway}:cap:day"):
            await asyncio.sleep(0.02)
    await second.execute_command("REPLICAOF", "NO", "ONE")  # from here on it is behind
    answers += [await gate.take([DAY], [2]), await gate.take([DAY], [3])]
    granted = [answer for answer in answers if isinstance(answer, Granted)]
    assert len(granted) == 3
    await first.aclose()

    fresh = Gate(second, epoch=1)  # a process that has seen no grant number yet: only the server's ids tell
    gate._server.redis = second
    for each in (fresh, gate):
        assert await each.take([DAY], [1]) == Refused("rebuild")
    debits = [debit for answer in granted for debit in answer.debits]
    start_us = debits[0].window_start_us
    used = sum(debit.units for debit in debits if debit.window_start_us == start_us)
    assert await gate.rebuild([UsageRow("day", start_us, used, granted[-1].seq)], 2) == 2

    assert isinstance(await gate.take([DAY], [10 - used]), Granted)
    assert isinstance(await gate.take([DAY], [1]), Refused)
    await second.aclose()
