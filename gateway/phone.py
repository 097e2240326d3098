"""Telephone numbers: read, checked, told apart and masked.

Numbers are kept as E.164 text (`+12125551234`), short codes as their five or six digits. The library
phonenumbers takes 30 to 60 µs a number, a broadcast brings 100,000; so numbers of country code 1 are checked by one
pattern made from that library's own metadata (0.3 µs), and a test holds the two together.
"""

import re
from functools import lru_cache
from typing import Final, Literal

import phonenumbers
from phonenumbers import PhoneMetadata, timezone

from gateway.errors.phone import InvalidNumber

SenderKind = Literal["toll_free", "long_code", "short_code"]

TOLL_FREE_CODES: Final = frozenset(
    {"800", "833", "844", "855", "866", "877", "888"}
)  # NANPA, easily recognizable codes

_PLACE: Final = len("+1212555")  # no zone of country code 1 depends on more of a number: 140 us each are spared
_REST: Final = "1234"
_KINDS: Final = (
    "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number", "voip", "pager", "uan",
    "voicemail",
)  # fmt: skip
# Five or six digits, none begins with 0 or 1 (US and Canadian short code registries).
_SHORT_CODE: Final = re.compile(r"[2-9][0-9]{4,5}")
# Punctuation that people type, and the invisible direction marks that address books paste along with a number.
_DECORATION: Final = dict.fromkeys(
    map(ord, " \t().-/\u00a0\u2010\u2011\u2012\u2013\u202a\u202c\u202d\u202e\u200e\u200b\ufeff")
)
_ANYWHERE: Final = "+18002345678"  # a toll-free number's owner
_DIGITS: Final = re.compile(r"\+?[0-9]+")


def _region_pattern(region: str) -> str:
    """Pattern of the ten-digit numbers that phonenumbers calls valid in one region of country code 1."""
    data = PhoneMetadata.metadata_for_region(region)
    if data is None:
        raise ValueError(f"phonenumbers has no metadata for {region}")
    kinds = [kind.national_number_pattern for name in _KINDS if (kind := getattr(data, name)) is not None]
    numbers = "|".join(dict.fromkeys(pattern for pattern in kinds if pattern))
    return f"(?={data.leading_digits or ''})(?=[0-9]{{10}}$)(?:{numbers})"


def _nanp_pattern() -> re.Pattern[str]:
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[1]
    return re.compile(r"\+1(?:" + "|".join(map(_region_pattern, regions)) + ")", re.ASCII)


_is_nanp: Final = _nanp_pattern().fullmatch


def parse(text: str, *, country: str = "US") -> str:
    """Read one telephone number.

    text:    E.164, or a number as people write it: `(212) 555-1234`, `1-212-555-1234`, `+44 20 7946 0958`.
    country: two letters; whose national form a number without `+` is in.
    Returns: E.164, `+` and up to 15 digits.
    Raises:  InvalidNumber, with the reason and without the number. Letters, extensions and short codes are refused.
    """
    if _is_nanp(text):
        return text
    bare = text.translate(_DECORATION)
    if not bare:
        raise InvalidNumber("a telephone number is missing")
    if not _DIGITS.fullmatch(bare):
        raise InvalidNumber("a telephone number holds only digits, one leading + and punctuation")
    if bare.startswith("+1") or (bare[0] != "+" and country in {"US", "CA"}):
        return _parse_nanp(bare)
    return _parse_elsewhere(bare, country)


def _parse_nanp(bare: str) -> str:
    digits = bare.removeprefix("+")
    number = f"+1{digits}" if len(digits) == 10 and bare[0] != "+" else f"+{digits}"
    if _is_nanp(number):
        return number
    if len(number) != 12 or number[1] != "1":
        raise InvalidNumber("a number has ten digits, or 1 and ten digits; numbers of other countries begin with +")
    raise InvalidNumber("no such area code or exchange is in service")


def _parse_elsewhere(bare: str, country: str) -> str:
    try:
        number = phonenumbers.parse(bare, country)
    except phonenumbers.NumberParseException:
        raise InvalidNumber("no such country code, or too few or too many digits") from None
    if not phonenumbers.is_valid_number(number):
        raise InvalidNumber("no such number can exist in its country")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def parse_sender(text: str) -> str:
    """Read a number that messages or calls leave from: as `parse`, and short codes too. Raises InvalidNumber."""
    bare = text.strip()
    return bare if is_short_code(bare) else parse(bare)


def is_short_code(number: str) -> bool:
    """Tell whether this is a short code: five or six digits, without country code."""
    return _SHORT_CODE.fullmatch(number) is not None


def is_toll_free(number: str) -> bool:
    """Tell whether an E.164 number is a toll-free one of country code 1."""
    return number.startswith("+1") and number[2:5] in TOLL_FREE_CODES and len(number) == 12


def sender_kind(number: str) -> SenderKind:
    """Tell which rules a sender falls under; `number` as `parse_sender` returned it."""
    if is_short_code(number):
        return "short_code"
    return "toll_free" if is_toll_free(number) else "long_code"


def mask(number: str) -> str:
    """Hide a number for logs: country and area code and the last four digits stay, `+1212***1234`.

    Of a shorter number less is shown, so that at least three digits are always hidden.
    """
    if len(number) < 7:
        return "***" + number[-2:]
    return f"{number[: min(5, len(number) - 7)]}***{number[-4:]}"


def zones(number: str) -> tuple[str, ...]:
    """Every time zone (IANA) that the owner of an E.164 number may be in; where nobody can tell, all of country code 1.

    A ported mobile number travels further than this.
    """
    return _zones(number[:_PLACE] + _REST if number.startswith("+1") else number)


@lru_cache(maxsize=65_536)
def _zones(number: str) -> tuple[str, ...]:
    found = timezone.time_zones_for_number(phonenumbers.parse(number))
    return tuple(found) if timezone.UNKNOWN_TIMEZONE not in found else zones(_ANYWHERE)
