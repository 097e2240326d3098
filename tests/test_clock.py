"""The clock: identifiers that sort, and times as RFC 3339."""

import re
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import IdMaker, monotonic, new_id, now_ms, rfc3339


@given(st.lists(st.integers(0, 2**48 - 2), min_size=2, max_size=50))
def test_identifiers_grow_even_when_the_clock_steps_back_or_chance_is_at_its_end(clock: list[int]) -> None:
    times = iter(clock)
    maker = IdMaker(clock=lambda: next(times), dice=lambda bits: 2**bits - 1)

    made = [maker.ulid() for _ in clock]

    assert made == sorted(set(made))


def test_an_identifier_is_written_as_the_ulid_specification_says() -> None:
    """The time of the specification's own example, 1469918176385 ms, is written 01ARYZ6S41."""
    maker = IdMaker(clock=lambda: 1_469_918_176_385, dice=lambda _: 31)

    assert maker.ulid() == "01ARYZ6S41" + "0" * 15 + "Z"


def test_new_identifiers_carry_their_kind_and_differ() -> None:
    made = [new_id("msg") for _ in range(1000)]

    assert made == sorted(set(made))
    assert all(re.fullmatch(r"msg_[0-9A-HJKMNP-TV-Z]{26}", one) for one in made)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_772_359_509_250, "2026-03-01T10:05:09.250Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_written_in_utc_with_milliseconds(ms: int, text: str) -> None:
    assert rfc3339(ms) == text


def test_wall_time_is_written_and_read_back_unchanged() -> None:
    now = now_ms()

    assert round(datetime.fromisoformat(rfc3339(now)).timestamp() * 1000) == now


def test_monotonic_time_does_not_run_backward() -> None:
    assert monotonic() <= monotonic()
