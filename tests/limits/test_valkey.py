"""The embedded Valkey: one a directory, dies with its parent, forgets nothing."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.errors.limits import ValkeyDown, ValkeyInUse
from gateway.limits.server import connect
from gateway.limits.valkey import SOCKET_PATH_MAX, EmbeddedValkey

PARENT = """
import asyncio, pathlib, sys
from gateway.limits.valkey import EmbeddedValkey
async def main():
    server = EmbeddedValkey(pathlib.Path(sys.argv[1]))
    await server.start()
    print(server.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_it_answers_keeps_what_it_was_told_and_stops(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path)
    client = connect(await server.start())
    await client.set("kept", 1)
    await client.aclose()
    pid = server.pid
    await server.stop()
    assert pid is not None
    assert not psutil.pid_exists(pid)

    client = connect(await server.start())
    assert await client.get("kept") == b"1"
    config = await client.config_get("*")
    await client.aclose()
    await server.stop()
    await server.stop()
    assert (config["maxmemory-policy"], config["appendonly"], config["port"]) == ("noeviction", "yes", "0")


async def test_a_directory_may_be_named_from_where_the_gateway_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server = EmbeddedValkey(Path("gateway-data/valkey"))
    client = connect(await server.start())
    assert await client.ping()
    await client.aclose()
    await server.stop()


async def test_a_killed_server_loses_nothing_it_answered(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path)
    client = connect(await server.start())
    for _ in range(200):
        await client.incr("n")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    await client.aclose()
    await server.stop()

    client = connect(await server.start())
    assert await client.get("n") == b"200"
    await client.aclose()
    await server.stop()


async def test_one_that_is_kept_running_comes_back_at_the_same_place(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path / ("x" * SOCKET_PATH_MAX))
    client = connect(await server.start())
    await client.set("kept", 1)
    kept = asyncio.create_task(server.keep_running())
    for _ in range(2):
        pid = server.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            while server.pid in {pid, None} or not await answers(client):
                await asyncio.sleep(0.02)

    assert await client.get("kept") == b"1"
    kept.cancel()
    await client.aclose()
    await server.stop()


async def answers(client: Redis) -> bool:
    with contextlib.suppress(RedisError, OSError):
        return bool(await client.ping())
    return False


async def test_a_second_server_on_one_directory_is_refused(tmp_path: Path) -> None:
    first, second = EmbeddedValkey(tmp_path), EmbeddedValkey(tmp_path)
    await first.start()
    with pytest.raises(ValkeyInUse):
        await second.start()
    await first.stop()
    await second.start()
    await second.stop()


async def test_a_long_directory_gets_its_socket_elsewhere(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path / ("x" * SOCKET_PATH_MAX))
    url = await server.start()
    path = Path(url.removeprefix("unix://"))
    assert len(os.fsencode(path)) <= SOCKET_PATH_MAX
    await server.stop()
    assert not path.parent.exists()


async def test_why_it_did_not_come_up_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValkeyDown, match="ended at once with 1"):
        await EmbeddedValkey(tmp_path, binary=Path("/bin/false")).start()
    with pytest.raises(ValkeyDown, match="cannot be run"):
        await EmbeddedValkey(tmp_path, binary=tmp_path / "none").start()


async def test_it_starts_on_the_main_thread_only(tmp_path: Path) -> None:
    with pytest.raises(ValkeyDown, match="main thread"):
        await asyncio.to_thread(asyncio.run, EmbeddedValkey(tmp_path).start())


@pytest.mark.skipif(sys.platform != "linux", reason="the parent's death is told by Linux only")
def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        server = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        parent.wait()
    try:
        server.wait(timeout=10)
    finally:
        if server.is_running():
            server.kill()
