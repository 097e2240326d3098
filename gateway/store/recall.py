"""Change something about messages and calls while a sender's loop may hold some of them, committed but unwritten.

The loop enters what it reads into its plan before it looks at opt-outs and jobs. So a recall before the change takes
what was planned by then, and a second one after it takes what was planned while the change was on its way to the
disk; whatever is planned later sees the change.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from gateway import steps
from gateway.store.database import Database, Tx
from gateway.store.signals import Leaving, Signals

T = TypeVar("T")
Settle = Callable[[Tx, Sequence[str]], Awaitable[list[str]]]


async def write_with_recall(
    database: Database,
    signals: Signals,
    matches: Callable[[Leaving], bool],
    settle: Settle,
    work: Callable[[Tx], Awaitable[T]],
) -> tuple[T, list[str]]:
    """Run `work` in a transaction, and take back every unwritten message and call that `matches`.

    settle:  moves what was taken back to where it now belongs; returns the ids that moved. It runs in the same
             transaction as `work`, and once more for what was planned meanwhile.
    Returns: what `work` returned, and every id that `settle` moved. No byte of these leaves any more.
    """
    steps.reached("stop:before")
    recalled = signals.recall(matches)

    async def change(tx: Tx) -> tuple[T, list[str]]:
        return await work(tx), await settle(tx, recalled)

    result, moved = await database.write(change)
    late = signals.recall(matches)
    if late:
        moved = moved + await database.write(lambda tx: settle(tx, late))
    steps.reached("stop:after")
    return result, moved
