"""Numbers become the words that people say."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.speech.numerals import (
    EN_ONES,
    EN_TENS,
    LARGEST,
    english,
    english_ordinal,
    english_year,
    french,
    french_ordinal,
    spanish,
)

NUMBERS = st.integers(0, LARGEST) | st.integers(0, 3000)
SIZES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}


def understood(words: str) -> int:
    """What a listener makes of an English number."""
    whole = part = 0
    for word in words.replace("-", " ").split():
        if word == "hundred":
            part *= 100
        elif word in SIZES:
            whole, part = whole + part * SIZES[word], 0
        else:
            part += EN_ONES.index(word) if word in EN_ONES else 10 * EN_TENS.index(word)
    return whole + part


@given(NUMBERS)
def test_an_english_number_is_understood_as_itself(number: int) -> None:
    assert understood(english(number)) == number


@given(NUMBERS, NUMBERS)
@pytest.mark.parametrize("say", [spanish, french])
def test_two_numbers_never_sound_alike(say: Callable[[int], str], one: int, other: int) -> None:
    assert (say(one) == say(other)) == (one == other)


@pytest.mark.parametrize(
    ("number", "words"),
    [(21, "veintiuno"), (31, "treinta y uno"), (100, "cien"), (101, "ciento uno"), (555, "quinientos cincuenta y cinco"),
     (1000, "mil"), (21_000, "veintiún mil"), (10**6, "un millón"), (2_000_001, "dos millones uno")],
)  # fmt: skip
def test_spanish_numbers(number: int, words: str) -> None:
    assert spanish(number) == words


@pytest.mark.parametrize(
    ("number", "gender", "words"),
    [
        (1, "m", "un"),
        (21, "m", "veintiún"),
        (31, "f", "treinta y una"),
        (200, "f", "doscientas"),
        (500, "f", "quinientas"),
    ],
)
def test_a_spanish_number_agrees_with_its_noun(number: int, gender: str, words: str) -> None:
    assert spanish(number, before_noun=gender) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [(21, "vingt et un"), (70, "soixante-dix"), (71, "soixante et onze"), (80, "quatre-vingts"), (81, "quatre-vingt-un"),
     (91, "quatre-vingt-onze"), (200, "deux cents"), (201, "deux cent un"), (80_000, "quatre-vingt mille"),
     (200_000, "deux cent mille"), (2_000_000, "deux millions")],
)  # fmt: skip
def test_french_numbers(number: int, words: str) -> None:
    assert french(number) == words


def test_a_french_number_agrees_with_its_noun() -> None:
    assert french(21, feminine=True) == "vingt et une"
    assert french(11, feminine=True) == "onze"


@pytest.mark.parametrize(
    ("number", "words"),
    [(1, "first"), (3, "third"), (12, "twelfth"), (20, "twentieth"), (21, "twenty-first"), (100, "one hundredth")],
)
def test_english_ranks(number: int, words: str) -> None:
    assert english_ordinal(number) == words


@pytest.mark.parametrize(
    ("number", "words"), [(1, "premier"), (4, "quatrième"), (5, "cinquième"), (9, "neuvième"), (80, "quatre-vingtième")]
)
def test_french_ranks(number: int, words: str) -> None:
    assert french_ordinal(number) == words


@pytest.mark.parametrize(
    ("year", "words"),
    [(1776, "seventeen seventy-six"), (1900, "nineteen hundred"), (1905, "nineteen oh five"), (2000, "two thousand"),
     (2004, "two thousand four"), (2026, "twenty twenty-six")],
)  # fmt: skip
def test_years_are_read_in_two_halves(year: int, words: str) -> None:
    assert english_year(year) == words


@pytest.mark.parametrize("number", [-1, LARGEST + 1])
@pytest.mark.parametrize("say", [english, spanish, french])
def test_a_number_beyond_what_is_heard_as_one_is_refused(say: Callable[[int], str], number: int) -> None:
    with pytest.raises(ValueError, match="number="):
        say(number)
