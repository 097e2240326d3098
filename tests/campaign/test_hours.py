"""Hours of people's own day, in every zone that they may be in."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway import phone
from gateway.campaign.hours import DAYS, is_zone, opens_ms, read

EASTERN, CENTRAL, PACIFIC = "America/New_York", "America/Chicago", "America/Los_Angeles"
WORKDAYS = DAYS[:5]


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("zones", "now", "opens"),
    [
        ([EASTERN], "2026-06-10T12:59:59", "2026-06-10T13:00:00"),  # 08:59:59 there
        ([EASTERN], "2026-06-10T13:00:00", "2026-06-10T13:00:00"),
        ([EASTERN], "2026-06-10T23:59:59", "2026-06-10T23:59:59"),  # 19:59:59
        ([EASTERN], "2026-06-11T00:00:00", "2026-06-11T13:00:00"),  # 20:00: tomorrow
        ([EASTERN, CENTRAL], "2026-06-10T13:30:00", "2026-06-10T14:00:00"),  # both
        ([EASTERN, PACIFIC], "2026-06-10T23:59:00", "2026-06-10T23:59:00"),
        (
            [EASTERN, PACIFIC],
            "2026-06-11T00:30:00",
            "2026-06-11T16:00:00",
        ),  # over in the east: when it begins in the west
        ([EASTERN], "2026-06-12T23:59:30", "2026-06-12T23:59:30"),  # Friday evening
        ([EASTERN], "2026-06-13T15:00:00", "2026-06-15T13:00:00"),  # Saturday: Monday
        ([EASTERN], "2026-03-06T14:00:00", "2026-03-06T14:00:00"),  # winter: an hour later in UTC
        ([EASTERN], "2026-03-07T13:00:00", "2026-03-09T13:00:00"),  # the clocks change on that Sunday
        ([], "2026-06-10T03:00:00", "2026-06-10T03:00:00"),
    ],
)
def test_a_call_waits_until_it_is_allowed_in_every_zone(zones: list[str], now: str, opens: str) -> None:
    hours = read("09:00", "20:00", WORKDAYS)

    assert opens_ms(hours, zones, ms(now)) == ms(opens)


def test_zones_without_a_common_hour_are_told() -> None:
    hours = read("09:00", "12:00", DAYS)

    assert opens_ms(hours, [EASTERN, "Pacific/Guam"], ms("2026-06-10T13:00:00")) is None


def test_hours_that_the_clocks_skip_begin_after_them() -> None:
    """At 02:00 on that Sunday it becomes 03:00."""
    found = opens_ms(read("02:00", "02:30", DAYS), [EASTERN], ms("2026-03-08T06:30:00"))

    assert found is not None
    assert found >= ms("2026-03-09T06:00:00")


@pytest.mark.parametrize(
    ("begin", "end", "days"),
    [("9:00", "20:00", DAYS), ("09:00", "09:00", DAYS), ("21:00", "08:00", DAYS), ("24:00", "24:00", DAYS),
     ("09:00", "20:60", DAYS), ("09:00", "20:00", ()), ("09:00", "20:00", ("monday",))],
)  # fmt: skip
def test_what_is_no_hours_is_refused(begin: str, end: str, days: Any) -> None:
    with pytest.raises(ValueError, match=r"hours must end|time of day|days are"):
        read(begin, end, days)


def test_a_number_has_every_zone_that_its_owner_may_be_in() -> None:
    assert phone.zones("+12125551234") == ("America/New_York",)
    assert set(phone.zones("+18502221234")) == {"America/New_York"}
    assert {"America/Denver", "America/North_Dakota/Center"} & set(phone.zones("+17015551234"))
    assert len(phone.zones("+18005550199")) > 20  # toll-free: anywhere
    assert phone.zones("+10000000000") == phone.zones("+18005550199")  # nobody can tell
    assert is_zone("America/New_York")
    assert not is_zone("Mars/Olympus")
    assert not is_zone("../etc/passwd")
