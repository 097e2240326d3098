"""`{{ name }}` in the words of a plan. Names only: no filters, no expressions, nothing that could run."""

import re
from collections.abc import Mapping
from typing import Final

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_FIELD: Final = re.compile(r"\{\{\s*([a-z][a-z0-9_]{0,39})\s*\}\}")


def names(text: str) -> tuple[str, ...]:
    """Names of the variables in `text`, in order, each once."""
    return tuple(dict.fromkeys(_FIELD.findall(text)))


def is_well_formed(text: str) -> bool:
    """Whether every `{{` and `}}` belongs to a plain `{{ name }}`."""
    rest = _FIELD.sub("", text)
    return "{{" not in rest and "}}" not in rest


def cut(text: str) -> list[tuple[str, str]]:
    """`text` where fields begin and end: (fixed words, "") and ("", name), in order."""
    pieces = _FIELD.split(text)
    return [(piece, "") if at % 2 == 0 else ("", piece) for at, piece in enumerate(pieces) if piece]


def fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with each `{{ name }}` replaced once by its value; what a value holds is never read as a template.

    Raises: KeyError if a name has no value (the loader and `engine.start` see to it that all have).
    """
    return _FIELD.sub(lambda match: values[match[1]], text)
