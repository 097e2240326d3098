"""Rows to records and back. A record's fields are its table's columns; mappings and lists are kept as JSON."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any, TypeVar, cast

import orjson

from gateway.store.database import Row

T = TypeVar("T")

_JSON = frozenset(
    {
        *("metadata", "variables", "path", "prompts", "collected", "limits", "spec", "data"),
        *("alternatives", "tried", "retries", "hours", "detection", "transfers", "recordings", "quality", "launch"),
    }
)


def _columns(kind: Any) -> tuple[str, ...]:
    return tuple(kind.__dataclass_fields__)


def to_row(record: Any) -> dict[str, Any]:
    """The parameters of this record's insert."""
    row = {name: getattr(record, name) for name in _columns(type(record))}
    for name in _JSON & row.keys():
        row[name] = orjson.dumps(row[name]).decode()
    return row


def to_record(kind: type[T], row: Row) -> T:
    """The record a row stands for."""
    pick, texts = _picked(cast("Any", kind), tuple(row.keys()))
    values = list(pick(row))
    for place in texts:
        values[place] = orjson.loads(values[place])
    return kind(*values)


@lru_cache
def _picked(kind: type, keys: tuple[str, ...]) -> tuple[Callable[[Row], tuple[Any, ...]], tuple[int, ...]]:
    """How a row of these columns becomes a record's fields in order: what picks them, and where JSON is among them."""
    names = _columns(kind)
    pick: Callable[[Row], tuple[Any, ...]] = itemgetter(*(keys.index(name) for name in names))
    return pick, tuple(place for place, name in enumerate(names) if name in _JSON)


def loads(text: str) -> Mapping[str, Any]:
    """A JSON column of a row that is read without a record."""
    loaded: Mapping[str, Any] = orjson.loads(text or "{}")
    return loaded
