import contextlib
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.campaign.recipients import CHUNK, Intake, Invalid, Recipient, Row, as_text, variables_of
from gateway.errors.sms import BadVariable

MARIA = {"to": "(212) 555-1234", "variables": {"name": "Maria", "amount": 12.5, "unit": 7.0}, "reference": "inv-1"}


def faults(rows: Iterable[Row]) -> list[tuple[int, str, str]]:
    return [(row.line, fault.field, fault.slug) for row in rows if isinstance(row, Invalid) for fault in row.faults]


def test_a_row_becomes_a_recipient_with_its_number_in_e164_and_its_values_as_text() -> None:
    taken = Intake().take(3, MARIA)

    assert taken == Recipient("+12125551234", {"name": "Maria", "amount": "12.5", "unit": "7"}, "inv-1", 3)


def test_only_the_number_is_needed() -> None:
    assert Intake().take(1, {"to": "+12125551234"}) == Recipient("+12125551234", {}, "", 1)


@pytest.mark.parametrize("to", [12125551234, 12125551234.0, 2125551234.0, "12125551234"])
def test_a_number_may_be_a_number(to: object) -> None:
    taken = Intake().take(1, {"to": to})

    assert isinstance(taken, Recipient)
    assert taken.to == "+12125551234"


def test_a_number_without_plus_is_of_the_country_of_the_intake() -> None:
    taken = Intake(country="GB").take(1, {"to": "020 7946 0958"})

    assert isinstance(taken, Recipient)
    assert taken.to == "+442079460958"


@pytest.mark.parametrize(
    ("item", "field", "slug"),
    [
        ("+12125551234", "", "not_an_object"),
        (None, "", "not_an_object"),
        ({}, "to", "invalid_number"),
        ({"to": None}, "to", "invalid_number"),
        ({"to": True}, "to", "invalid_number"),
        ({"to": ["+12125551234"]}, "to", "invalid_number"),
        ({"to": "62345"}, "to", "invalid_number"),
        ({"to": "+12125551234", "varables": {}}, "", "unknown_field"),
        ({"to": "+12125551234", "variables": []}, "variables", "bad_variable"),
        ({"to": "+12125551234", "variables": {"a": True}}, "variables.a", "bad_variable"),
        ({"to": "+12125551234", "variables": {"a": {}}}, "variables.a", "bad_variable"),
        ({"to": "+12125551234", "variables": {"a b": "x"}}, "variables.a b", "bad_variable"),
        ({"to": "+12125551234", "variables": {"a": "\x00"}}, "variables.a", "bad_variable"),
        ({"to": "+12125551234", "variables": {"a": "x" * 10_001}}, "variables.a", "bad_variable"),
        ({"to": "+12125551234", "reference": "a\x00"}, "reference", "bad_reference"),
        ({"to": "+12125551234", "reference": {}}, "reference", "bad_reference"),
        ({"to": "+12125551234", "reference": "r" * 256}, "reference", "bad_reference"),
    ],
)
def test_a_row_that_cannot_be_used_says_which_field_and_why(item: object, field: str, slug: str) -> None:
    taken = Intake().take(9, item)

    assert faults([taken]) == [(9, field, slug)]
    assert isinstance(taken, Invalid)
    assert taken.faults[0].reason
    assert "555" not in taken.faults[0].reason


def test_a_number_that_stands_twice_is_taken_once_however_it_is_written() -> None:
    intake = Intake()

    rows = [intake.take(line, {"to": to}) for line, to in enumerate(["+12125551234", "+12125551235", "2125551234"], 1)]

    assert faults(rows) == [(3, "to", "duplicate")]


def test_a_row_that_cannot_be_used_does_not_make_a_good_one_after_it_a_duplicate() -> None:
    intake = Intake()
    intake.take(1, {"to": "+12125551234", "variables": {"a": []}})

    assert isinstance(intake.take(2, {"to": "+12125551234"}), Recipient)


def test_a_list_comes_back_whole_in_chunks_that_count_from_one() -> None:
    items = [{"to": f"+1212{number:07}"} for number in range(5_550_000, 5_550_000 + 2 * CHUNK + 1)]

    chunks = list(Intake().take_all(items))

    assert [len(chunk) for chunk in chunks] == [CHUNK, CHUNK, 1]
    assert [row.line for chunk in chunks for row in chunk] == list(range(1, len(items) + 1))
    assert list(Intake().take_all([])) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", ""),
        (None, ""),
        (0, "0"),
        (-3, "-3"),
        (5.0, "5"),
        (12.5, "12.5"),
        (0.1 + 0.2, "0.3"),
        (12125551234.0, "12125551234"),
        (True, None),
        (float("nan"), None),
        (float("inf"), None),
        ([], None),
    ],
)
def test_numbers_are_written_as_a_spreadsheet_shows_them(value: object, text: str | None) -> None:
    assert as_text(value) == text


def test_a_null_value_is_as_if_it_had_not_been_given() -> None:
    assert variables_of({"a": None, "b": ""}) == {"b": ""}
    assert variables_of(None) == {}


@given(st.dictionaries(st.text(max_size=5), st.none() | st.booleans() | st.integers() | st.floats() | st.text()))
def test_variables_are_texts_or_a_told_fault(raw: dict[str, object]) -> None:
    with contextlib.suppress(BadVariable):
        variables = variables_of(raw)
        assert set(variables) <= set(raw)
        assert all(isinstance(value, str) for value in variables.values())
