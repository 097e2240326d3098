import random

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import timezone

from gateway import phone
from gateway.errors.phone import InvalidNumber


@pytest.mark.parametrize("area", range(200, 1000, 100), ids=lambda area: f"{area}s")
def test_the_pattern_says_what_phonenumbers_says_about_every_area_code(area: int) -> None:
    """Eight exchanges of each area code, drawn anew from a fixed seed, lines included."""
    dice = random.Random(area)
    numbers = [f"+1{code}{dice.randrange(10**7):07}" for code in range(area, area + 100) for _ in range(8)]

    ours = [number for number in numbers if phone._is_nanp(number)]

    assert ours == [number for number in numbers if phonenumbers.is_valid_number(phonenumbers.parse(number))]


@given(st.from_regex(r"\+1[2-9][0-9]{9}", fullmatch=True))
def test_the_pattern_agrees_with_phonenumbers_on_any_ten_digits(number: str) -> None:
    assert (phone._is_nanp(number) is not None) == phonenumbers.is_valid_number(phonenumbers.parse(number))


@pytest.mark.parametrize(
    "text",
    [
        "+12125551234",
        "12125551234",
        "2125551234",
        "(212) 555-1234",
        "212.555.1234",
        "+1 212-555-1234",
        " 1-212-555-1234\t",
        "\u202a+1\u00a0212\u2011555\u20111234\u202c",
    ],
)
def test_a_number_of_country_code_1_is_read_however_people_write_it(text: str) -> None:
    assert phone.parse(text) == "+12125551234"


@pytest.mark.parametrize(
    ("text", "country", "number"),
    [
        ("+44 20 7946 0958", "US", "+442079460958"),
        ("020 7946 0958", "GB", "+442079460958"),
        ("514-555-1234", "CA", "+15145551234"),
        ("+1 242 302 1234", "GB", "+12423021234"),
    ],
)
def test_numbers_of_other_countries_need_a_plus_or_their_country(text: str, country: str, number: str) -> None:
    assert phone.parse(text, country=country) == number


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "missing"),
        ("  ", "missing"),
        ("+", "only digits"),
        ("1-800-FLOWERS", "only digits"),
        ("2125551234 x5", "only digits"),
        ("٢١٢٥٥٥١٢٣٤", "only digits"),
        ("62345", "ten digits"),
        ("+13105551", "ten digits"),  # dialled inside Canada only, so no E.164
        ("442079460958", "ten digits"),
        ("+11115551234", "area code"),
        ("+12121551234", "area code"),
        ("+12125551234\n5", "only digits"),
        ("+999123456789", "no such country code"),
        ("+4420", "no such number"),
    ],
)
def test_what_is_no_number_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(InvalidNumber, match=why) as refused:
        phone.parse(text)

    assert not any(digits in str(refused.value) for digits in ("5551234", "62345", "9460958", "123456"))


@pytest.mark.parametrize(
    ("text", "number", "kind"),
    [
        ("+1 800 555 0199", "+18005550199", "toll_free"),
        ("8885550199", "+18885550199", "toll_free"),
        ("+12125551234", "+12125551234", "long_code"),
        (" 62345 ", "62345", "short_code"),
        ("623456", "623456", "short_code"),
        ("+44 20 7946 0958", "+442079460958", "long_code"),
    ],
)
def test_a_sender_says_by_its_number_which_rules_it_falls_under(text: str, number: str, kind: str) -> None:
    sender = phone.parse_sender(text)

    assert sender == number
    assert phone.sender_kind(sender) == kind


def test_no_other_area_code_of_country_code_1_is_toll_free() -> None:
    """The seven codes are those of the metadata: 822 and the like are reserved, not in service."""
    for code in range(200, 1000):
        number = phonenumbers.parse(f"+1{code}5550199")
        free = phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.TOLL_FREE
        assert phone.is_toll_free(f"+1{code}5550199") == free, code


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("+12125551234", "+1212***1234"),
        ("+442079460958", "+4420***0958"),
        ("+4915112345", "+491***2345"),
        ("62345", "***45"),
        ("", "***"),
    ],
)
def test_a_masked_number_keeps_what_support_needs_and_hides_the_rest(number: str, masked: str) -> None:
    assert phone.mask(number) == masked


@given(st.from_regex(r"\+[1-9][0-9]{2,14}", fullmatch=True))
def test_a_mask_always_hides_at_least_two_digits(number: str) -> None:
    assert len(phone.mask(number).replace("***", "")) <= len(number) - 2


def test_the_zones_of_a_number_of_country_code_1_depend_on_its_first_six_digits_alone() -> None:
    """What `zones` remembers them by; valid numbers, drawn from a fixed seed."""
    dice = random.Random(6)
    drawn = (f"+1{dice.randrange(200, 1000)}{dice.randrange(10**7):07}" for _ in range(6_000))
    numbers = [number for number in drawn if phone._is_nanp(number)]

    assert len(numbers) > 2_000
    for number in numbers:
        theirs = tuple(timezone.time_zones_for_number(phonenumbers.parse(number)))
        assert phone.zones(number) == (theirs if theirs != ("Etc/Unknown",) else phone.zones("+18005550199")), number
    assert phone.zones("+442079460958") == ("Europe/London",)
