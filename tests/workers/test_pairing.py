from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers.base import Listed, Report
from gateway.workers.pairing import Lost, Window, pair

WINDOW = Window(before_ms=60_000, after_ms=120_000)


def lost(name: str, at_ms: int = 0, body: str = "Your bill is due") -> Lost:
    return Lost(name, body, at_ms)


def listed(sid: str, at_ms: int = 0, body: str = "Your bill is due") -> Listed:
    return Listed(body, at_ms, Report(None, sid, "sent"))


def sids(found: dict[str, Listed]) -> dict[str, str]:
    return {name: each.report.carrier_id for name, each in found.items()}


def test_the_same_words_at_about_the_time_are_it() -> None:
    there = [listed("other", body="Hello"), listed("early", -60_001), listed("late", 120_001), listed("it", 120_000)]

    assert sids(pair([lost("a")], there, WINDOW, final=False)) == {"a": "it"}


def test_as_many_as_are_missed_are_paired_in_order_of_time() -> None:
    there = [listed("second", 2_000), listed("first", 1_000)]

    assert sids(pair([lost("b", 900), lost("a", 0)], there, WINDOW, final=False)) == {"a": "first", "b": "second"}


def test_one_that_could_be_either_waits_for_a_report_until_the_last_look() -> None:
    both = [lost("a", 0), lost("b", 900)]

    assert pair(both, [listed("one", 1_000)], WINDOW, final=False) == {}
    assert sids(pair(both, [listed("one", 1_000)], WINDOW, final=True)) == {"a": "one"}


def test_one_that_only_one_can_be_is_paired_although_another_is_missed() -> None:
    apart = [lost("today", 86_400_000), lost("yesterday", 0)]

    assert sids(pair(apart, [listed("one", 1_000)], WINDOW, final=False)) == {"yesterday": "one"}


@given(st.lists(st.integers(0, 400_000), max_size=8), st.lists(st.integers(0, 400_000), max_size=8), st.booleans())
def test_no_text_of_the_list_is_given_twice_and_every_pair_fits(
    written: list[int], created: list[int], final: bool
) -> None:
    ours = [lost(str(n), at) for n, at in enumerate(written)]
    found = pair(ours, [listed(str(n), at) for n, at in enumerate(created)], WINDOW, final=final)

    assert len(set(sids(found).values())) == len(found)
    assert all(WINDOW.fits(each, found[each.id]) for each in ours if each.id in found)
