import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.practice.segments import count
from gateway.sms.segments import segment

CLUSTERS = [*"aç €[é\n", "👍", "🇺🇸", "👍🏽", "e\u0301", "👨‍👩‍👧", "\r\n", "☎️"]


@pytest.mark.parametrize(
    ("body", "segments"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("a" * 152 + "€" + "a" * 152, 3),  # the escape pair moves to the second part
        ("ç" * 70, 1),
        ("ç" * 71, 2),
        ("ç" * 134, 2),
        ("ç" * 135, 3),
        ("👍" * 35, 1),
        ("👍" * 36, 2),
        ("ç" * 66 + "👍" + "ç" * 66, 3),  # the surrogate pair moves to the second part
        ("🇺🇸" * 17, 1),
        ("👨‍👩‍👧" * 9, 2),
    ],
)
def test_segments_as_the_network_counts_them(body: str, segments: int) -> None:
    assert count(body) == segments


@given(st.lists(st.sampled_from(CLUSTERS), min_size=1, max_size=100).map("".join))
def test_two_counters_that_were_written_apart_agree(body: str) -> None:
    words = "Hi " + body  # the gateway refuses white space alone

    assert count(words) == segment(words).segments
