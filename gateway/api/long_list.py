"""A JSON object with one very long list in it: the list is read in pieces, so it never exists as objects all at once.

Reading a job of 100,000 people whole would hold the event loop for a tenth of a second and leave the memory of 200,000
objects in pieces that the system gets back only in part.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import orjson

from gateway.api.inputs import read_json
from gateway.errors.api import BadJson

PIECE: Final = 1_000  # entries

Span: TypeAlias = tuple[int, int]

_decode: Final = json.JSONDecoder().raw_decode
_space: Final = re.compile(r"[ \t\n\r]*").match


class LongList:
    """The entries of a list, by where they stand in the body. Go through it once; the body is let go at its end."""

    def __init__(self, data: bytes, spans: list[Span]) -> None:
        self._data = data
        self._spans = spans

    def __iter__(self) -> Iterator[object]:
        """Each entry, as JSON has it. Raises BadJson, naming the thousand entries in which the fault is."""
        for number, (start, end) in enumerate(self._spans):
            try:
                piece = orjson.loads(b"[" + self._data[start:end] + b"]")
            except orjson.JSONDecodeError as error:
                raise BadJson(f"not JSON: {error.msg}, after entry {number * PIECE} of a list") from None
            yield from piece
        self._data, self._spans = b"", []


def read(data: bytes, name: str) -> Any:
    """Read a body whose field `name` may be long: its list becomes a LongList. It blocks: call it in a thread.

    Raises: BadJson, with the position. What stands inside the list is looked at closely only when it is gone through.
    """
    try:
        found = _find(data.decode("latin-1"), name)  # a character a byte, whatever the bytes mean
    except (ValueError, IndexError, RecursionError):
        return read_json(data)  # not JSON: the strict reader tells where
    if found is None:
        return read_json(data)
    start, end, spans = found
    head = read_json(data[:start] + b"[]" + data[end:])
    head[name] = LongList(data, spans)
    return head


def _find(text: str, name: str) -> tuple[int, int, list[Span]] | None:
    """Where the list `name` of the top object begins and ends, and its entries' spans; None: there is not one."""
    found = None
    at = _after(text, _past(text, 0), "{")
    while text[at] != "}":
        key, at = _decode(text, at)
        at = _after(text, _past(text, at), ":")
        if key == name and text[at] == "[":
            if found is not None:
                return None
            start = at
            at, spans = _entries(text, at)
            found = (start, at, spans)
        else:
            _, at = _decode(text, at)
        at = _past(text, at)
        if text[at] != "}":
            at = _after(text, at, ",")
    return found


def _entries(text: str, at: int) -> tuple[int, list[Span]]:
    """The end of the list that begins at `at`, and the spans of its entries, a thousand each."""
    spans: list[Span] = []
    at = _past(text, at + 1)
    if text[at] == "]":
        return at + 1, spans
    start, count = at, 0
    while True:
        _, at = _decode(text, at)
        end, at, count = at, _past(text, at), count + 1
        if count == PIECE or text[at] == "]":
            spans.append((start, end))
            count = 0
        if text[at] == "]":
            return at + 1, spans
        at = _after(text, at, ",")
        start = at if count == 0 else start


def _past(text: str, at: int) -> int:
    """The first place from `at` on that is no white space."""
    found = _space(text, at)
    return found.end() if found else at


def _after(text: str, at: int, mark: str) -> int:
    """The next place after a mark and the white space behind it. Raises ValueError where the mark is not there."""
    if text[at] != mark:
        raise ValueError(mark)
    return _past(text, at + 1)
