"""Which windows what left before counts in: by zones, networks, units, and on both sides of a boundary."""

from datetime import UTC, datetime
from typing import Any

from gateway.limits.earlier import QUARTER_US, batches, rows
from gateway.model.left import Left
from gateway.model.limit import Cap, Rolling

HOUR_US = 3_600_000_000
TENANT = "tenant:acme"


def us(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[misc, arg-type]


NOW_US = us(2026, 3, 8, 20)  # noon in Los Angeles, on the day whose clocks went forward at 2


def cap(window: Any = "day", zone: str = "America/Los_Angeles", network: str = "", **more: Any) -> Cap:
    key = f"{TENANT}:{window}@{zone}" + (f":{network}" if network else "")
    return Cap(key, 100, window, zone, network=network, **more)


def left(at_us: int, things: int = 1, network: str = "", *, segments: int = 0, taken: int | None = None) -> Left:
    near = 2_000_000
    taken = things if taken is None else taken
    edges = ((at_us - near) // QUARTER_US, (at_us + near) // QUARTER_US)
    return Left("", network, *edges, things, segments or things, taken, segments or taken)


def used(limits: Any, gone: list[Left], now_us: int = NOW_US, *, counts_unknown: bool = True) -> dict[Any, int]:
    found = [
        row for batch in batches(limits, now_us) for row in rows(batch, gone, now_us, counts_unknown=counts_unknown)
    ]
    return {(row.limit_key.removeprefix(f"{TENANT}:"), row.window_start_us): row.used for row in found}


def test_each_zone_has_its_own_day_also_where_the_clocks_change() -> None:
    caps = [cap(), cap(zone="Etc/GMT+8"), cap("month")]
    (batch,) = batches(caps, NOW_US)  # what left is read once for all of them
    assert batch.asks[0].since_us == us(2026, 3, 1, 8) - 2_000_000

    gone = [left(us(2026, 3, 8, 7, 30)), left(us(2026, 3, 8, 8, 30), 2), left(us(2026, 3, 8, 19), 4)]
    assert used(caps, gone) == {
        ("day@America/Los_Angeles", us(2026, 3, 8, 8)): 6,
        ("day@Etc/GMT+8", us(2026, 3, 8, 8)): 6,
        ("month@America/Los_Angeles", us(2026, 3, 1, 8)): 7,
    }


def test_what_left_within_two_seconds_of_midnight_counts_on_both_days() -> None:
    midnight = us(2026, 3, 8, 8)
    gone = [left(midnight - 1_000_000, 4), left(midnight - 3_000_000, 2), left(midnight + 1, 1)]

    assert used([cap()], gone, midnight + 1_500_000) == {
        ("day@America/Los_Angeles", us(2026, 3, 7, 8)): 7,
        ("day@America/Los_Angeles", midnight): 5,
    }


def test_a_network_has_its_own_texts_and_those_of_which_nobody_told_one() -> None:
    gone = [left(NOW_US - HOUR_US, 1, "att"), left(NOW_US - HOUR_US, 2), left(NOW_US - HOUR_US, 4, "tmobile")]
    start = us(2026, 3, 8, 8)

    assert used([cap(network="att")], gone) == {("day@America/Los_Angeles:att", start): 3}
    assert used([cap(network="att")], gone, counts_unknown=False) == {("day@America/Los_Angeles:att", start): 1}
    assert used([cap()], gone) == {("day@America/Los_Angeles", start): 7}


def test_units_are_the_limits_own_and_of_accepted_what_was_refused_does_not_count() -> None:
    gone = [left(NOW_US - HOUR_US, 3, segments=6), left(NOW_US - HOUR_US, 5, taken=1)]
    sums = [
        list(used([each], gone).values())
        for each in (cap(), cap(unit="message"), cap(unit="message", counts="accepted"))
    ]

    assert sums == [[11], [8], [4]]


def test_a_rolling_limit_has_the_parts_that_still_count() -> None:
    day = Rolling(f"{TENANT}:1440min", 100, 24 * HOUR_US)
    parts = [Left("", "", NOW_US // HOUR_US - age, 0, 1, 1, 1, 1) for age in (0, 23, 24, 25, 26)]

    found = used([day], parts)
    assert sorted((NOW_US - start) // HOUR_US for _, start in found) == [0, 23, 24, 25]


def test_people_are_asked_about_one_part_at_a_time_texts_and_calls() -> None:
    each = Rolling("recipient:acme:1440min", 3, 24 * HOUR_US)
    found = batches([each], NOW_US)

    assert all(
        [ask.calls for ask in batch.asks] == [False, True] and all(ask.each for ask in batch.asks) for batch in found
    )
    assert all(ask.until_us - ask.since_us == HOUR_US for batch in found for ask in batch.asks)
    person = "+12125551234"
    told = rows(found[-1], [Left(person, "", NOW_US // HOUR_US, 0, 1, 3, 1, 3)] * 2, NOW_US, counts_unknown=True)
    assert [(row.limit_key, row.used) for row in told] == [(f"recipient:acme:1440min#{person}", 2)]
