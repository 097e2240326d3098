"""A sender's limits as the API tells them: its rate, its caps and how full they are."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from gateway.api.doors import Doors
from gateway.clock import now_ms
from gateway.errors.api import FieldProblem, InvalidRequest
from gateway.errors.limits import BadLimits, RedisAway, UnknownProfile
from gateway.limits import binding, earlier
from gateway.limits.usage import counter_name, usage_from_rows
from gateway.model.limit import Blocked, Cap, Limit, Rolling, Throughput, Usage
from gateway.model.sender import Sender
from gateway.store import left, scopes, usage


def of_sender(doors: Doors, sender: Sender, mode: str) -> tuple[Limit, ...]:
    """What this sender's texts are limited by today. Raises UnknownProfile, BadLimits."""
    return doors.profiles.of_sender(sender, mode, datetime.now(UTC).date())


async def of_all_scopes(doors: Doors, sender: Sender, mode: str) -> tuple[Limit, ...]:
    """What its texts are limited by in every scope, as far as one person or an unknown network is not concerned.

    Raises: UnknownProfile, BadLimits.
    """
    account = "practice" if mode == "test" else sender.carrier
    found = await doors.database.read(lambda tx: scopes.of_sender(tx, sender, account))
    today = datetime.now(UTC).date()
    limits = [
        *of_sender(doors, sender, mode),
        *(each for one in found for each in doors.profiles.of_scope(one, mode, today)),
    ]
    bound = binding.of_texts(limits, found, 0, counts_unknown=doors.settings.limits.unknown_network == "all")
    networks = dict.fromkeys(each for limits in bound.networks.values() for each in limits)
    return (*bound.shared, *networks)


def invalid(error: BadLimits) -> InvalidRequest:
    """The answer to numbers that cannot be used: an entry for each that is wrong."""
    keys = error.keys or {"": str(error)}
    return InvalidRequest(
        *(FieldProblem(f"limits.{key}" if key else "limits", error.slug, told) for key, told in keys.items())
    )


def slowest_source(limits: Sequence[Limit]) -> str:
    """Where the slowest rate stands."""
    rates = [limit for limit in limits if isinstance(limit, Throughput)]
    slowest = min(rates, key=lambda limit: limit.n / limit.period_us, default=None)
    return slowest.source if slowest is not None else ""


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
    caps = [limit for limit in limits if isinstance(limit, Cap | Rolling)]
    if not caps:
        return ()
    now_us = now_ms() * 1000
    durable = await doors.database.read(lambda tx: usage.of_limits(tx, list(map(counter_name, caps)), now_us))
    durable |= await _not_noted_yet(doors, caps, durable, now_us)
    try:
        return await doors.gate.usage(caps, durable)
    except RedisAway:
        return tuple(usage_from_rows(cap, durable, now_us) for cap in caps)


async def _not_noted_yet(
    doors: Doors, caps: Sequence[Cap | Rolling], durable: Mapping[tuple[str, int], int], now_us: int
) -> dict[tuple[str, int], int]:
    """What left before a limit was there, where nobody has taken anything under it yet: see `workers/earlier.py`."""
    fresh = await doors.database.read(partial(left.not_counted, keys=[cap.key for cap in caps]))
    late = [cap for cap in caps if cap.key in fresh]
    counts_unknown = doors.settings.limits.unknown_network == "all"
    found: dict[tuple[str, int], int] = {}
    for batch in earlier.batches(late, now_us):
        gone = [each for ask in batch.asks for each in await doors.database.read(partial(left.counted, ask=ask))]
        for row in earlier.rows(batch, gone, now_us, counts_unknown=counts_unknown):
            counter = (row.limit_key, row.window_start_us)
            found[counter] = max(row.used, durable.get(counter, 0))
    return found
