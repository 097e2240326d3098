"""YAML 1.2 with line numbers: text in, a tree of three records out, everything wrong with it told at once.

Only the shape is kept, never a Python type: a scalar is its text. So `yes` stays a word, `007` keeps its zeros, and no
tag can make an object. Aliases are refused, since a few lines of them can stand for millions of nodes.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from gateway.errors import PlanProblem

MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 20
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
    """The tree of `source`, or None when there is none; what is wrong goes to `problems`."""
    if len(source.encode(errors="replace")) > MAX_BYTES:
        problems.add(1, f"larger than {MAX_BYTES // 1024} KiB")
        return None
    try:
        root = YAML(typ="rt").compose(source)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problems.add(mark.line + 1 if mark else 1, f"not YAML: {error.problem or error.context}")
        return None
    except (YAMLError, ValueError) as error:
        problems.add(1, f"not YAML: {str(error).splitlines()[0]}")
        return None
    except RecursionError:
        problems.add(1, "nested too deeply")
        return None
    if root is None:
        problems.add(1, "the file is empty")
        return None
    return _convert(root, problems, seen=set(), depth=0)


def _convert(node: object, problems: Problems, *, seen: set[int], depth: int) -> Value | None:
    line = node.start_mark.line + 1  # type: ignore[attr-defined]
    if id(node) in seen:
        problems.add(line, "aliases (&name, *name) are not supported: write it out")
        return None
    if depth > MAX_DEPTH:
        problems.add(line, "nested too deeply")
        return None
    seen.add(id(node))
    match node:
        case ScalarNode():
            return Scalar(node.value, node.tag == "tag:yaml.org,2002:null", line)
        case SequenceNode():
            inner = (_convert(item, problems, seen=seen, depth=depth + 1) for item in node.value)
            return Items(tuple(item for item in inner if item is not None), line)
        case MappingNode():
            return _convert_mapping(node, problems, seen=seen, depth=depth)
    raise AssertionError(type(node))


def _convert_mapping(node: MappingNode, problems: Problems, *, seen: set[int], depth: int) -> Block:
    items: dict[str, Value] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, ScalarNode):
            problems.add(line, "a key must be a word")
            continue
        value = _convert(value_node, problems, seen=seen, depth=depth + 1)
        if key_node.value in items:
            problems.add(line, f"the key {key_node.value!r} stands here twice")
        elif value is not None:
            items[key_node.value] = value
    return Block(items, node.start_mark.line + 1)


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
