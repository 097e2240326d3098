"""What each limit used in each window: the database's side of the gate."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.model.limit import Debit, UsageRow
from gateway.store.database import Row, Tx

_LONGEST_WINDOW_US = 32 * 86_400 * 1_000_000  # a calendar month and a day


async def add(tx: Tx, debits: Iterable[Debit], seq: int, *, sign: int = 1) -> None:
    """Add (`sign` -1: take back) debits, in the transaction that writes `sending` (or takes it back)."""
    units: Counter[tuple[str, int]] = Counter()
    for debit in debits:
        units[debit.limit_key, debit.window_start_us] += sign * debit.units
    await tx.many(
        "usage_add",
        [{"limit_key": key, "window_us": start, "used": used, "seq": seq} for (key, start), used in units.items()],
    )


async def epoch(tx: Tx) -> int:
    """The epoch of the counters that grants must be of."""
    return int(await tx.value("epoch_now"))


@dataclass(frozen=True, slots=True)
class Rebuild:
    """What the counters of a new epoch begin with. `has_sent`: something may have left within the last second."""

    epoch: int
    rows: list[UsageRow]
    has_sent: bool


async def raise_epoch(tx: Tx, beyond: int, now_ms: int) -> Rebuild:
    """Begin a new epoch, above the present one and above `beyond`, with the rows of windows that may not be over."""
    await tx.run("epoch_raise", beyond=beyond)
    rows = await tx.rows("usage_since", since_us=now_ms * 1000 - _LONGEST_WINDOW_US)
    has_sent = bool(await tx.value("usage_anything_sent"))
    return Rebuild(await epoch(tx), [_row(row) for row in rows], has_sent)


async def of_limits(tx: Tx, keys: Sequence[str], now_us: int) -> dict[tuple[str, int], int]:
    """Units used by (limit key, window start), as `Gate.usage` wants them."""
    rows = await tx.rows("usage_of", keys=keys, since_us=now_us - _LONGEST_WINDOW_US)
    return {(row["limit_key"], row["window_us"]): row["used"] for row in rows}


def _row(row: Row) -> UsageRow:
    return UsageRow(row["limit_key"], row["window_us"], row["used"], row["seq"])
