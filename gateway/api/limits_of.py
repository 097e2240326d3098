"""A sender's limits as the API tells them: its rate, its caps and how full they are."""

from collections.abc import Sequence
from datetime import UTC, datetime

from gateway.api.doors import Doors
from gateway.clock import now_ms
from gateway.errors import BadLimits, RedisAway, UnknownProfile
from gateway.limits.windows import bounds
from gateway.model.limit import Blocked, Cap, Limit, Throughput, Usage
from gateway.model.sender import Sender
from gateway.store import usage


def of_sender(doors: Doors, sender: Sender, mode: str) -> tuple[Limit, ...]:
    """What this sender's texts are limited by today. Raises UnknownProfile, BadLimits."""
    return doors.profiles.of_sender(sender, mode, datetime.now(UTC).date())


def rate_of(limits: Sequence[Limit]) -> float | None:
    """Segments (or messages, or calls) a second; None where nothing paces."""
    rates = [limit.n * 1_000_000 / limit.period_us for limit in limits if isinstance(limit, Throughput)]
    return min(rates, default=None)


def is_blocked(limits: Sequence[Limit]) -> bool:
    """Whether nothing may leave, whatever the counters say."""
    return any(isinstance(limit, Blocked) for limit in limits)


def pace(doors: Doors, sender: Sender, mode: str) -> float | None:
    """Segments a second, or None where that is not known."""
    try:
        return rate_of(of_sender(doors, sender, mode))
    except (UnknownProfile, BadLimits):
        return None


async def fullness(doors: Doors, limits: Sequence[Limit]) -> tuple[Usage, ...]:
    """How full every cap is. Where Redis is away nothing is sent, so the database alone then tells the truth."""
    caps = [limit for limit in limits if isinstance(limit, Cap)]
    if not caps:
        return ()
    now_us = now_ms() * 1000
    durable = await doors.database.read(lambda tx: usage.of_limits(tx, [cap.key for cap in caps], now_us))
    try:
        return await doors.gate.usage(caps, durable)
    except RedisAway:
        found = [(cap, bounds(cap, now_us)) for cap in caps]
        return tuple(
            Usage(cap, window.start_us, window.end_us, durable.get((cap.key, window.start_us), 0), 0)
            for cap, window in found
        )
