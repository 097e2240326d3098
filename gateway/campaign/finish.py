"""When a broadcast of calls that may only be made at some hours will have called everybody. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from gateway.campaign.hours import Hours, closes_ms, opens_ms

Zones: TypeAlias = tuple[str, ...]

_MOST_SPELLS: Final = 1_000  # between two openings or closings; some months. What takes longer is told as not known


@dataclass(frozen=True, slots=True)
class Finish:
    """When the first and the last is called; None: nobody, or too far off. never: who has no such hour at all."""

    begins_ms: int | None
    ends_ms: int | None
    never: int


def within(hours: Hours, people: Mapping[Zones, int], *, ahead: int, per_s: float, start_ms: int) -> Finish:
    """Estimate it.

    people:   how many there are whose numbers stand for the same time zones; each must have it.
    ahead:    calls of the sender that wait already, and go first.
    per_s:    calls a second, above 0; those whose time it is share it, as they stand mixed in a list.
    start_ms: not before.
    """
    left: dict[Zones, float] = {zones: count for zones, count in people.items() if count}
    never = [zones for zones in left if opens_ms(hours, zones, start_ms) is None]
    lost = sum(people[zones] for zones in never)
    for zones in never:
        del left[zones]
    begins_ms = min(filter(None, (opens_ms(hours, zones, start_ms) for zones in left)), default=None)
    now = start_ms + ahead / per_s * 1000
    for _ in range(_MOST_SPELLS):
        if not left:
            return Finish(begins_ms, round(now) if begins_ms is not None else None, lost)
        now = _spell(hours, left, per_s / 1000, now)
    return Finish(begins_ms, None, lost)


def _spell(hours: Hours, left: dict[Zones, float], per_ms: float, now: float) -> float:
    """Call those whose time it is until somebody's time comes or goes. Returns when that is."""
    moment = round(now)
    opens = {zones: opens_ms(hours, zones, moment) for zones in left}
    later = [at for at in opens.values() if at is not None and at > moment]
    ready = [zones for zones, at in opens.items() if at == moment]
    if not ready:
        return min(later, default=float(moment + 86_400_000))
    until = min([*later, *(closes_ms(hours, zones, moment) for zones in ready)])
    waiting = sum(left[zones] for zones in ready)
    called = min(waiting, max((until - now) * per_ms, 0))
    for zones in ready:
        left[zones] *= 1 - called / waiting
        if left[zones] < 0.5:
            del left[zones]
    return until if called < waiting else now + called / per_ms
