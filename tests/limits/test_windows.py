"""Calendar windows of real zones."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.windows import bounds
from gateway.model.limit import Cap, WindowKind

ZONES = ("America/Los_Angeles", "Etc/GMT+8", "America/New_York", "America/Havana", "America/St_Johns", "UTC")
HOUR_US = 3_600_000_000


def cap(window: WindowKind, zone: str, week_start: int = 6) -> Cap:
    return Cap("k", 1, window, zone, week_start=week_start)


def us(*when: int, zone: str = "UTC") -> int:
    return int(datetime(*when, tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000  # type: ignore[arg-type, misc]


def local(instant_us: int, zone: str) -> datetime:
    return datetime.fromtimestamp(instant_us / 1e6, ZoneInfo(zone))


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        (date(2026, 3, 8), "America/Los_Angeles", 23),
        (date(2026, 11, 1), "America/Los_Angeles", 25),
        (date(2026, 3, 8), "Etc/GMT+8", 24),
        (date(2026, 11, 1), "America/Havana", 25),
    ],
    ids=["spring", "autumn", "fixed offset", "midnight twice"],
)
def test_a_day_is_as_long_as_its_zone_makes_it(day: date, zone: str, hours: int) -> None:
    found = bounds(cap("day", zone), us(day.year, day.month, day.day, 12, zone=zone))

    assert found.end_us - found.start_us == hours * HOUR_US


def test_a_day_without_midnight_begins_after_the_gap() -> None:
    found = bounds(cap("day", "America/Havana"), us(2026, 3, 8, 12, zone="America/Havana"))

    assert local(found.start_us, "America/Havana").hour == 1
    assert local(found.start_us - 1, "America/Havana").date() == date(2026, 3, 7)


def test_fixed_pst_and_pacific_time_differ_by_an_hour_in_summer_only() -> None:
    for month, apart in ((1, 0), (7, HOUR_US)):
        now = us(2026, month, 15, 20)
        pacific, fixed = bounds(cap("day", "America/Los_Angeles"), now), bounds(cap("day", "Etc/GMT+8"), now)
        assert fixed.start_us - pacific.start_us == apart


def test_weeks_begin_on_sunday_or_monday() -> None:
    wednesday = us(2026, 11, 18, 12)

    assert local(bounds(cap("week", "UTC"), wednesday).start_us, "UTC").date() == date(2026, 11, 15)
    assert local(bounds(cap("week", "UTC", 0), wednesday).start_us, "UTC").date() == date(2026, 11, 16)


@pytest.mark.parametrize(("month", "days"), [(2, 28), (4, 30), (12, 31)])
def test_months_follow_the_calendar(month: int, days: int) -> None:
    found = bounds(cap("month", "UTC"), us(2026, month, days, 23, 59, 59))

    assert found.end_us - found.start_us == days * 24 * HOUR_US
    assert local(found.after_us, "UTC").day == local(found.previous_us, "UTC").day == 1


@given(
    window=st.sampled_from(["day", "week", "month"]),
    zone=st.sampled_from(ZONES),
    week_start=st.sampled_from([0, 6]),
    now=st.datetimes(datetime(2023, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001  the zone is apart
)
def test_windows_hold_their_instant_touch_and_begin_on_a_first_instant(
    window: WindowKind, zone: str, week_start: int, now: datetime
) -> None:
    """Whatever the zone and the time: windows in a row, without gap or overlap, each from the first instant of a day."""
    limit = cap(window, zone, week_start)
    now_us = int(now.timestamp() * 1e6)
    found = bounds(limit, now_us)

    assert found.previous_us < found.start_us <= now_us < found.end_us < found.after_us
    following = bounds(limit, found.end_us)
    assert (following.previous_us, following.start_us, following.end_us) == (
        found.start_us,
        found.end_us,
        found.after_us,
    )
    for edge in (found.previous_us, found.start_us, found.end_us, found.after_us):
        assert local(edge, zone).date() - local(edge - 1, zone).date() == timedelta(days=1)
