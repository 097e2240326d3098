"""Change something about messages and calls while a sender's loop may hold some of them, committed but unwritten.

The loop enters what it reads into its plan before it looks at opt-outs and jobs. So a recall before the change takes
what was planned by then, and a second one after it takes what was planned while the change was on its way to the
disk; whatever is planned later sees the change. Other processes are asked after the change, which is enough: who
holds a lease is read in the change's own transaction, and whoever takes one later sees the change.

A change that fails (a full disk) has taken them back all the same: `make_good` queues them again when the database can.
"""

from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeVar

import structlog

from gateway import steps
from gateway.store import leases, lives
from gateway.store.criteria import OfPerson, Told
from gateway.store.database import Database, Tx
from gateway.store.signals import Signals, Things

T = TypeVar("T")
_THINGS: tuple[Things, ...] = ("messages", "calls")
_log = structlog.get_logger(__name__)


async def settle(tx: Tx, criterion: Told, ids: Sequence[str], now_ms: int, holders: AbstractSet[int]) -> list[str]:
    """Move what was taken back to where it now belongs: the change has been made. Returns the ids that moved.

    holders: what this process has been. A reading of it may be old: what another process has committed since is left
             alone, for it may have left.
    """
    moved: list[str] = []
    for things in _THINGS:
        ours = await lives.may_settle(tx, things, ids, holders)
        if isinstance(criterion, OfPerson):
            moved += await lives.move(tx, things, ours, "cancelled", now_ms, reason="opted_out")
        else:
            moved += await lives.put_back(tx, things, ours, now_ms)
    return moved


async def write_with_recall(
    database: Database, signals: Signals, criterion: Told | None, now_ms: int, work: Callable[[Tx], Awaitable[T]]
) -> tuple[T, list[str]]:
    """Run `work` in a transaction, and take back every unwritten message and call that meets `criterion`.

    criterion: None where the change turns out to forbid nothing.
    Returns:   what `work` returned, and every id that was taken back and moved, by this process or another. No byte
               of these leaves any more.
    """
    if criterion is None:
        return await database.write(work), []
    steps.reached("stop:before")
    recalled = signals.recall(criterion)

    async def change(tx: Tx) -> tuple[T, list[str], set[int]]:
        result = await work(tx)
        holders = await leases.owners(tx, criterion.tenant_id, criterion.sender) if signals.elsewhere else set()
        return result, await settle(tx, criterion, recalled, now_ms, signals.holders), holders

    with signals.until_kept(recalled):
        result, moved, holders = await database.write(change)
    if late := signals.recall(criterion):
        with signals.until_kept(late):
            moved += await database.write(lambda tx: settle(tx, criterion, late, now_ms, signals.holders))
    if signals.elsewhere and (others := holders - {signals.holder}):
        moved += await signals.elsewhere.recall(criterion, others)
    steps.reached("stop:after")
    return result, moved


async def make_good(database: Database, signals: Signals, now_ms: int) -> None:
    """Queue again what was taken back by a recall that failed: called before each look for work.

    Raises: StoreUnavailable: they stay owed.
    """
    ids = sorted(signals.owed)
    if not ids:
        return
    signals.owed.clear()

    async def put_back(tx: Tx) -> None:
        for things in _THINGS:
            await lives.put_back(tx, things, await lives.may_settle(tx, things, ids, signals.holders), now_ms)

    with signals.until_kept(ids):
        await database.write(put_back)
    _log.warning("recall_made_good", things=len(ids))
