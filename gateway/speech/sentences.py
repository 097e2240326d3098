"""Cut a text into the pieces that an engine is given one at a time. Pure."""

import re
from typing import Final

from gateway.speech.numerals import table

LONGEST: Final = 280  # characters given to an engine at once; keeps one render under a second or two
TITLES: Final = frozenset(table("mr mrs ms dr st jr sr prof no inc co ltd ave sra dra mme mlle"))
SENTENCE_END: Final = re.compile(r"(?<=[.!?])[\"')\]»”]*\s+")


def sentences(text: str, limit: int = LONGEST) -> list[str]:
    """Cut a text into sentences of at most `limit` characters: engines fail on long ones.

    A sentence that is longer is cut at a comma, else at a space, else in the middle of a word.
    Returns:  no empty ones; joined by spaces they give the text again, but for white space.
    """
    found: list[str] = []
    start = 0
    for match in SENTENCE_END.finditer(text):
        if _ends(text[start : match.start()]):
            found.append(text[start : match.end()].strip())
            start = match.end()
    found.append(text[start:].strip())
    return [piece for sentence in found for piece in _pieces(sentence, limit) if piece]


def _ends(before: str) -> bool:
    """Whether a full stop ends a sentence: not after a title, an initial or "e.g."."""
    last = before.rsplit(" ", 1)[-1].rstrip("\"')]»”")
    word = last[:-1]
    if not last.endswith("."):
        return True
    return not (word.lower() in TITLES or (len(word) == 1 and word.isalpha()) or re.search(r"\w\.\w", word))


def _pieces(sentence: str, limit: int) -> list[str]:
    pieces: list[str] = []
    while len(sentence) > limit:
        cut = max(sentence.rfind(mark, limit // 2, limit) + 1 for mark in ",;:")
        cut = cut or sentence.rfind(" ", 1, limit) + 1 or limit
        pieces.append(sentence[:cut].strip())
        sentence = sentence[cut:].strip()
    return [*pieces, sentence]
