"""How a loop of the gateway lives: begun again when it fails, until it is stopped."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

_log = structlog.get_logger(__name__)


async def kept_alive(name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `loop` for ever. One that fails is logged and begun again: nothing it works on lives only in it."""
    while True:
        try:
            await loop()
        except Exception as error:  # noqa: BLE001 - whatever it was, the loop must go on
            _log.exception("loop_failed", loop=name, error=repr(error))
            if (task := asyncio.current_task()) is not None and task.cancelling():
                return  # it failed while it was stopped: begun again, nobody would stop it any more
            await asyncio.sleep(1)


async def ended(task: asyncio.Task[None]) -> None:
    """Stop the task of a loop, and wait for its end."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
