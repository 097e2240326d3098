"""When a sender will have sent so much: its rate, and what its caps have left, window after window. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.limits.windows import bounds
from gateway.model.limit import Cap, Usage

_MOST_WINDOWS = 2_000  # five years of days; what takes longer is told as never


@dataclass(slots=True)
class _Cap:
    """One cap on its way through its windows."""

    cap: Cap
    free: int
    resets_us: int

    def renew(self, now_us: int) -> None:
        if self.resets_us <= now_us:  # at once, however many windows lie between: a start may be years ahead
            self.free = self.cap.limit
            self.resets_us = bounds(self.cap, now_us).end_us


@dataclass(frozen=True, slots=True)
class Estimate:
    """When the last one leaves, and what held it up last: "rate", or a cap such as `cap_day`. None: never."""

    finish_us: int | None
    limited_by: str


def finish(units: int, per_s: float, usages: Sequence[Usage], start_us: int) -> Estimate:
    """Estimate when `units` have left.

    units:    segments, those that wait before included.
    per_s:    units a second, above 0.
    usages:   how full each cap is now; rolling limits are left out, since their windows never end.
    start_us: when the first may leave.
    """
    caps = [_Cap(each.cap, each.free, each.resets_at_us) for each in usages if isinstance(each.cap, Cap)]
    now_us, left, limited_by = start_us, units, "rate"
    for _ in range(_MOST_WINDOWS):
        for cap in caps:
            cap.renew(now_us)
        reset_us = min((cap.resets_us for cap in caps), default=None)
        room = min((cap.free for cap in caps), default=left)
        in_time = left if reset_us is None else -(-int((reset_us - now_us) * per_s) // 1_000_000)
        step = min(left, room, max(in_time, 1))
        for cap in caps:
            cap.free -= step
        left -= step
        now_us += int(step / per_s * 1_000_000)
        if not left:
            return Estimate(now_us, limited_by)
        empty = [cap for cap in caps if cap.free <= 0]
        if empty:
            last = max(empty, key=lambda cap: cap.resets_us)
            limited_by = f"cap_{last.cap.window}"
            if not last.cap.limit:
                break
            now_us = max(now_us, last.resets_us)
    return Estimate(None, limited_by)
