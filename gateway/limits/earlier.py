"""What left before a limit was there counts in its windows: what is to be asked for that, and the usage rows of it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.limits.asking import REACH_US
from gateway.limits.profiles import kind_of
from gateway.limits.quotas import NEAR_US
from gateway.limits.usage import counter_name
from gateway.limits.windows import bounds
from gateway.model.left import Ask, Left
from gateway.model.limit import Cap, Rolling, UsageRow

QUARTER_US: Final = 900_000_000  # every zone's days begin at a quarter of an hour of UTC
_EVER_US: Final = 2**61  # a clock that was ahead stamped what left with a time to come
_NEXT_US: Final = NEAR_US + REACH_US  # a slot so near the end of a window may be charged to the next one


@dataclass(frozen=True, slots=True)
class Batch:
    """Limits that the same asks serve."""

    asks: tuple[Ask, ...]
    limits: tuple[Cap | Rolling, ...]


def scope_of_key(limit_key: str) -> tuple[str, str]:
    """What a limit's scope is named by, and its mode: `("sender:+18005550199", "live")`."""
    kind, name = limit_key.removeprefix("test:").split(":")[:2]
    return f"{kind}:{name}", "test" if limit_key.startswith("test:") else "live"


def rows(batch: Batch, left: Sequence[Left], now_us: int, *, counts_unknown: bool) -> list[UsageRow]:
    """The least that the usage rows of these limits' present windows may say, those of a limit by their begin.

    left:           what the batch's asks found.
    counts_unknown: see `binding.of_texts`.
    """
    return [row for limit in batch.limits for row in _rows(limit, left, now_us, counts_unknown=counts_unknown)]


def batches(limits: Iterable[Cap | Rolling], now_us: int) -> list[Batch]:
    """What is to be asked for these limits: the caps of a scope together, each rolling limit by its own parts."""
    caps: dict[tuple[tuple[str, str], bool], list[Cap]] = {}
    found: list[Batch] = []
    for limit in limits:
        if isinstance(limit, Cap):
            caps.setdefault((scope_of_key(limit.key), limit.unit == "call"), []).append(limit)
        elif kind_of(limit.key) == "recipient":
            found += _of_each(limit, now_us)
        else:
            since_us = _parts(limit, now_us)[0] * limit.part_us
            asks = (_ask(limit, since_us, _EVER_US, part_us=limit.part_us),)
            found.append(Batch(asks, (limit,)))
    for same in caps.values():
        since_us = min(start for cap in same for start, _ in _windows(cap, now_us)) - NEAR_US
        asks = (_ask(same[0], since_us, _EVER_US, part_us=QUARTER_US, near_us=NEAR_US),)
        found.append(Batch(asks, tuple(same)))
    return found


def _of_each(limit: Rolling, now_us: int) -> list[Batch]:
    """People may be millions: one part at a time, texts and calls."""
    part_us = limit.part_us
    return [
        Batch(
            tuple(
                _ask(limit, part * part_us, (part + 1) * part_us, part_us=part_us, calls=calls, each=True)
                for calls in (False, True)
            ),
            (limit,),
        )
        for part in _parts(limit, now_us)
    ]


def _ask(
    limit: Cap | Rolling,
    since_us: int,
    until_us: int,
    *,
    part_us: int,
    near_us: int = 0,
    calls: bool | None = None,
    each: bool = False,
) -> Ask:
    scope, mode = scope_of_key(limit.key)
    of_calls = limit.unit == "call" if calls is None else calls
    return Ask(scope, mode, of_calls, each, part_us, near_us, since_us, until_us)


def _parts(limit: Rolling, now_us: int) -> range:
    """The parts that still count."""
    first = (now_us - limit.length_us - NEAR_US) // limit.part_us
    return range(first, (now_us + REACH_US) // limit.part_us + 1)


def _windows(cap: Cap, now_us: int) -> list[tuple[int, int]]:
    """The windows that a slot may be charged to just now: begin and end."""
    here = bounds(cap, now_us)
    before = [(here.previous_us, here.start_us)] if now_us - here.start_us <= _NEXT_US else []
    after = [(here.end_us, here.after_us)] if here.end_us - now_us <= _NEXT_US else []
    return [*before, (here.start_us, here.end_us), *after]


def _rows(limit: Cap | Rolling, left: Sequence[Left], now_us: int, *, counts_unknown: bool) -> list[UsageRow]:
    if isinstance(limit, Rolling):
        return _of_parts(limit, left, now_us)
    mine = [each for each in left if _is_counted(limit, each.network, counts_unknown=counts_unknown)]
    found = []
    for start, end in _windows(limit, now_us):
        first, beyond = start // QUARTER_US, -(-end // QUARTER_US)
        used = sum(_units(limit, each) for each in mine if each.ends >= first and each.begins < beyond)
        found.append(UsageRow(limit.key, start, used, 0, end))
    return [row for row in found if row.used]


def _of_parts(limit: Rolling, left: Iterable[Left], now_us: int) -> list[UsageRow]:
    used: Counter[tuple[str, int]] = Counter()
    for each in left:
        used[each.person, each.begins] += _units(limit, each)
    kept_us = limit.part_us + limit.length_us + NEAR_US
    return [
        UsageRow(f"{counter_name(limit)}{person}", start, units, 0, start + kept_us)
        for (person, part), units in sorted(used.items(), key=lambda item: item[0][1])
        if units and (start := part * limit.part_us) + kept_us > now_us
    ]


def _is_counted(cap: Cap, network: str, *, counts_unknown: bool) -> bool:
    return not cap.network or network == cap.network or (counts_unknown and not network)


def _units(limit: Cap | Rolling, left: Left) -> int:
    if limit.counts == "accepted":
        return left.taken_segments if limit.unit == "segment" else left.taken
    return left.segments if limit.unit == "segment" else left.things
