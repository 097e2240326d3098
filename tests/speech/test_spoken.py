"""What is written is spoken as people say it; every row is a text that went out in some notice."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.speech.spoken import normalised

PHONE = "one, eight zero zero, five five five, zero one nine nine"
ENGLISH = {
    "Call 1-800-555-0199.": f"Call {PHONE}.",
    "Call +18005550199 now": f"Call {PHONE} now",
    "Call 1 (800) 555-0199!": f"Call {PHONE}!",
    "(212) 555-1234": "two one two, five five five, one two three four",
    "212.555.1234": "two one two, five five five, one two three four",
    "555-1234": "five five five, one two three four",
    "You owe $30.50.": "You owe thirty dollars and fifty cents.",
    "£30, 5%": "thirty pounds, five percent",
    "$1, $0.01, $1.01 and $0": "one dollar, one cent, one dollar and one cent and zero dollars",
    "$1,250.75": "one thousand two hundred fifty dollars and seventy-five cents",
    "-$5": "minus five dollars",
    "$1.5 million": "one point five million dollars",
    "€2.5": "two euros and fifty cents",
    "due 11/21/2026": "due November twenty-first, twenty twenty-six",
    "due 2026-11-01": "due November first, twenty twenty-six",
    "by 3/4.": "by March fourth.",
    "Nov 21, Sept. 3 and May 5, 2004": "November twenty-first, September third and May fifth, two thousand four",
    "21 November 2026": "November twenty-first, twenty twenty-six",
    "the 4th of July": "the July fourth",
    "since November 2026": "since November twenty twenty-six",
    "99/99/2026": "ninety-nine over ninety-nine over two thousand twenty-six",
    "at 5 PM": "at five P M",
    "at 5:30 p.m.": "at five thirty P M.",
    "5:05 am": "five oh five A M",
    "17:30": "seventeen thirty",
    "12:00": "twelve o'clock",
    "8am-5pm": "eight A M to five P M",
    "9:00-17:30": "nine o'clock to seventeen thirty",
    "25:00": "twenty-five, zero zero",
    "100% of 2.5%": "one hundred percent of two point five percent",
    "Your code is 482913.": "Your code is four eight two, nine one three.",
    "PIN 0042": "PIN zero zero four two",
    "Account #12345678": "Account number one two three, four five six, seven eight",
    "ending in 4321 for 30 days": "ending in four three two one for thirty days",
    "Ticket AB-1234": "Ticket A, B, one two three four",
    "code A1B2": "code A, one, B, two",
    "12345": "one two three, four five",
    "007": "zero zero seven",
    "12-34-56": "one two, three four, five six",
    "call 911 or text 988": "call nine one one or text nine eight eight",
    "Press 1, # or *.": "Press one, pound or star.",
    "Press 9#": "Press nine pound",
    "the 2nd of 21st": "the second of twenty-first",
    "10mg and 300 kWh": "ten milligrams and three hundred kilowatt hours",
    "3-5 days": "three to five days",
    "24/7": "twenty-four seven",
    "1,250 people": "one thousand two hundred fifty people",
    "10000 people": "ten thousand people",
    "-5°F": "minus five degrees F",
    "Ann & Bob": "Ann and Bob",
    "www.citywater.com/pay": "www dot citywater dot com slash pay",
    "ann@citywater.org": "ann at citywater dot org",
    "9999999999999": "nine nine nine, nine nine nine, nine nine nine, nine nine nine nine",
    "  two\n lines ": "two lines",
    "\uff11\uff12 \u0663": "twelve three",
}  # fmt: skip
SPANISH = {
    "Usted debe $30.50.": "Usted debe treinta dólares con cincuenta centavos.",
    "$1 y $21.01": "un dólar y veintiún dólares con un centavo",
    "£21": "veintiuna libras",
    "$2,000,000": "dos millones de dólares",
    "el 11/21/2026": "el veintiuno de noviembre de dos mil veintiséis",
    "a las 5:30 PM": "a las cinco y treinta de la tarde",
    "a la 1 PM": "a la una de la tarde",
    "Su código es 482913": "Su código es cuatro ocho dos, nueve uno tres",
    "Llame al 1-800-555-0199": "Llame al uno, ocho cero cero, cinco cinco cinco, cero uno nueve nueve",
    "5% de 21": "cinco por ciento de veintiuno",
    "oprima 1 o #": "oprima uno o numeral",
}
FRENCH = {
    "Vous devez 30,50 $.": "Vous devez trente dollars et cinquante cents.",
    "1 250,50 €": "mille deux cent cinquante euros et cinquante centimes",
    "2 000 000 $": "deux millions de dollars",
    "21 £": "vingt et une livres",
    "0,5 %": "zéro virgule cinq pour cent",
    "le 2026-11-01": "le premier novembre deux mille vingt-six",
    "à 17 h 30": "à dix-sept heures trente",
    "à 17:05 ou 8h": "à dix-sept heures cinq ou huit heures",
    "le 1er et le 2e": "le premier et le deuxième",
    "Composez le 1-800-555-0199": "Composez le un, huit zéro zéro, cinq cinq cinq, zéro un neuf neuf",
    "appuyez sur 1 ou *": "appuyez sur un ou étoile",
}
LANGUAGES = st.sampled_from(["en-US", "en-GB", "es-US", "es-ES", "fr-CA"])
NOTICES = st.text("0123456789 .,:-/$€£%#*()+abpmAPMT'@hº\n") | st.text()


@pytest.mark.parametrize(("written", "spoken"), ENGLISH.items())
def test_english(written: str, spoken: str) -> None:
    assert normalised(written, "en-US") == spoken


@pytest.mark.parametrize(("written", "spoken"), SPANISH.items())
def test_spanish(written: str, spoken: str) -> None:
    assert normalised(written, "es-US") == spoken


@pytest.mark.parametrize(("written", "spoken"), FRENCH.items())
def test_french(written: str, spoken: str) -> None:
    assert normalised(written, "fr-CA") == spoken


@pytest.mark.parametrize(
    ("language", "spoken"),
    [("en-US", "March fourth, twenty twenty-six"), ("en-GB", "April third, twenty twenty-six"),
     ("es-MX", "tres de abril de dos mil veintiséis"), ("fr-CA", "trois avril deux mille vingt-six")],
)  # fmt: skip
def test_a_date_in_figures_is_read_in_the_order_of_its_country(language: str, spoken: str) -> None:
    assert normalised("3/4/2026", language) == spoken


def test_spain_writes_decimals_with_a_comma() -> None:
    assert normalised("1.250,50 € y 30,5 %", "es-ES") == (
        "mil doscientos cincuenta euros con cincuenta céntimos y treinta coma cinco por ciento"
    )


def test_other_languages_are_left_to_their_engine() -> None:
    assert normalised("Rechnung  über 5 €", "de-DE") == "Rechnung über 5 €"


@given(NOTICES, LANGUAGES)
def test_no_figure_is_left_whatever_is_written(text: str, language: str) -> None:
    assert not any(character.isdecimal() for character in normalised(text, language))


@pytest.mark.parametrize("unit", ["1", "1-", "a-", "a.", "1.1", "a1", "$1 "])
def test_a_text_made_to_be_slow_is_not(unit: str) -> None:
    """Read in line with its length: half a second of the event loop, were it quadratic."""
    before = time.thread_time()
    normalised(unit * (3000 // len(unit)), "en-US")

    assert time.thread_time() - before < 0.2


@given(NOTICES, LANGUAGES)
def test_what_was_turned_into_words_stays(text: str, language: str) -> None:
    words = normalised(text, language)

    assert normalised(words, language) == words
