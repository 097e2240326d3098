"""The pure model of caps and rolling limits as `lua/quotas.lua` keeps them. Instants and spans are integers, in us."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.limits.windows import Bounds

NEAR_US = 2_000_000  # a slot this close to a boundary is charged to both windows
NEVER = 0


@dataclass(frozen=True, slots=True)
class Quota:
    """One cap as the script sees it, with the windows around the caller's idea of now."""

    key: str
    limit: int
    segments: bool
    bounds: Bounds


@dataclass(frozen=True, slots=True)
class Roll:
    """One family of rolling counters as the script sees it; `member` where all messages share one."""

    key: str
    limit: int
    segments: bool
    length_us: int
    part_us: int
    member: str = ""

    def over_us(self, part: int) -> int:
        """When what was charged to this part no longer counts."""
        return (part + 1) * self.part_us + self.length_us + NEAR_US


def starts_of(bounds: Bounds) -> tuple[int, int, int, int]:
    """Where the window before begins, this one, the next and the one after that."""
    return bounds.previous_us, bounds.start_us, bounds.end_us, bounds.after_us


def windows_of(bounds: Bounds, slot_us: int) -> tuple[int, ...] | None:
    """Which windows (0 to 2) a slot is charged to; None where the bounds do not reach that far."""
    if slot_us < bounds.start_us or slot_us + NEAR_US >= bounds.after_us:
        return None
    charged = (
        slot_us - bounds.start_us <= NEAR_US,
        slot_us <= bounds.end_us + NEAR_US,
        slot_us >= bounds.end_us - NEAR_US,
    )
    return tuple(window for window, yes in enumerate(charged) if yes)


def full(used: Mapping[tuple[str, int], int], quota: Quota, charged: Sequence[int], need: int) -> list[int]:
    """When each of the charged windows that has no room opens; NEVER where it never has."""
    starts = starts_of(quota.bounds)
    if need > quota.limit:
        return [NEVER]
    return [
        starts[window + 1] + NEAR_US + 1
        for window in charged
        if used.get((quota.key, starts[window]), 0) + need > quota.limit
    ]


def rolled_full(rolled: Mapping[tuple[str, str, int], int], roll: Roll, member: str, slot: int, need: int) -> list[int]:
    """When there is room again; empty while there is."""
    if need > roll.limit:
        return [NEVER]
    counted = {part: units for (key, who, part), units in rolled.items() if (key, who) == (roll.key, member)}
    live = sorted(part for part in counted if roll.over_us(part) > slot)
    total = need + sum(counted[part] for part in live)
    if total <= roll.limit:
        return []
    for part in live:
        total -= counted[part]
        if total <= roll.limit:
            return [roll.over_us(part)]
    raise AssertionError("without any of it there is room: need <= limit")
