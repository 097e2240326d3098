"""How many segments a text makes, counted by the far end itself, so that it can disagree with the gateway.

Source: 3GPP TS 23.038 section 6.2.1 (default alphabet and its extension table), TS 23.040 section 9.2.3.24
(a concatenated part holds 153 septets or 67 UTF-16 units, since its header takes 6 octets).
"""

import re

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("\f^{}\\[~]|€")
_ALPHABET = _BASIC | _EXTENSION
_JOINS = re.compile("[\u0300-\u036f\u200d\ufe00-\ufe0f\u20d0-\u20ff\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")


def count(body: str) -> int:
    """Return the number of segments of `body`; an empty body is one segment.

    What belongs together (an escape pair, a surrogate pair, an emoji with what is joined to it) is not split.
    """
    if _ALPHABET.issuperset(body):
        return _pack([2 if letter in _EXTENSION else 1 for letter in body], single=160, part=153)
    return _pack(_ucs2_units(body), single=70, part=67)


def _ucs2_units(body: str) -> list[int]:
    """Return the UTF-16 units of each cluster: a letter with the marks and joins that follow it, a flag of two."""
    units: list[int] = []
    before, half_flag = "", False
    for letter in body:
        is_indicator = "\U0001f1e6" <= letter <= "\U0001f1ff"
        size = 2 if letter > "\uffff" else 1
        if units and (
            before == "\u200d" or before + letter == "\r\n" or (half_flag and is_indicator) or _JOINS.match(letter)
        ):
            units[-1] += size
            half_flag = False
        else:
            units.append(size)
            half_flag = is_indicator
        before = letter
    return units


def _pack(sizes: list[int], *, single: int, part: int) -> int:
    """Pack clusters greedily into parts and count the parts."""
    if sum(sizes) <= single:
        return 1
    parts, room = 1, part
    for size in sizes:
        if size > room:
            parts, room = parts + 1, part
        room -= size
    return parts
