"""The line at the end of a run of the tests says how many histories were lived, and never keeps quiet about one that was not."""

from typing import Any

from tests.simulation.count import AT_ONCE, FIRSTS, line


def told(first: int, *, histories: int = AT_ONCE, failed: tuple[int, ...] = ()) -> dict[str, Any]:
    return {"first": first, "histories": histories, "texts": 2000, "failed": {str(seed): ["P2"] for seed in failed}}


def test_all_of_them_is_one_plain_line() -> None:
    assert line(map(told, FIRSTS)) == "histories: 10000 of 10000, seeds 0-9999, 40000 texts, none failed"


def test_what_ended_early_or_was_never_begun_is_said() -> None:
    some = [told(first, histories=400 if first == 500 else AT_ONCE) for first in FIRSTS if first != 9500]

    assert line(some) == (
        "histories: 9400 of 10000, seeds 0-9999, 38000 texts, none failed; "
        "NOT LIVED: 100 of seeds 500-999, 500 of seeds 9500-9999"
    )


def test_seeds_that_failed_are_named() -> None:
    some = [told(first, failed=(first + 3, first + 1) if first == 1000 else ()) for first in FIRSTS]

    assert "failed: [1001, 1003]" in line(some)
