"""The people of a job, made into rows of its table. Runs in worker threads, in chunks; touches no database.

What is kept of a person until the commit is one small tuple. Whole rows exist one at a time, as they are written.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias

import orjson

from gateway.api.wording import Wording
from gateway.campaign.recipients import Invalid, Recipient
from gateway.campaign.recipients import Row as Given
from gateway.clock import new_id
from gateway.errors import BadText, BadVariables, MissingVariable
from gateway.voice import engine
from gateway.voice.dialplan import Plan

MOST_TOLD: Final = 1000  # entries of what is wrong; the rest is counted

Entry: TypeAlias = dict[str, object]
Kept: TypeAlias = tuple[Any, ...]  # number, reference, line, and what the channel adds


@dataclass(slots=True)
class Left:
    """Who was left out: how many, and the first 1,000 with line, field, slug and reason. No number in it."""

    count: int = 0
    entries: list[Entry] = field(default_factory=list)

    def add(self, line: int, name: str, slug: str, detail: str) -> None:
        """Note one person."""
        self.count += 1
        if len(self.entries) < MOST_TOLD:
            self.entries.append({"line": line, "field": name, "slug": slug, "detail": detail})


class People(Protocol):
    """Takes rows as they were read, and gives back rows as they are written."""

    kept: list[Kept]
    left: Left

    def take(self, rows: Iterable[Given]) -> None:
        """Check and keep a chunk."""

    def units_of(self, kept: Kept, /) -> int:
        """What one of them costs: segments, or one call."""

    def rows(self, base: Mapping[str, Any], kept: Iterable[Kept]) -> Iterator[Mapping[str, Any]]:
        """Parameters of the insert for what was kept; `base` has what is the same for all."""


class TextPeople:
    """People who are written to."""

    def __init__(self, wording: Wording) -> None:
        self.kept: list[Kept] = []
        self.left = Left()
        self.encodings: dict[str, int] = {}
        self._wording = wording

    def take(self, rows: Iterable[Given]) -> None:
        """Fill in each person's text."""
        for row in rows:
            if isinstance(row, Invalid):
                self.left.add(row.line, row.field, row.slug, row.reason)
                continue
            try:
                text, counted = self._wording.of(row.variables)
            except MissingVariable as error:
                self.left.add(row.line, f"variables.{error.name}", error.slug, str(error))
            except BadText as error:
                self.left.add(row.line, "", error.slug, str(error))
            else:
                self.encodings[counted.encoding] = self.encodings.get(counted.encoding, 0) + 1
                self.kept.append((row.to, row.reference, row.line, text, counted.encoding, counted.segments))

    def units_of(self, kept: Kept) -> int:
        """Segments."""
        segments: int = kept[5]
        return segments

    def rows(self, base: Mapping[str, Any], kept: Iterable[Kept]) -> Iterator[Mapping[str, Any]]:
        """One mapping, filled anew for each person: it is bound before the next is asked for."""
        row = dict(base)
        for row["recipient"], row["reference"], _, row["body"], row["encoding"], row["segments"] in kept:
            row["id"] = new_id("msg")
            yield row


class CallPeople:
    """People who are called. `variables` are the job's own; each person's go before them."""

    def __init__(self, plan: Plan, variables: Mapping[str, str]) -> None:
        self.kept: list[Kept] = []
        self.left = Left()
        self._plan = plan
        self._variables = variables

    def take(self, rows: Iterable[Given]) -> None:
        """Check that each person's variables fit the dialplan."""
        for row in rows:
            if isinstance(row, Invalid):
                self.left.add(row.line, row.field, row.slug, row.reason)
            else:
                self._take(row)

    def _take(self, row: Recipient) -> None:
        variables = {**self._variables, **row.variables}
        try:
            engine.start(self._plan, variables)
        except BadVariables as error:
            for name, why in error.problems.items():
                self.left.add(row.line, f"variables.{name}", error.slug, f"the variable {name!r} {why}")
                return
        self.kept.append((row.to, row.reference, row.line, orjson.dumps(variables).decode()))

    def units_of(self, _kept: Kept) -> int:
        """One call."""
        return 1

    def rows(self, base: Mapping[str, Any], kept: Iterable[Kept]) -> Iterator[Mapping[str, Any]]:
        """One mapping, filled anew for each person: it is bound before the next is asked for."""
        row = dict(base)
        for row["recipient"], row["reference"], _, row["variables"] in kept:
            row["id"] = new_id("call")
            yield row
