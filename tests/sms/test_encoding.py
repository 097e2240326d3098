# ruff: noqa: RUF001 -- characters that look like others are what is tested

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sms.encoding import BASIC, EXTENSION, escaped, septets, smart


def test_the_alphabet_has_128_places_less_the_escape_and_ten_more_behind_it() -> None:
    assert len(set(BASIC)) == len(BASIC) == 127
    assert len(set(EXTENSION)) == 10
    assert not set(BASIC) & set(EXTENSION)


@pytest.mark.parametrize(
    "char", ["`", "ç", "ê", "â", "î", "ô", "û", "œ", "á", "í", "ó", "ú", "\t", "\x00", "’", "😀", "Ё"]
)
def test_characters_that_look_common_but_are_not_in_the_alphabet(char: str) -> None:
    assert septets(f"a{char}") is None


@pytest.mark.parametrize("char", list("ÇÉÑÄÖÜÅÆØàéèìòùäöüñåæøß\n\rΩ¡¿§"))
def test_accents_that_are_in_the_alphabet(char: str) -> None:
    assert septets(f"a{char}") == 2


@given(st.text(BASIC + EXTENSION))
def test_septets_are_one_a_character_and_two_a_character_of_the_extension(body: str) -> None:
    expected = sum(2 if char in EXTENSION else 1 for char in body)

    assert septets(body) == expected == len(escaped(body))


@given(st.text())
def test_a_text_is_gsm_exactly_when_every_character_is(body: str) -> None:
    assert (septets(body) is not None) == set(body).issubset(BASIC + EXTENSION)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("“It’s due” – pay now…", '"It\'s due" - pay now...'),
        ("5\u00a0days\u2009left\tnow", "5 days left now"),
        ("‹see›", "<see>"),
        ("½ off\u200b!\ufeff", "1/2 off!"),
        ("ＳＡＬＥ！", "SALE!"),
        ("cafe\u0301", "café"),
        ("bell\x07", "bell"),
        ("line\r\nline", "line\r\nline"),
    ],
)
def test_smart_says_the_same_in_the_alphabet(written: str, sent: str) -> None:
    assert smart(written) == sent
    assert septets(sent) is not None


@pytest.mark.parametrize("body", ["😀", "reçu", "ARRÊT", "привет"])
def test_smart_leaves_what_has_no_stand_in(body: str) -> None:
    assert smart(body) == body


@given(st.text(BASIC + EXTENSION))
def test_smart_changes_nothing_that_is_already_cheap(body: str) -> None:
    assert smart(body) == unicodedata.normalize("NFC", body) == body


@given(st.text())
def test_smart_twice_is_smart_once(body: str) -> None:
    assert smart(smart(body)) == smart(body)
