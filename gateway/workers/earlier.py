"""Counts what had left before a limit was there: in the usage rows and in Redis before anything is taken under it.

What leaves is debited from the limits of its moment alone. One that comes in the middle of its window (a change of a
sender or a scope, a new day of the limits file) would not know of the rest, and let too many through.

Why nothing is missed: a change raises the version, and no commit of an older one follows that of the change. Who has
seen the new version therefore counts all that left without the limit, at whatever moment after that; what leaves under
it meanwhile is debited by whoever sends, who counted before. A row and a counter are only ever raised to a count, so
two who count, or a rebuild from the rows in between, do no harm.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Final

from gateway import steps
from gateway.clock import now_ms
from gateway.limits import earlier
from gateway.limits.binding import Binding
from gateway.limits.earlier import Batch
from gateway.limits.gate import ROWS, Gate
from gateway.limits.profiles import kind_of
from gateway.model.left import Left
from gateway.model.limit import Blocked, Cap, Full, Rolling, UsageRow
from gateway.model.sender import Sender
from gateway.store import left
from gateway.store.database import Database, Tx
from gateway.workers.reached import tell

_NONE: Final = UsageRow("", 0, 0, 0)


class Earlier:
    """One a process. counts_unknown: see `binding.of_texts`."""

    def __init__(self, gate: Gate, database: Database, *, counts_unknown: bool) -> None:
        self._gate = gate
        self._database = database
        self._counts_unknown = counts_unknown
        self._done: dict[tuple[str, str, str], Binding] = {}
        self._one_counts: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # by scope

    async def counted(self, bound: Binding, sender: Sender, mode: str, road: str = "") -> bool:
        """Return when all that left is counted for what binds this sender's texts (or its calls over `road`).

        Returns: False where Redis's clock and ours disagree: nothing may be taken.
        Raises:  RedisAway, StoreUnavailable; then the same holds.
        """
        whose = (sender.number, mode, road)
        done = self._done.get(whose)
        if done is bound or done == bound:
            return True
        scopes: defaultdict[str, list[Cap | Rolling]] = defaultdict(list)
        for limit in _counting(bound):
            scopes[":".join(earlier.scope_of_key(limit.key))].append(limit)
        for scope, limits in scopes.items():
            async with self._one_counts[scope]:
                if not await self._count(limits, bound, sender, mode):
                    return False
        self._done[whose] = bound
        return True

    async def _count(self, limits: Sequence[Cap | Rolling], bound: Binding, sender: Sender, mode: str) -> bool:
        keys = [limit.key for limit in limits]
        fresh = await self._database.read(partial(left.not_counted, keys=keys))
        late = [limit for limit in limits if limit.key in fresh]
        if not late:
            return True
        now_us = now_ms() * 1000
        newest = {_counter(limit): _NONE for limit in late}  # of what all share: the row that its news is kept in
        for batch in earlier.batches(late, now_us):
            rows = await self._note(batch, now_us)
            if not await self._gate.raise_to(rows):
                return False
            newest |= {row.limit_key: row for row in rows if row.limit_key in newest and row.window_start_us <= now_us}
        found = [(limit, newest[_counter(limit)]) for limit in late]
        full = [Full(limit, row.window_start_us, row.until_us) for limit, row in found if row.used]

        async def work(tx: Tx) -> None:
            await left.note_counted(tx, sorted(fresh), bound.version, now_us)
            await tell(tx, full, now_us, sender, mode, bound.callbacks)

        await self._database.write(work)
        return True

    async def _note(self, batch: Batch, now_us: int) -> list[UsageRow]:
        """Raise the usage rows. What may still come back is counted in the transaction that raises them.

        The rest, which may be much, is counted beside the writer, and noted some at a time where it is of many people.
        """
        settled_ms = await self._database.read(partial(left.settled_ms, asks=batch.asks, now_ms=now_us // 1000))
        parted = [ask.parted(settled_ms * 1000) for ask in batch.asks]
        old = [each for ask, _ in parted for each in await self._database.read(partial(left.counted, ask=ask))]

        async def work(tx: Tx) -> tuple[list[UsageRow], set[str]]:
            new = [each for ask in moving for each in await left.counted(tx, ask)]
            people = {each.person for each in new}
            rows = self._rows(batch, [each for each in old if each.person in people] + new, now_us)
            await left.raise_usage(tx, rows)
            return rows, people

        moving = [ask for _, ask in parted if ask.since_us < ask.until_us]
        steps.reached("earlier:before")
        rows, people = await self._database.write(work) if moving else ([], set())
        rest = self._rows(batch, [each for each in old if each.person not in people], now_us)
        for first in range(0, len(rest), ROWS):
            await self._database.write(partial(left.raise_usage, rows=rest[first : first + ROWS]))
        steps.reached("earlier:after")
        return rows + rest

    def _rows(self, batch: Batch, gone: Sequence[Left], now_us: int) -> list[UsageRow]:
        return earlier.rows(batch, gone, now_us, counts_unknown=self._counts_unknown)


def _counting(bound: Binding) -> list[Cap | Rolling]:
    """Every cap and rolling limit, once; none where nothing leaves."""
    if any(isinstance(limit, Blocked) for limit in bound.shared):
        return []
    every = dict.fromkeys(limit for limits in (bound.shared, *bound.networks.values(), bound.each) for limit in limits)
    return [limit for limit in every if isinstance(limit, Cap | Rolling)]


def _counter(limit: Cap | Rolling) -> str:
    """The row that tells what it came to; one person's are nobody's news."""
    if isinstance(limit, Rolling):
        return limit.counter if kind_of(limit.key) != "recipient" else ""
    return limit.key
