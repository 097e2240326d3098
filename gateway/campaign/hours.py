"""When people may be called: hours of their own day, in every time zone that they may be in. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_DAY_MINUTES: Final = 24 * 60
_LOOK_AHEAD: Final = timedelta(days=8)  # whoever has no common hour by then has none


@dataclass(frozen=True, slots=True)
class Hours:
    """From `begin` to before `end`, minutes of the local day, on these `days` (0: Monday)."""

    begin: int
    end: int
    days: frozenset[int]


def read(begin: str, end: str, days: Sequence[str]) -> Hours:
    """Read `09:00`, `20:00` (or `24:00`), and names of days. Raises ValueError."""
    first, last = _minutes(begin), _DAY_MINUTES if end == "24:00" else _minutes(end)
    if last <= first:
        raise ValueError("the hours must end after they begin, on the same day")
    unknown = [day for day in days if day not in DAYS]
    if unknown or not days:
        raise ValueError(f"days are one or more of: {', '.join(DAYS)}")
    return Hours(first, last, frozenset(map(DAYS.index, days)))


def is_zone(name: str) -> bool:
    """Whether there is a time zone of this name."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def opens_ms(hours: Hours, zones: Iterable[str], now_ms: int) -> int | None:
    """The first moment from `now_ms` on that lies in `hours` in each of these zones; None: there is none for a week.

    The law of the place counts, and nobody knows which of the zones of a number its owner is in.
    """
    local = [ZoneInfo(zone) for zone in zones]
    begun = moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    while moment - begun <= _LOOK_AHEAD:
        later = max((_opens(hours, moment.astimezone(zone)) for zone in local), default=moment)
        if later <= moment:
            return max(now_ms, round(moment.timestamp() * 1000))
        moment = later
    return None


def closes_ms(hours: Hours, zones: Iterable[str], now_ms: int) -> int:
    """The first moment after `now_ms`, which lies in `hours` in all of these zones, that does not in one of them.

    Where one day's hours go on into the next, their end all the same.
    """
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    return min(round(_closes(hours, moment.astimezone(ZoneInfo(zone))).timestamp() * 1000) for zone in zones)


def _closes(hours: Hours, local: datetime) -> datetime:
    """The end of the hours that `local` lies in; UTC."""
    days, minute = divmod(hours.end, _DAY_MINUTES)
    day = local.date() + timedelta(days=days)
    end = datetime(day.year, day.month, day.day, *divmod(minute, 60), tzinfo=local.tzinfo).astimezone(UTC)
    now = local.astimezone(UTC)
    return end if end > now else now + timedelta(minutes=1)  # an hour that the clocks go through twice


def _opens(hours: Hours, local: datetime) -> datetime:
    """The first moment from `local` on in these hours, in its zone; UTC."""
    minute = local.hour * 60 + local.minute
    if local.weekday() in hours.days and hours.begin <= minute < hours.end:
        return local.astimezone(UTC)
    day = local.date() if minute < hours.begin else local.date() + timedelta(days=1)
    while day.weekday() not in hours.days:
        day += timedelta(days=1)
    hour, minute = divmod(hours.begin, 60)
    opening = datetime(day.year, day.month, day.day, hour, minute, tzinfo=local.tzinfo).astimezone(UTC)
    now = local.astimezone(UTC)
    return opening if opening > now else now + timedelta(minutes=1)  # an hour that the clocks go through twice


def _minutes(text: str) -> int:
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise ValueError("a time of day is written 09:00, from 00:00 to 23:59 (24:00 where it ends)")
    return int(found[1]) * 60 + int(found[2])
