"""How many segments a text is, and where it is cut: what carriers count, pace and bill by.

A single text holds 160 septets or 70 code units; of a longer one six octets a segment go to the header that joins
the parts, which leaves 153 and 67 (3GPP TS 23.040, section 9.2.3.24.1).
"""

import math
import re
from dataclasses import dataclass
from typing import Final

from gateway.errors.sms import BadText
from gateway.sms.encoding import Encoding, code_units, escaped, septets
from gateway.sms.graphemes import FIRST_JOINING, clusters

LONGEST: Final = 1600  # code units of one message; Twilio refuses more (21617)

GSM_SINGLE: Final = 160
GSM_PART: Final = 153
UCS2_SINGLE: Final = 70
UCS2_PART: Final = 67

# One code unit each, and none joins another: Latin text and the punctuation that office programs put in.
_is_plain: Final = re.compile("[\x00-\u02ff\u2010-\u2027\u20ac]*").fullmatch


@dataclass(frozen=True, slots=True)
class Segmented:
    """What a text costs. `units` are septets (GSM-7) or UTF-16 code units (UCS-2)."""

    encoding: Encoding
    segments: int
    units: int


def segment(body: str) -> Segmented:
    """Count a text, as `split` would cut it.

    Raises: BadText when it is empty or only white space, longer than 1,600 characters or not valid Unicode.
    """
    if not body or body.isspace():
        raise BadText("a text cannot be empty or only white space")
    units = septets(body)
    if units is not None:
        _check_length(len(body))
        if units <= GSM_SINGLE:
            return Segmented("GSM-7", 1, units)
        return Segmented("GSM-7", _gsm_parts(body, units), units)
    units = _checked_code_units(body)
    if units <= UCS2_SINGLE:
        return Segmented("UCS-2", 1, units)
    parts = math.ceil(units / UCS2_PART) if _is_plain(body) else len(_split_ucs2(body))
    return Segmented("UCS-2", parts, units)


def split(body: str) -> list[str]:
    """Cut a text into its segments, packed greedily; joined again they are the text.

    An escape pair or a grapheme cluster is never cut, so a text can take one segment more than its length says. Only
    a cluster that fills more than a whole segment is cut, between code points. Raises BadText as `segment` does.
    """
    counted = segment(body)
    if counted.segments == 1:
        return [body]
    return _split_gsm(body) if counted.encoding == "GSM-7" else _split_ucs2(body)


def _check_length(units: int) -> None:
    if units > LONGEST:
        raise BadText(f"a text cannot be longer than {LONGEST} characters")


def _checked_code_units(body: str) -> int:
    try:
        units = code_units(body)
    except UnicodeEncodeError:
        raise BadText("half of a surrogate pair is no character") from None
    _check_length(units)
    return units


def _gsm_parts(body: str, units: int) -> int:
    return math.ceil(units / GSM_PART) if units == len(body) else len(_split_gsm(body))


def _split_gsm(body: str) -> list[str]:
    text = escaped(body)  # one character a septet
    parts, start = [], 0
    while start < len(text):
        end = start + GSM_PART
        if end < len(text) and text[end - 1] == "\x1b":
            end -= 1
        parts.append(text[start:end].replace("\x1b", ""))
        start = end
    return parts


def _split_ucs2(body: str) -> list[str]:
    parts, start = [], 0
    while start < len(body):
        end = _ucs2_cut(body, start)
        parts.append(body[start:end])
        start = end
    return parts


def _ucs2_cut(body: str, start: int) -> int:
    """Find where the segment that begins at `start` ends: the last cluster boundary within 67 code units."""
    fitting = body[start : start + UCS2_PART].encode("utf-16-be")[: 2 * UCS2_PART].decode("utf-16-be", "ignore")
    end = start + len(fitting)
    if end >= len(body):
        return end
    begin = end  # clusters are looked for from the last character that surely begins one: a broadcast has many texts
    while begin > start and body[begin] >= FIRST_JOINING:
        begin -= 1
    *_, last = clusters(body[begin : end + 1])
    boundary = end + 1 - len(last)
    return boundary if boundary > start else end
