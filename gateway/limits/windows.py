"""Calendar windows: where the day, week or month of a zone that holds an instant begins and ends. Pure.

Lua knows no zones, so the gate hands its script these bounds. A window follows the zone's real calendar: a day has
23 or 25 hours where the clocks change, and begins later where midnight itself is skipped.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from gateway.model.limit import Cap, WindowKind


@dataclass(frozen=True, slots=True)
class Bounds:
    """Three windows in a row: [previous, start), [start, end), [end, after). Instants in µs since the epoch."""

    previous_us: int
    start_us: int
    end_us: int
    after_us: int


def bounds(cap: Cap, now_us: int) -> Bounds:
    """Give the windows of `cap` around `now_us`: the one before, the one that holds it, and the next.

    Raises: zoneinfo.ZoneInfoNotFoundError for a zone that does not exist (profiles are checked when loaded).
    """
    today = datetime.fromtimestamp(now_us // 1_000_000, ZoneInfo(cap.zone)).date()
    return _bounds(cap.window, cap.zone, cap.week_start, today)


@lru_cache(maxsize=1024)
def _bounds(window: WindowKind, zone: str, week_start: int, today: date) -> Bounds:
    first = _first_day(window, week_start, today)
    following = _next(window, first)
    days = (_first_day(window, week_start, first - timedelta(days=1)), first, following, _next(window, following))
    return Bounds(*(_starts(day, zone) for day in days))


def _first_day(window: WindowKind, week_start: int, day: date) -> date:
    match window:
        case "day":
            return day
        case "week":
            return day - timedelta(days=(day.weekday() - week_start) % 7)
        case "month":
            return day.replace(day=1)


def _next(window: WindowKind, first: date) -> date:
    match window:
        case "day":
            return first + timedelta(days=1)
        case "week":
            return first + timedelta(days=7)
        case "month":
            return (first + timedelta(days=31)).replace(day=1)


def _starts(day: date, zone: str) -> int:
    """Give the first instant of `day` in `zone`.

    Where midnight happens twice the first one counts; where it is skipped (Havana, Santiago), reading it with the
    offset before the gap (fold=0) gives the instant right after the gap.
    """
    return int(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC).timestamp()) * 1_000_000
