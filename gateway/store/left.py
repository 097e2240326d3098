"""What has left already, counted for limits that were not there before; and which of them it was counted for."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from gateway.model.left import Ask, Left
from gateway.model.limit import UsageRow
from gateway.model.scope import Scope
from gateway.store import scopes, usage
from gateway.store.database import Row, Tx

_SENDERS: Final = 500  # a statement: a tenant may have thousands
_PRACTICE: Final = "practice"
_HOSTS_APART_MS: Final = 10_000  # far more than their clocks may be


async def counted(tx: Tx, ask: Ask) -> list[Left]:
    """What left of all senders that the scope binds today, whatever it was bound by then.

    Each statement sees one moment, and a text is counted once in it, whether it is being offered or has left.
    """
    if ask.since_us >= ask.until_us:
        return []
    numbers = await _senders(tx, ask)
    found: list[Left] = []
    for first in range(0, len(numbers), _SENDERS):
        rows = await tx.rows(
            "calls_left" if ask.calls else "messages_left",
            senders=list(numbers[first : first + _SENDERS]),
            mode=ask.mode,
            since_ms=-(-ask.since_us // 1000),
            until_ms=-(-ask.until_us // 1000),
            part_us=ask.part_us,
            near_us=ask.near_us,
            each=int(ask.each),
        )
        found += map(_left, rows)
    return found


def _left(row: Row) -> Left:
    names = ("person", "network", "begins", "ends", "things", "segments", "taken", "taken_segments")
    values: Any = [row[name] for name in names]
    return Left(*values)


async def _senders(tx: Tx, ask: Ask) -> Sequence[str]:
    kind, _, name = ask.scope.partition(":")
    if kind == "sender":
        return [name]
    if kind in {"account", "trunk"}:
        if name == _PRACTICE:  # whatever road they have, test keys' texts take this one
            rows = await tx.rows("senders_numbers")
        else:
            rows = await tx.rows("senders_on_road", road=name, calls=int(ask.calls))
        return [row["number"] for row in rows]
    tenant, _, own = name.partition("/")
    return await scopes.senders(tx, Scope(tenant, kind, own, "open"))


async def settled_ms(tx: Tx, asks: Iterable[Ask], now_ms: int) -> int:
    """Since when what left may still come back: nothing that is being offered was committed before that."""
    first = now_ms - _HOSTS_APART_MS
    for ask in asks:
        numbers = await _senders(tx, ask)
        for place in range(0, len(numbers), _SENDERS):
            some = list(numbers[place : place + _SENDERS])
            name = "calls_offered_since" if ask.calls else "messages_offered_since"
            first = min(first, await tx.value(name, senders=some, mode=ask.mode) or first)
    return first


async def not_counted(tx: Tx, keys: Sequence[str]) -> set[str]:
    """Of these limits, by their keys, those whose past was not counted since they, or whom they bind, changed."""
    rows = await tx.rows("counted_of", keys=list(keys))
    return set(keys) - {row["limit_key"] for row in rows}


async def note_counted(tx: Tx, keys: Iterable[str], version: int, now_us: int) -> None:
    """Note that what left before, in the windows of now, is in the rows and in Redis.

    version: of the limits it was counted under. Nothing is noted where they have another one by now.
    """
    for key in keys:
        await tx.run("counted_put", limit_key=key, version=version, since_us=now_us)


async def count_by(tx: Tx, sha256: str) -> None:
    """Have everything counted again, if the limits file is another one than before."""
    if await tx.run("limits_file_put", sha256=sha256):
        await tx.run("counted_forget")


async def raise_usage(tx: Tx, rows: Iterable[UsageRow]) -> None:
    """Raise usage rows to what is told; one that is higher stays."""
    await tx.many(
        "usage_raise",
        [
            {"limit_key": row.limit_key, "window_us": row.window_start_us, "used": row.used, "until_us": row.until_us}
            for row in rows
        ],
    )


async def raise_day(tx: Tx, day: int) -> None:
    """Let what the limits file says from this day on (since 1970, UTC) hold in every process."""
    if await tx.run("day_raise", day=day):
        await usage.count_again(tx)
