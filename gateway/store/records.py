"""Rows to records and back. A record's fields are its table's columns; mappings and lists are kept as JSON."""

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson

from gateway.store.database import Row

T = TypeVar("T")

_JSON = frozenset({"metadata", "variables", "path", "prompts", "collected", "limits", "spec", "data"})


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
    values: dict[str, Any] = {name: row[name] for name in _columns(kind)}
    for name in _JSON & values.keys():
        values[name] = orjson.loads(values[name])
    return kind(**values)


def loads(text: str) -> Mapping[str, Any]:
    """A JSON column of a row that is read without a record."""
    loaded: Mapping[str, Any] = orjson.loads(text or "{}")
    return loaded
