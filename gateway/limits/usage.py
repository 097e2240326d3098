"""How full caps and rolling limits are: their windows of now, and what was used of each."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias

from gateway.errors.limits import RedisAway
from gateway.limits.asking import MARKER, Windows, counter_of
from gateway.limits.quotas import NEAR_US
from gateway.limits.server import Server
from gateway.limits.windows import bounds
from gateway.model.limit import BUCKETS, Cap, Rolling, Usage

Spans: TypeAlias = Sequence[tuple[int, int]]


def spans_of(cap: Cap | Rolling, now_us: int, windows: Windows = bounds) -> list[tuple[int, int]]:
    """The windows of a cap, or parts of a rolling limit, that count at `now_us`, oldest first: begin, and when over."""
    if isinstance(cap, Cap):
        window = windows(cap, now_us)
        return [(window.start_us, window.end_us)]
    part, kept = cap.part_us, cap.part_us + cap.length_us + NEAR_US
    last = now_us // part * part
    starts = range(last - (BUCKETS + 3) * part, last + part, part)
    return [(start, start + kept) for start in starts if start + kept > now_us]


def counter_name(cap: Cap | Rolling) -> str:
    """What debits and usage rows name its counter by."""
    return cap.counter if isinstance(cap, Rolling) else cap.key


async def debited(server: Server, found: Sequence[tuple[Cap | Rolling, Spans]], epoch: int) -> list[list[int]]:
    """What Redis has debited from each of these limits, by span. Raises RedisAway, also in another epoch."""

    async def ask() -> list[Any]:
        pipeline = server.redis.pipeline(transaction=False)
        pipeline.hget(MARKER, "epoch")
        for cap, spans in found:
            for start_us, _ in spans:
                counter, field, _, _ = counter_of(counter_name(cap), start_us)
                pipeline.hget(counter, field)
        return await pipeline.execute()

    in_force, *units = await server.bounded(ask)
    if int(in_force or 0) != epoch:
        raise RedisAway("the counters are being rebuilt")
    counts = iter(units)
    return [[int(each or 0) for each in islice(counts, len(spans))] for _, spans in found]


def usage_of(
    cap: Cap | Rolling,
    spans: Spans,
    units: Sequence[int],
    durable: Mapping[tuple[str, int], int] | None,
) -> Usage:
    """Sum up the units debited in these spans; `durable` as in `Gate.usage`."""
    total = sum(units)
    used = total if durable is None else sum(durable.get((counter_name(cap), start), 0) for start, _ in spans)
    oldest = next((over for (_, over), count in zip(spans, units, strict=True) if count), spans[-1][1])
    return Usage(cap, spans[0][0], oldest, used, max(0, total - used))


def usage_from_rows(cap: Cap | Rolling, durable: Mapping[tuple[str, int], int], now_us: int) -> Usage:
    """How full it is by the database's rows alone, while Redis is away and nothing is sent."""
    spans = spans_of(cap, now_us)
    return usage_of(cap, spans, [durable.get((counter_name(cap), start), 0) for start, _ in spans], durable)
