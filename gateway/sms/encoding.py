"""Which alphabet a text travels in, and how its alphabet can be kept cheap.

GSM 7-bit default alphabet (3GPP TS 23.038, section 6.2.1) when every character is in it or in its extension
table, UCS-2 otherwise. National shift tables are left out: the carriers of the US and Canada do not use them.
"""

# ruff: noqa: RUF001 -- characters that look like others are what this file lists

import re
import unicodedata
from typing import Final, Literal

Encoding = Literal["GSM-7", "UCS-2"]

BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION: Final = "\f^{}\\[~]|€"  # each travels as an escape and a septet, so it costs two

_ASCII_BASIC: Final = "".join(filter(str.isascii, BASIC)).encode()
_ASCII_EXTENSION: Final = "".join(filter(str.isascii, EXTENSION)).encode()
_is_gsm: Final = re.compile(f"[{re.escape(BASIC + EXTENSION)}]*").fullmatch
_extension: Final = re.compile(f"[{re.escape(EXTENSION)}]")


def septets(body: str) -> int | None:
    """Count what a text takes in the GSM alphabet.

    Returns: septets, two for each character of the extension table; None when a character is in neither table.
    """
    if body.isascii():  # bytes.translate looks at 100 characters in 0.2 µs, and most texts are ASCII
        rest = body.encode().translate(None, _ASCII_BASIC)
        return None if rest.translate(None, _ASCII_EXTENSION) else len(body) + len(rest)
    if not _is_gsm(body):
        return None
    return len(body) + len(_extension.findall(body))


def escaped(body: str) -> str:
    """Write an escape before each character of the extension table: one character a septet."""
    return _extension.sub("\x1b\\g<0>", body)


def code_units(body: str) -> int:
    """Count UTF-16 code units: two for each character beyond U+FFFF. Raises UnicodeEncodeError for half a pair."""
    return len(body.encode("utf-16-be")) // 2


# What each character of the GSM alphabet stands in for. Twilio's Smart Encoding is the model of this list; where its
# calculator turns one space into two, a tab into seven or swaps < and > quotes, this does what was meant.
_STANDS_FOR: Final = {
    '"': "«»“”„‟ʺˮ❝❞〝〞″",
    "'": "‘’‛ʻʼʽʹˈˊˋ´`❛❜′",
    "-": "‐‑‒–—―⁃−→•⎼⎽",
    "/": "÷⁄∕⧸",
    "\\": "⧵⧹",
    "|": "∣⎸⎹⏐⎜⎟",
    ",": "‚\u3001\ufe51\uff64",
    ".": "\u3002\uff61",
    "(": "❨❪⟮⦅",
    ")": "❩❫⟯⦆",
    "{": "❴",
    "}": "❵",
    "<": "‹",
    ">": "›",
    "*": "⁎∗⊛✢✣✤✥✱✲✳✺✻✼✽❃❉❊❋⧆",
    "+": "˖",
    ":": "ː˸⦂꞉",
    ";": "⁏",
    "=": "꞊",
    "!": "ǃ",
    "^": "ˆ",
    "~": "˜˷∼",
    "_": "‗",
    " ": "\t\u00a0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B))),
    "...": "…",
    "!!": "‼",
    "1/4": "¼",
    "1/2": "½",
    "3/4": "¾",
    "": "\u00ad\u200b\u2060\ufeff",
}


def _substitutes() -> dict[int, str]:
    table = dict.fromkeys({*range(0x20), *range(0x7F, 0xA0)} - set(b"\f\n\r"), "")  # controls show as nothing
    table |= {ord(char): cheap for cheap, chars in _STANDS_FOR.items() for char in chars}
    for block in (range(0xFE10, 0xFE17), range(0xFE50, 0xFE6C), range(0xFF01, 0xFF5F)):
        # Vertical, small and full-width forms: Unicode itself names the plain character.
        plain = {code: unicodedata.normalize("NFKC", chr(code)) for code in block}
        table |= {code: char for code, char in plain.items() if char.isascii() and char != chr(code)}
    return table


_SUBSTITUTES: Final = _substitutes()


def smart(body: str) -> str:
    """Replace look-alikes (curly quotes, long dashes, odd spaces, full-width letters) by what the GSM alphabet has.

    Accents are first composed (e and a combining acute become é). What has no stand-in, emoji say, stays.
    Done only where a message asks for it: it changes what the sender wrote.
    """
    if septets(body) is not None:  # most texts, at a tenth of the price
        return body
    return unicodedata.normalize("NFC", body).translate(_SUBSTITUTES)
