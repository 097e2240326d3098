"""The end of a broadcast that has hours, held against calling one after the other in thought."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.campaign.finish import Finish, within
from gateway.campaign.hours import DAYS, Hours, closes_ms, opens_ms, read

EAST, WEST, BOTH = ("America/New_York",), ("America/Los_Angeles",), ("America/New_York", "America/Los_Angeles")
DAYTIME = read("09:00", "20:00", DAYS)
WEEKDAYS = read("09:00", "17:00", DAYS[:5])


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NOON = at("2026-11-20T17:00:00")  # of a Friday in New York


def test_those_whose_day_is_over_are_called_in_the_morning_of_the_latest_zone() -> None:
    start = at("2026-11-21T02:00:00")  # 21:00 in New York, 18:00 in Los Angeles

    found = within(DAYTIME, {EAST: 3600, WEST: 3600}, ahead=0, per_s=1, start_ms=start)

    assert found == Finish(start, at("2026-11-21T15:00:00"), 0)  # the East from 14:00 UTC on


def test_what_does_not_fit_into_a_day_goes_on_in_the_next() -> None:
    found = within(DAYTIME, {EAST: 9 * 3600}, ahead=3600, per_s=1, start_ms=NOON)

    assert found == Finish(NOON, at("2026-11-21T16:00:00"), 0)  # 8 hours are left of Friday, one for those ahead


def test_a_weekend_in_between_and_people_in_two_zones_at_once_are_waited_for() -> None:
    friday_evening = at("2026-11-20T22:30:00")

    found = within(WEEKDAYS, {BOTH: 1}, ahead=0, per_s=1, start_ms=friday_evening)

    assert found.begins_ms == at("2026-11-23T17:00:00")  # 09:00 in Los Angeles, noon in New York
    assert found.ends_ms == found.begins_ms + 1000


def test_who_has_no_common_hour_is_counted_and_not_waited_for() -> None:
    nowhere = ("Pacific/Guam", "America/New_York")
    brief = read("09:00", "10:00", DAYS)

    found = within(brief, {nowhere: 3, EAST: 1}, ahead=0, per_s=1, start_ms=at("2026-11-21T14:30:00"))
    assert found == Finish(at("2026-11-21T14:30:00"), at("2026-11-21T14:30:01"), 3)
    assert within(brief, {nowhere: 3}, ahead=5, per_s=1, start_ms=NOON) == Finish(None, None, 3)


def test_nobody_and_hours_all_day_take_no_longer_than_the_rate() -> None:
    always = read("00:00", "24:00", DAYS)

    assert within(always, {EAST: 200_000, WEST: 200_000}, ahead=0, per_s=1, start_ms=NOON).ends_ms == NOON + 400_000_000
    assert within(always, {}, ahead=0, per_s=1, start_ms=NOON) == Finish(None, None, 0)


def test_what_takes_years_is_not_known() -> None:
    assert within(DAYTIME, {EAST: 10**9}, ahead=0, per_s=0.1, start_ms=NOON) == Finish(NOON, None, 0)


@pytest.mark.parametrize("day", ["2026-03-07", "2026-10-31"])
def test_the_day_on_which_the_clocks_change_is_as_long_as_it_is(day: str) -> None:
    night = read("00:00", "06:00", DAYS)
    start = at(f"{day}T12:00:00")  # 06:00 or later: it opens at midnight, and the clocks change at two

    found = within(night, {EAST: 100_000}, ahead=0, per_s=5, start_ms=start)

    hours_open = 5 if day == "2026-03-07" else 7
    assert found.begins_ms is not None
    assert closes_ms(night, EAST, found.begins_ms) - found.begins_ms == hours_open * 3_600_000


@given(
    st.integers(0, 23 * 4).map(lambda quarter: quarter * 15),
    st.integers(60, 600),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 7 * 24 * 60),
)
def test_the_estimate_is_what_calling_one_by_one_comes_to(
    begin: int, minutes: int, east: int, west: int, minute: int
) -> None:
    hours = Hours(begin, min(begin + minutes, 24 * 60), frozenset(range(7)))
    start, per_s = NOON + minute * 60_000, 1 / 900  # a call in 15 minutes

    found = within(hours, {EAST: east, WEST: west}, ahead=0, per_s=per_s, start_ms=start)

    left, now = {EAST: east, WEST: west}, start
    while any(left.values()):
        ready = [zones for zones in left if left[zones] and opens_ms(hours, zones, now) == now]
        if ready:
            left[max(ready, key=lambda zones: left[zones])] -= 1
            now += 900_000
        else:
            now = min(opens for zones in left if left[zones] and (opens := opens_ms(hours, zones, now)) is not None)
    days = 86_400_000
    assert found.ends_ms is not None
    assert abs(found.ends_ms - now) <= 2 * days  # whose turn it is when a window ends may cost another day or two
    assert found.ends_ms >= start + (east + west) * 900_000 - 900_000
