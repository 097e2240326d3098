"""A text is cut where its sentences end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.speech.sentences import sentences


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("Hello. How are you? Fine!", ["Hello.", "How are you?", "Fine!"]),
        ("Dr. Smith and J. K. Rowling came.", ["Dr. Smith and J. K. Rowling came."]),
        ("Bring a bag, e.g. two. Thanks.", ["Bring a bag, e.g. two.", "Thanks."]),
        ('She said "stop." Then left.', ['She said "stop."', "Then left."]),
        ("You owe fifty cents. thirty days are left.", ["You owe fifty cents.", "thirty days are left."]),
        ("", []),
    ],
)
def test_a_sentence_ends_at_its_stop(text: str, cut: list[str]) -> None:
    assert sentences(text) == cut


def test_a_long_sentence_is_cut_at_a_comma() -> None:
    assert sentences("one two three, four five six", limit=20) == ["one two three,", "four five six"]


@given(st.text("ab ,.;!", max_size=200), st.integers(2, 40))
def test_nothing_is_lost_and_no_piece_is_too_long(text: str, limit: int) -> None:
    pieces = sentences(text, limit)

    assert all(0 < len(piece) <= limit for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())
