"""YAML 1.2 with line numbers: text in, a tree of three records out, everything wrong with it told at once.

Only the shape is kept, never a Python type: a scalar is its text. So `yes` stays a word, `007` keeps its zeros, and no
tag can make an object. Aliases are refused, since a few lines of them can stand for millions of nodes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from gateway.errors.voice import PlanProblem

MAX_BYTES: Final = 128 * 1024
MAX_DEPTH: Final = 20
_NULLS: Final = ("", "~", "null", "Null", "NULL")  # YAML 1.2.2, section 10.3.2
_DURATION: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)(ms|s|m)")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0}


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value as it is written; `is_null` for an empty one or `null`."""

    text: str
    is_null: bool
    line: int


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: "tuple[Value, ...]"
    line: int


@dataclass(frozen=True, slots=True)
class Block:
    """A mapping; keys are text, in the order of the file."""

    items: "Mapping[str, Value]"
    line: int


Value = Scalar | Items | Block


class Problems:
    """Collects what is wrong with one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[PlanProblem] = []

    def add(self, line: int, text: str, *, node: str | None = None) -> None:
        """Note an error at `line` (from 1)."""
        self.found.append(PlanProblem(self.file, line, node, text))


def read(source: str, problems: Problems) -> Value | None:
    """The tree of `source`, or None when there is none; what is wrong goes to `problems`.

    It takes up to a second or two for the largest file: keep it off an event loop.
    """
    if len(source.encode(errors="replace")) > MAX_BYTES:
        problems.add(1, f"larger than {MAX_BYTES // 1024} KiB")
        return None
    try:
        return _Tree(YAML(typ="rt").parse(source), problems).document()
    except _Unreadable as error:
        problems.add(error.line, error.text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problems.add(mark.line + 1 if mark else 1, f"not YAML: {error.problem or error.context}")
    except (YAMLError, ValueError) as error:
        problems.add(1, f"not YAML: {str(error).splitlines()[0]}")
    return None


class _Unreadable(Exception):
    """Nothing behind this line is worth looking at."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line, self.text = line, text


class _Tree:
    """Builds the tree from the parser's events, so that depth is known before anything recurses."""

    def __init__(self, events: Iterator[Event], problems: Problems) -> None:
        self._events, self._problems = events, problems

    def document(self) -> Value | None:
        """The only document of the stream."""
        opening = [next(self._events), next(self._events)]
        if isinstance(opening[1], StreamEndEvent):
            raise _Unreadable(1, "the file is empty")
        tree = self._value(next(self._events), depth=0)
        next(self._events)  # the end of the document
        more = next(self._events)
        if not isinstance(more, StreamEndEvent):
            raise _Unreadable(_line(more), "a second document: one file holds one")
        return tree

    def _value(self, event: Event, *, depth: int) -> Value:
        if depth > MAX_DEPTH:
            raise _Unreadable(_line(event), "nested too deeply")
        match event:
            case ScalarEvent():
                is_plain = event.style is None
                return Scalar(event.value, is_plain and event.value in _NULLS, _line(event))
            case SequenceStartEvent():
                items = (self._value(inner, depth=depth + 1) for inner in self._until(SequenceEndEvent))
                return Items(tuple(items), _line(event))
            case MappingStartEvent():
                return self._block(event, depth=depth)
        raise _Unreadable(_line(event), "aliases (&name, *name) are not supported: write it out")

    def _until(self, end: type[Event]) -> Iterator[Event]:
        for event in self._events:
            if isinstance(event, end):
                return
            yield event

    def _block(self, start: Event, *, depth: int) -> Block:
        items: dict[str, Value] = {}
        for event in self._until(MappingEndEvent):
            line = _line(event)
            key = self._value(event, depth=depth + 1)
            value = self._value(next(self._events), depth=depth + 1)
            if not isinstance(key, Scalar):
                self._problems.add(line, "a key must be a word")
            elif key.text in items:
                self._problems.add(line, f"the key {key.text!r} stands here twice")
            else:
                items[key.text] = replace(value, line=line)  # the key is what people look for
        return Block(items, _line(start))


