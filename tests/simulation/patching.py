"""How a history lives in this Python process: time and chance come from it while it runs, and its tasks are buried after."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Final

import gateway.clock
from gateway import steps
from gateway.clock import IdMaker
from gateway.workers import carrier_health, housekeeper, leases, slots
from tests.simulation.process import Process
from tests.simulation.virtual_loop import Killed, VirtualLoop, process_of
from tests.simulation.world import Clocks

_MOST_FINALLIES: Final = 20


@contextmanager
def patched(clocks: Clocks, chance: Random) -> Iterator[None]:
    """Time and chance come from the history, and nothing else does."""
    was = gateway.clock.time, gateway.clock._ids, carrier_health._dice, leases._dice, housekeeper._EVERY_S
    had_alarm = slots.HAS_ALARM
    gateway.clock.time = clocks  # type: ignore[assignment]
    gateway.clock._ids = IdMaker(dice=chance.getrandbits)
    carrier_health._dice = leases._dice = chance  # type: ignore[misc,assignment]
    housekeeper._EVERY_S = 3.0  # type: ignore[misc]
    slots.HAS_ALARM = False  # type: ignore[misc]  # the kernel knows no virtual time
    steps.listen(_step)
    try:
        yield
    finally:
        steps.listen(None)
        gateway.clock.time, gateway.clock._ids, carrier_health._dice, leases._dice, housekeeper._EVERY_S = was  # type: ignore[misc]
        slots.HAS_ALARM = had_alarm  # type: ignore[misc]


def _step(step: str) -> None:
    process = process_of.get()
    if isinstance(process, Process):
        process.reached(step)


def bury(loop: VirtualLoop, processes: list[Process]) -> None:
    """Forget every task without a word: they belong to processes that are dead, or to a world that is over."""
    for process in processes:
        process.kill()
    for task in loop.born:
        if task.done():
            if not task.cancelled():
                task.exception()
            continue
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        for _ in range(_MOST_FINALLIES):
            try:
                task.get_coro().close()  # type: ignore[union-attr]
                break
            except (Exception, Killed):  # noqa: BLE001, S112 - it waits in a `finally`; on to the next one
                continue
    loop.close()
    loop.born.clear()
