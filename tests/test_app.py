"""The wiring's own manners."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from gateway.app_process import own_secret
from gateway.errors.store import StoreUnavailable
from gateway.workers.loops import ended, kept_alive


async def test_a_loop_that_fails_while_it_is_stopped_is_not_begun_again() -> None:
    """The database goes first: what was on its way back to the queue stays, and the process ends all the same."""
    begun = []

    async def loop() -> None:
        begun.append(True)
        try:
            await asyncio.Event().wait()
        finally:
            raise StoreUnavailable("gone")

    task = asyncio.create_task(kept_alive("texts", loop))
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        await ended(task)

    assert begun == [True]


def test_a_secret_of_our_own_is_never_empty_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    """A process that was killed between making the file and filling it left one that anybody could sign with."""
    path = tmp_path / "callback.secret"
    path.touch()

    secret = own_secret(path)

    assert (len(secret), own_secret(path)) == (64, secret)
    assert path.stat().st_mode & 0o777 == 0o600


SERVES = """
import asyncio, gc, json, os, signal
from gateway.app import serve
from gateway.settings import load

def ready(_gateway):
    print(json.dumps([gc.isenabled(), gc.get_freeze_count(), gc.get_threshold()[0]]), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)

asyncio.run(serve(load(None, dict(os.environ), {"http.port": 0}), ready=ready))
"""


def test_a_process_that_serves_looks_for_garbage_rarely_and_not_among_what_it_began_with(tmp_path: Path) -> None:
    environ = os.environ | {"GATEWAY_DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", SERVES], env=environ, capture_output=True, check=True, timeout=20)

    is_on, left_alone, after = json.loads(done.stdout)
    assert is_on
    assert left_alone > 50_000
    assert after >= 10_000
