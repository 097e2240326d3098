"""The end of a job, estimated: held against sending one after the other in thought."""

from datetime import UTC, datetime
from time import process_time

from hypothesis import given
from hypothesis import strategies as st

from gateway.api.estimate import Estimate, finish
from gateway.limits.windows import bounds
from gateway.model.limit import Cap, Usage, WindowKind

NOW_US = int(datetime(2026, 3, 7, 20, tzinfo=UTC).timestamp()) * 1_000_000  # the clocks change that night
ZONE = "America/Los_Angeles"


def usage(window: WindowKind, limit: int, used: int, zone: str = ZONE) -> Usage:
    cap = Cap(f"{window}@{zone}", limit, window, zone)
    found = bounds(cap, NOW_US)
    return Usage(cap, found.start_us, found.end_us, used, 0)


def one_by_one(units: int, per_s: float, usages: list[Usage]) -> int:
    """When the last has left, each unit taking 1/rate, and none while a cap is full."""
    counts = {(each.cap.key, each.starts_at_us): each.used for each in usages}
    now_us = float(NOW_US)
    for _ in range(units):
        while full := [
            found.end_us
            for each in usages
            if counts.get((each.cap.key, (found := bounds(each.cap, int(now_us))).start_us), 0) >= each.cap.limit
        ]:
            now_us = max(full)
        for each in usages:
            key = (each.cap.key, bounds(each.cap, int(now_us)).start_us)
            counts[key] = counts.get(key, 0) + 1
        now_us += 1_000_000 / per_s
    return int(now_us)


@given(
    units=st.integers(1, 300),
    per_s=st.sampled_from([0.01, 0.5, 3, 25]),
    day=st.tuples(st.integers(1, 60), st.integers(0, 60)),
    week=st.tuples(st.integers(20, 200), st.integers(0, 60)),
)
def test_an_estimate_is_what_sending_one_by_one_comes_to(
    units: int, per_s: float, day: tuple[int, int], week: tuple[int, int]
) -> None:
    usages = [usage("day", *day), usage("week", *week)]

    found = finish(units, per_s, usages, NOW_US)

    assert found.finish_us is not None
    assert abs(found.finish_us - one_by_one(units, per_s, usages)) <= 2_000_000 / per_s + 1


def test_without_caps_only_the_rate_decides() -> None:
    assert finish(50, 25, (), NOW_US) == Estimate(NOW_US + 2_000_000, "rate")
    assert finish(0, 25, (), NOW_US) == Estimate(NOW_US, "rate")


def test_a_cap_of_nothing_never_lets_the_last_one_out() -> None:
    assert finish(1, 1, [usage("month", 0, 0)], NOW_US) == Estimate(None, "cap_month")


def test_the_cap_that_held_last_is_named() -> None:
    found = finish(30, 10, [usage("day", 20, 0), usage("week", 1000, 0)], NOW_US)

    assert found.limited_by == "cap_day"
    assert found.finish_us == usage("day", 20, 0).resets_at_us + 1_000_000


def test_a_start_thousands_of_years_ahead_costs_no_more_than_one_tomorrow() -> None:
    far_us = int(datetime(9000, 3, 7, tzinfo=UTC).timestamp()) * 1_000_000
    began = process_time()

    found = finish(1, 25, [usage("day", 5, 5), usage("week", 9, 9), usage("month", 9, 9)], far_us)

    assert found == Estimate(far_us + 40_000, "rate")
    assert process_time() - began < 1
