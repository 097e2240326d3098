import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors.sms import BadTemplate, MissingVariable
from gateway.sms.template import parse


@pytest.mark.parametrize(
    ("text", "variables", "rendered"),
    [
        ("No places, 100 % {plain}", {}, "No places, 100 % {plain}"),
        ("Hello {{ name }}, {{name}}!", {"name": "Ana"}, "Hello Ana, Ana!"),
        ("{{ a }}{{ b }} 5% off %s", {"a": "1", "b": "2"}, "12 5% off %s"),
        ('Dear {{ name|default:"customer" }}', {}, "Dear customer"),
        ('Dear {{ name | default: "customer" }}', {"name": " "}, "Dear customer"),
        ('Dear {{ name|default:"customer" }}', {"name": "Ana"}, "Dear Ana"),
        ('{{ a|default:"" }}x', {}, "x"),
        ("{{ a }}", {"a": "{{ b }} %s", "b": "no"}, "{{ b }} %s"),
        ("{{ a }}", {"a": " kept as it is "}, " kept as it is "),
    ],
)
def test_places_are_filled_in_once(text: str, variables: dict[str, str], rendered: str) -> None:
    assert parse(text).render(variables) == rendered


@pytest.mark.parametrize("variables", [{}, {"name": ""}, {"name": " \t"}, {"Name": "Ana"}])
def test_a_missing_or_blank_value_is_named_and_nothing_is_rendered(variables: dict[str, str]) -> None:
    with pytest.raises(MissingVariable, match="'name'") as missing:
        parse("Hello {{ name }}, you owe {{ amount }}").render({"amount": "5", **variables})

    assert missing.value.name == "name"


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("Hello {{ name", 6),
        ("Hello name }}", 11),
        ("{{ }}", 0),
        ("ok {{ a }} {{ first name }}", 11),
        ("{{ a|upper }}", 0),
        ("{{ a.b }}", 0),
        ("{{ 1a }}", 0),
        ('{{ a|default:"x }}', 0),
        ("x {% if a %}", 2),
        ("{{{ a }}}", 0),
    ],
)
def test_what_is_not_a_place_is_refused_with_its_position(text: str, position: int) -> None:
    with pytest.raises(BadTemplate) as bad:
        parse(text)

    assert bad.value.position == position


def test_only_declared_variables_may_be_asked_for() -> None:
    with pytest.raises(BadTemplate, match="'amout' is declared, at character 4"):
        parse("of {{ amout }}", {"amount": None})


def test_a_declared_stand_in_serves_and_one_in_the_text_goes_before_it() -> None:
    template = parse('{{ a }} {{ a|default:"text" }} {{ b }}', {"a": "declared", "b": None})

    assert template.render({"b": "x"}) == "declared text x"
    assert template.names == ("a", "b")


@given(st.text(st.characters(exclude_characters="{}")), st.text(min_size=1).filter(lambda value: not value.isspace()))
def test_any_text_and_any_value_come_through_unchanged(text: str, value: str) -> None:
    assert parse(f"{text}{{{{ a }}}}{text}").render({"a": value}) == f"{text}{value}{text}"


@given(st.text(st.sampled_from('{}%|" adefult:'), min_size=1))
def test_any_text_is_either_a_template_or_a_told_fault(text: str) -> None:
    with contextlib.suppress(BadTemplate):
        template = parse(text)
        assert template.render(dict.fromkeys(template.names, "x"))
