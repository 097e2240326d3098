"""Where a text may be cut: between what a reader sees as characters.

The rules of Unicode Standard Annex 29, section 3.1.1, on Python's own tables: combining marks, joined emoji, skin
tones, flags and Hangul syllables stay whole. Rule GB3 is left out on purpose, since carriers count CR and LF apart,
and so is GB9c (Indic conjuncts), which carriers do not keep either.
"""

import unicodedata
from collections.abc import Iterator
from typing import Final

FIRST_JOINING: Final = "\u0300"  # no character before it ever joins the one in front

_ZWJ: Final = "\u200d"
_EXTENDING: Final = frozenset({"Mn", "Mc", "Me"})
# Extenders that Unicode files under other categories: non-joiner, half-width marks, Thai and Lao vowel AM.
_ALSO_EXTENDING: Final = frozenset("\u200c\uff9e\uff9f\u0e33\u0eb3")


def clusters(text: str) -> Iterator[str]:
    """Cut a text into grapheme clusters, in order; joined again they are the text."""
    start = 0
    for here in range(1, len(text)):
        if not _joins(text, start, here):
            yield text[start:here]
            start = here
    if text:
        yield text[start:]


def _joins(text: str, start: int, here: int) -> bool:
    """Tell whether the character at `here` belongs to the cluster that began at `start`."""
    before, char = text[here - 1], text[here]
    if char < FIRST_JOINING:  # most text ends here
        return False
    if _is_control(before):  # GB4
        return False
    if _extends(char):  # GB9, GB9a
        return True
    if before == _ZWJ:  # GB11
        return _is_pictograph(text[start]) and _is_pictograph(char)
    if _is_flag_half(char):  # GB12, GB13: a cluster of flag halves is at most one pair
        return here - start == 1 and _is_flag_half(before)
    return _joins_hangul(before, char)


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Zl", "Zp"} or char in "\u200b\ufeff"


def _extends(char: str) -> bool:
    return (
        char == _ZWJ
        or unicodedata.category(char) in _EXTENDING
        or char in _ALSO_EXTENDING
        or "\U0001f3fb" <= char <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= char <= "\U000e007f"  # tags, which spell the flags of regions
    )


def _is_pictograph(char: str) -> bool:
    return unicodedata.category(char) == "So" or "\U0001f000" <= char <= "\U0001faff"


def _is_flag_half(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _joins_hangul(before: str, char: str) -> bool:
    """GB6 to GB8: leading consonant, vowel, trailing consonant; a composed syllable takes the trailing one."""
    if "\u1100" <= before <= "\u115f":
        return "\u1100" <= char <= "\u11a7" or "\uac00" <= char <= "\ud7a3"
    if "\u1160" <= before <= "\u11a7":
        return "\u1160" <= char <= "\u11ff"
    if "\u11a8" <= before <= "\u11ff":
        return "\u11a8" <= char <= "\u11ff"
    if "\uac00" <= before <= "\ud7a3":
        open_syllable = (ord(before) - 0xAC00) % 28 == 0
        return ("\u1160" if open_syllable else "\u11a8") <= char <= "\u11ff"
    return False
