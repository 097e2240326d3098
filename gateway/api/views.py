"""Answers that several resources give: times, pages, and what is wrong with rows."""

from typing import Generic, TypeVar

from pydantic import Field

from gateway.api.operation import View
from gateway.clock import rfc3339

V = TypeVar("V", bound=View)


class Listed(View, Generic[V]):
    """A page. `next_cursor` asks for the one after it; null: there is none."""

    items: list[V]
    next_cursor: str | None = Field(description="Give it as `cursor` to get the next page.")


def when(ms: int | None) -> str | None:
    """A time as the wire has it."""
    return rfc3339(ms) if ms is not None else None
