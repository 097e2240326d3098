"""What varies from person to person is cut out of its sentence; what everybody hears is left in one piece."""

import pytest

from gateway.speech.fragments import cut
from gateway.voice.dialplan import Value

BILL = ["Hello ", Value("name", "Ana"), ". You owe ", Value("money", "30.50"), " by ", Value("date", "2026-12-01"), "."]
BILL_ES = ["Hola, ", Value("name", "Ana"), ". Usted debe ", Value("money", "30.50"), " antes del 5."]


def words(pieces: list[str | Value], language: str = "en-US") -> list[list[str]]:
    return [[each.words for each in fragments] for fragments in cut(pieces, language)]


def test_each_sentence_is_cut_where_a_value_begins_and_ends() -> None:
    assert words([*BILL, " Thank you."]) == [
        ["Hello,", "Ana."],
        ["You owe,", "thirty dollars and fifty cents,", "by,", "December first, twenty twenty-six."],
        ["Thank you."],
    ]
    assert words(list(BILL_ES), "es-US") == [
        ["Hola,", "Ana."],
        ["Usted debe,", "treinta dólares con cincuenta centavos,", "antes del cinco."],
    ]


def test_a_pause_is_made_where_the_writer_put_a_comma() -> None:
    ((hello, name),) = cut(["Hello, ", Value("name", "Ana")], "en-US")
    ((plain, _),) = cut(["Hello ", Value("name", "Ana")], "en-US")

    assert (hello.words, hello.is_phrase, plain.words, plain.is_phrase) == ("Hello,", True, "Hello,", False)
    assert name.words == "Ana"


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        (["Your code is ", Value("digits", "0422"), "."], [["Your code is,", "zero four two two."]]),
        (["Account ", Value("text", "1234"), " is due."], [["Account one two three four is due."]]),
        (
            ["Call ", Value("phone", "+18005550199"), "!"],
            [["Call,", "one, eight zero zero, five five five, zero one nine nine!"]],
        ),
        ([Value("name", "Ana"), ", ", Value("time", "14:30"), "?"], [["Ana,", "two thirty P M?"]]),
        (["Hello ", Value("name", "…"), " there."], [["Hello ..."], ["there."]]),
        (["Hello \ue000", Value("name", "An\ue001a"), "."], [["Hello,", "Ana."]]),
        (["Hi ", Value("name", "Ana " * 71)], [["Hi " + " ".join(["Ana"] * 69)], ["Ana Ana"]]),
    ],
    ids=["digits", "text stays in its sentence", "phone", "value first", "no word", "marks of ours", "too long"],
)
def test_a_value_is_read_by_its_type(pieces: list[str | Value], said: list[list[str]]) -> None:
    assert words(pieces) == said
