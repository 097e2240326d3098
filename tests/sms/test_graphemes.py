import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sms.graphemes import clusters


@pytest.mark.parametrize(
    "parts",
    [
        ["a", "b"],
        ["e\u0301", "x"],
        ["👩\u200d🚀", "👩"],
        ["👋🏿", "!"],
        ["🇫🇷", "🇨🇦", "🇺"],
        ["1\ufe0f\u20e3", "2"],
        ["한", "국"],
        ["\u1112\u1161\u11ab", "\u1100"],
        ["한\u11ab", "가\u11ab"],
        ["\u1100가", "a"],
        ["न\u093f", "क"],
        ["\r", "\n"],
        ["\n", "\u0301"],
        ["a\u200d", "b"],
        ["a\u200d", "👩"],
        ["👩\u200d", "a"],
    ],
)
def test_text_is_cut_where_readers_see_characters_end(parts: list[str]) -> None:
    """Cases of the rules GB4, GB6 to GB9a, GB11 and GB12; CR and LF are apart since carriers count them so."""
    assert list(clusters("".join(parts))) == parts


@given(st.text())
def test_clusters_join_to_the_text_and_none_is_empty(text: str) -> None:
    found = list(clusters(text))

    assert "".join(found) == text
    assert all(found)
