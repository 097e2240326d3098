"""What each limit used in each window: the database's side of the gate."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.model.limit import Debit, Full, Reached, Rolling, UsageRow
from gateway.store.database import Row, Tx

_LONGEST_WINDOW_US = 34 * 86_400 * 1_000_000  # a calendar month, or 31 rolling days, and a part of them
_TOLD_PERCENT = (80, 100)
_SLACK_US = 3_600_000_000  # a window that is over still counts for a moment, by other machines' clocks


async def add(tx: Tx, debits: Iterable[Debit], seq: int, *, sign: int = 1) -> None:
    """Add (`sign` -1: take back) debits, in the transaction that writes `sending` (or takes it back)."""
    units: Counter[tuple[str, int, int]] = Counter()
    for debit in debits:
        units[debit.limit_key, debit.window_start_us, debit.until_us] += sign * debit.units
    rows = [
        {"limit_key": key, "window_us": start, "used": used, "seq": seq, "until_us": until}
        for (key, start, until), used in units.items()
    ]
    await tx.many("usage_add", rows)


async def reached(tx: Tx, windows: Iterable[Full], now_us: int) -> list[Reached]:
    """Which of these windows have now come to 80 or 100 per cent, in the rows; each is told once.

    A rolling limit is told once while what told of it counts; `now_us` says what of it still does.
    """
    found = []
    for window in windows:
        for percent in _TOLD_PERCENT:
            used = await _came_to(tx, window, percent, now_us)
            if used is not None:
                found.append(Reached(window, percent, used))
    return found


async def tell_again(tx: Tx, counters: str) -> None:
    """A scope's limits have changed: what its windows have come to is told anew. `counters`: what they are named by."""
    for span in _spans(counters):
        await tx.run("usage_untold", **span)


async def count_again(tx: Tx, *counters: str) -> None:
    """Whom these scopes bind, or what they say, has changed: what has left is to be counted again. None: of all."""
    for span in _spans(*counters) if counters else [{"first": "", "last": "~"}]:
        await tx.run("counted_lapse", **span)


def _spans(*counters: str) -> list[dict[str, str]]:
    """Between which keys the limits of these scopes lie, those of test keys, too; `;` comes right after `:`."""
    return [{"first": f"{mode}{each}:", "last": f"{mode}{each};"} for each in counters for mode in ("", "test:")]


async def _came_to(tx: Tx, window: Full, percent: int, now_us: int) -> int | None:
    cap, window_us = window.cap, window.window_start_us
    units = -(-cap.limit * percent // 100)
    if isinstance(cap, Rolling):
        row = {"limit_key": cap.counter, "now_us": now_us}
        noted = await tx.run("usage_rolled", **row, window_us=window_us, percent=percent, units=units)
        return int(await tx.value("usage_rolling", **row)) if noted else None
    row = {"limit_key": cap.key, "window_us": window_us}
    noted = await tx.run("usage_reached", **row, percent=percent, units=units)
    return int(await tx.value("usage_one", **row)) if noted else None


async def epoch(tx: Tx) -> int:
    """The epoch of the counters that grants must be of."""
    return int(await tx.value("epoch_now"))


class InForce(NamedTuple):
    """The epoch of the counters and the version of the scopes' limits that grants must be of.

    longest: the most segments that any text had that was granted.
    day:     since 1970, UTC: the last one noted on which rows of the limits file came into force.
    """

    epoch: int
    version: int
    longest: int
    day: int


async def in_force(tx: Tx) -> InForce:
    """What grants must be of."""
    row = await tx.row("epoch_now")
    return InForce(row["epoch"], row["version"], row["longest"], row["day"]) if row is not None else InForce(0, 0, 1, 0)


async def had(tx: Tx, segments: int) -> None:
    """Note that a text of so many segments may leave."""
    await tx.run("epoch_longest", segments=segments)


@dataclass(frozen=True, slots=True)
class Rebuild:
    """What the counters of a new epoch begin with.

    has_sent: something may have left within the last second. longest: how many segments it had at most.
    calls:    ids of all that may be up, in any process.
    """

    epoch: int
    rows: list[UsageRow]
    has_sent: bool
    longest: int
    calls: frozenset[str]


async def raise_epoch(tx: Tx, beyond: int, now_ms: int, *, known: int) -> Rebuild | int:
    """Begin a new epoch, above the present one and above `beyond`, with the rows of windows that may not be over.

    known:   the epoch the caller saw fail.
    Returns: the epoch in force, and nothing was changed, where that is another one: somebody else rebuilds.
    """
    here = await in_force(tx)
    if here.epoch != known:
        return here.epoch
    await tx.run("epoch_raise", beyond=beyond)
    now_us = now_ms * 1000
    rows = await tx.rows("usage_since", since_us=now_us - _LONGEST_WINDOW_US, now_us=now_us - _SLACK_US)
    has_sent = bool(await tx.value("usage_anything_sent"))
    up = frozenset([row["id"] for row in await tx.rows("calls_live_ids")])
    return Rebuild(await epoch(tx), [_row(row) for row in rows], has_sent, here.longest, up)


async def forget(tx: Tx, now_ms: int, limit: int) -> int:
    """Delete what rolling limits no longer count, at most `limit` rows. Returns how many."""
    return await tx.run("usage_forget", now_us=now_ms * 1000 - _SLACK_US, limit=limit)


async def of_limits(tx: Tx, keys: Sequence[str], now_us: int) -> dict[tuple[str, int], int]:
    """Units used by (limit key, window start), as `Gate.usage` wants them."""
    rows = await tx.rows("usage_of", keys=keys, since_us=now_us - _LONGEST_WINDOW_US)
    return {(row["limit_key"], row["window_us"]): row["used"] for row in rows}


def _row(row: Row) -> UsageRow:
    return UsageRow(row["limit_key"], row["window_us"], row["used"], row["seq"], row["until_us"])