def _line(event: Event) -> int:
    return int(event.start_mark.line) + 1


class Fields:
    """Reads the keys of one block. Each reader gives a value of the right type, whatever is there; faults are noted.

    After the last key call `done`, which notes the keys nobody asked for.
    """

    def __init__(self, block: Block, problems: Problems, *, node: str | None = None) -> None:
        self.block, self.problems, self.node = block, problems, node
        self._asked: set[str] = set()

    def line(self, key: str) -> int:
        """Line of the value of `key`, or of the block."""
        value = self.block.items.get(key)
        return value.line if value else self.block.line

    def wrong(self, key: str, text: str) -> None:
        """Note an error at `key`."""
        self.problems.add(self.line(key), text, node=self.node)

    def value(self, key: str) -> Value | None:
        """Whatever stands at `key`, or None."""
        self._asked.add(key)
        return self.block.items.get(key)

    def text(self, key: str, *, default: str | None = None, pattern: re.Pattern[str] | None = None) -> str:
        """The text at `key`; without a default the key must be there. `pattern` must match it whole."""
        value = self.value(key)
        if value is None:
            if default is None:
                self.wrong(key, f"{key!r} is missing")
            return default or ""
        if not isinstance(value, Scalar) or value.is_null or not value.text.strip():
            self.wrong(key, f"{key!r} must be a text")
            return default or ""
        if pattern and not pattern.fullmatch(value.text):
            self.wrong(key, f"{key!r} cannot be {value.text!r}: it must match {pattern.pattern}")
            return default or ""
        return value.text

    def choice(self, key: str, options: Iterable[str], *, default: str) -> str:
        """One of a few words at `key`."""
        text = self.text(key, default=default)
        if text not in (known := tuple(options)):
            self.wrong(key, f"{key!r} must be {' or '.join(known)}, not {text!r}")
            return default
        return text

    def flag(self, key: str) -> bool:
        """`true` or `false` at `key`; absent is false."""
        return self.choice(key, ("true", "false"), default="false") == "true"

    def seconds(self, key: str, *, default: float | None = None, low: float, high: float) -> float:
        """A duration at `key` such as 5s, 500ms or 2m, in seconds."""
        if key not in self.block.items and default is not None:
            self._asked.add(key)
            return default
        text = self.text(key)
        match = _DURATION.fullmatch(text)
        seconds = float(match[1]) * _UNITS[match[2]] if match else -1.0
        if text and not low <= seconds <= high:
            self.wrong(key, f"{key!r} must be a time from {low:g}s to {high:g}s such as 5s or 500ms, not {text!r}")
        return min(max(seconds, low), high)

    def integer(self, key: str, *, default: int | None = None, low: int, high: int) -> int:
        """A whole number at `key`."""
        text = self.text(key, default=None if default is None else str(default))
        number = int(text) if re.fullmatch(r"[0-9]{1,6}", text) else -1
        if text and not low <= number <= high:
            self.wrong(key, f"{key!r} must be a number from {low} to {high}, not {text!r}")
        return min(max(number, low), high)

    def fields(self, key: str) -> "Fields | None":
        """The block at `key`; None, and noted, if something else stands there."""
        value = self.value(key)
        if isinstance(value, Block):
            return Fields(value, self.problems, node=self.node)
        self.wrong(key, f"{key!r} is missing" if value is None else f"{key!r} must be a block of keys")
        return None

    def done(self) -> None:
        """Note every key nobody asked for."""
        for key, value in self.block.items.items():
            if key not in self._asked:
                known = ", ".join(sorted(self._asked))
                self.problems.add(value.line, f"unknown key {key!r}; known here: {known}", node=self.node)
