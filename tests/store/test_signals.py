"""Wake-ups between the parts of a process."""

import asyncio

from gateway.store.signals import Signals


async def test_a_wait_that_is_cancelled_just_as_it_is_woken_ends() -> None:
    """A loop that lost the cancel would go on for ever, and a stop would wait for it."""
    signals = Signals()

    woken = signals.listen("calls")

    async def loop() -> None:
        while True:
            await woken.wait(5.0)

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    signals.wake("calls")
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=1.0)

    assert task.cancelled()


async def test_what_was_woken_before_is_not_waited_for() -> None:
    signals = Signals()
    woken = signals.listen("events")
    signals.wake("events")

    async with asyncio.timeout(1.0):
        await woken.wait(60.0)


async def test_what_one_loop_has_heard_another_still_has_to() -> None:
    signals = Signals()
    loops = [signals.listen("events"), signals.listen("events")]
    signals.wake("events")

    async with asyncio.timeout(1.0):
        for woken in loops:
            await woken.wait(60.0)
