"""The wiring's own manners."""

import asyncio

from gateway.app import _ended, _kept_alive
from gateway.errors.store import StoreUnavailable


async def test_a_loop_that_fails_while_it_is_stopped_is_not_begun_again() -> None:
    """The database goes first: what was on its way back to the queue stays, and the process ends all the same."""
    begun = []

    async def loop() -> None:
        begun.append(True)
        try:
            await asyncio.Event().wait()
        finally:
            raise StoreUnavailable("gone")

    task = asyncio.create_task(_kept_alive("texts", loop))
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        await _ended(task)

    assert begun == [True]
