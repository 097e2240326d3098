"""The demo's processes: started with a line that says where they listen, ended in order, gone when the demo is."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

from gateway.errors.cli import DemoFailed
from gateway.lifeline import before_exec

READY_S: Final = 60.0
STOP_S: Final = 20.0


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}


async def told(words: list[str], *, environ: Mapping[str, str], folder: Path) -> Any:
    """Run `gateway WORDS` to its end, in `folder` and with our environment and `environ`; returns the JSON it prints.

    Raises: DemoFailed when it prints none.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", *words),
        cwd=folder,
        env=_inherited() | dict(environ),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, errors = await process.communicate()
    try:
        return json.loads(said)
    except ValueError:
        raise DemoFailed(f"`gateway {words[0]}` told nothing: {errors.decode(errors='replace')[-500:]}") from None


@contextlib.asynccontextmanager
async def running(words: list[str], *, environ: Mapping[str, str], folder: Path, log: Path) -> AsyncIterator[Any]:
    """Run `gateway WORDS` as a child; gives the JSON object of its ready line.

    environ: added to ours, from which every GATEWAY_ variable is taken away.
    folder:  where it runs.
    log:     its standard error.
    Raises:  DemoFailed when it ends, or says nothing, before it is ready.
    """
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.cli", *words),
            cwd=folder,
            env=_inherited() | dict(environ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # Ctrl-C reaches the demo alone, which then ends its children in order
            preexec_fn=before_exec() if sys.platform == "linux" else None,
        )
    try:
        yield await _ready(process, words[0], log)
    finally:
        await _stop(process)


async def _ready(process: asyncio.subprocess.Process, name: str, log: Path) -> Any:
    line = b""
    if process.stdout is not None:
        with contextlib.suppress(TimeoutError):
            line = await asyncio.wait_for(process.stdout.readline(), READY_S)
    try:
        return json.loads(line)
    except ValueError:
        with contextlib.suppress(TimeoutError):  # it is ending, if it has not said anything
            await asyncio.wait_for(process.wait(), 1)
        raise DemoFailed(f"`gateway {name}` did not come up; {log} says why:\n{_last_lines(log)}") from None


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def _last_lines(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
