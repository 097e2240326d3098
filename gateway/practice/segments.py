"""How many segments a text makes, counted by the far end itself, so that it can disagree with the gateway.

Source: 3GPP TS 23.038 section 6.2.1 (default alphabet and its extension table), TS 23.040 section 9.2.3.24
(a concatenated part holds 153 septets or 67 UTF-16 units, since its header takes 6 octets).
"""

import re
from itertools import pairwise

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
    """Return the UTF-16 units of each cluster: a letter with the marks and joins that follow it."""
    starts = [at for at in range(len(body)) if at == 0 or not _belongs(body, at)]
    return [len(body[a:b].encode("utf-16-be")) // 2 for a, b in pairwise([*starts, len(body)])]


def _belongs(body: str, at: int) -> bool:
    """Say whether the character at `at` continues the cluster before it."""
    flags = re.search("[\U0001f1e6-\U0001f1ff]*$", body[:at])
    is_flag = "\U0001f1e6" <= body[at] <= "\U0001f1ff" and flags is not None and len(flags[0]) % 2 == 1
    return is_flag or body[at - 1] == "\u200d" or body[at - 1 : at + 1] == "\r\n" or bool(_JOINS.match(body[at]))


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
