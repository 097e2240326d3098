"""Sentences that vary from person to person, cut so that what is fixed in them is rendered once for all. Pure.

"Hello {{ name }}. You owe {{ amount }} by Friday." is five fragments: "Hello", the name, "You owe", the amount, and
"by Friday". Ten thousand people share three of them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.speech.sentences import LONGEST, sentences
from gateway.speech.spoken import normalised
from gateway.voice.dialplan import Value
from gateway.voice.values import written

# A value stands in its text as one character that no text may hold (Unicode's private use area): the sentence around it
# is read and cut as a whole, so a comma or a full stop after a value stays with it.
FIRST_MARK: Final = 0xE000
MOST_VALUES: Final = 256
MARKS: Final = re.compile(f"([{chr(FIRST_MARK)}-{chr(FIRST_MARK + MOST_VALUES - 1)}])")
ENDS: Final = ".,;:!?"


@dataclass(frozen=True, slots=True)
class Fragment:
    """Words for an engine. `is_phrase`: a comma or the like follows, so a speaker pauses."""

    words: str
    is_phrase: bool


def cut(pieces: Sequence[str | Value], language: str) -> list[list[Fragment]]:
    """Cut what is said into sentences, and those into fragments of speakable words.

    pieces:    a text, cut where its variables begin and end. A value of type "text" is part of its sentence: how its
               digits are read depends on the words around it. So is one that is too long to be a fragment.
    language:  a BCP 47 tag.
    Returns:   for each sentence its fragments, in order; a sentence without a value is one. What does not end its
               sentence ends with a comma, so that no engine lets its voice fall there.
    """
    values: list[str] = []
    text = "".join(
        piece if isinstance(piece, str) else _marked(piece, values, language) for piece in map(_clean, pieces)
    )
    return [found for sentence in sentences(normalised(text, language)) if (found := _fragments(sentence, values))]


def _clean(piece: str | Value) -> str | Value:
    return MARKS.sub("", piece) if isinstance(piece, str) else Value(piece.type, MARKS.sub("", piece.text))


def _marked(value: Value, values: list[str], language: str) -> str:
    text = written(value.type, value.text, language)
    words = normalised(text, language)
    if value.type == "text" or not any(map(str.isalnum, words)) or len(words) > LONGEST or len(values) == MOST_VALUES:
        return text
    values.append(words)
    return chr(FIRST_MARK + len(values) - 1)


def _fragments(sentence: str, values: Sequence[str]) -> list[Fragment]:
    found: list[str] = []
    for piece in MARKS.split(sentence):
        words = values[ord(piece) - FIRST_MARK] if MARKS.fullmatch(piece) else piece.strip()
        rest = words.lstrip(ENDS)
        if found:  # the comma or the full stop after a value is said with it
            found[-1] += words[: len(words) - len(rest)]
        if any(map(str.isalnum, rest)):
            found.append(rest.strip() if found else words)
    open_ended = [Fragment(words if words[-1] in ENDS else f"{words},", words[-1] in ENDS) for words in found[:-1]]
    return [*open_ended, *(Fragment(words, is_phrase=True) for words in found[-1:])]
