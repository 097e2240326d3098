"""The people of a job, made into rows of its table. Runs in worker threads, in chunks; touches no database.

Until the commit a chunk of people is kept as one block of bytes: a hundred thousand small objects would leave the
memory they took in pieces. Whole rows exist one at a time, as they are written.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

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
Kept: TypeAlias = list[Any]  # number, reference, line, units, and what the channel adds


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


class People(ABC):
    """Takes rows as they were read, and gives back rows as they are written."""

    kind: str  # of their identifiers

    def __init__(self) -> None:
        self.left = Left()
        self.count = 0
        self.units = 0  # segments, or calls
        self._blocks: list[bytes] = []

    def take(self, rows: Iterable[Given]) -> None:
        """Check and keep a chunk."""
        kept: list[Kept] = []
        for row in rows:
            if isinstance(row, Invalid):
                self.left.add(row.line, row.field, row.slug, row.reason)
            elif (person := self._person(row)) is not None:
                self.units += person[3]
                kept.append(person)
        if kept:
            self.count += len(kept)
            self._blocks.append(orjson.dumps(kept))

    def chunks(self) -> Iterator[list[Kept]]:
        """What was kept, a chunk at a time."""
        return (orjson.loads(block) for block in self._blocks)

    def forget(self) -> None:
        """Let go of what was kept, once it is written."""
        self._blocks.clear()

    def rows(self, base: Mapping[str, Any], chunks: Iterable[list[Kept]]) -> Iterator[Mapping[str, Any]]:
        """Parameters of the insert. `base` has what is the same for all.

        One mapping, filled anew for each person: it is bound before the next is asked for.
        """
        row = dict(base)
        for chunk in chunks:
            for person in chunk:
                row["id"] = new_id(self.kind)
                row["recipient"], row["reference"] = person[0], person[1]
                self._fill(row, person)
                yield row

    @abstractmethod
    def _person(self, row: Recipient) -> Kept | None:
        """What is kept of one person; None where they were left out."""

    @abstractmethod
    def _fill(self, row: dict[str, Any], person: Kept) -> None:
        """Set what the channel adds."""


class TextPeople(People):
    """People who are written to."""

    kind = "msg"

    def __init__(self, wording: Wording) -> None:
        super().__init__()
        self.encodings: dict[str, int] = {}
        self._wording = wording

    def _person(self, row: Recipient) -> Kept | None:
        try:
            text, counted = self._wording.of(row.variables)
        except MissingVariable as error:
            self.left.add(row.line, f"variables.{error.name}", error.slug, str(error))
            return None
        except BadText as error:
            self.left.add(row.line, "", error.slug, str(error))
            return None
        self.encodings[counted.encoding] = self.encodings.get(counted.encoding, 0) + 1
        return [row.to, row.reference, row.line, counted.segments, text, counted.encoding]

    def _fill(self, row: dict[str, Any], person: Kept) -> None:
        row["segments"], row["body"], row["encoding"] = person[3], person[4], person[5]


class CallPeople(People):
    """People who are called. `variables` are the job's own; each person's go before them."""

    kind = "call"

    def __init__(self, plan: Plan, variables: Mapping[str, str]) -> None:
        super().__init__()
        self._plan = plan
        self._variables = variables

    def _person(self, row: Recipient) -> Kept | None:
        variables = {**self._variables, **row.variables}
        try:
            engine.start(self._plan, variables)
        except BadVariables as error:
            name, why = next(iter(error.problems.items()))
            self.left.add(row.line, f"variables.{name}", error.slug, f"the variable {name!r} {why}")
            return None
        return [row.to, row.reference, row.line, 1, orjson.dumps(variables).decode()]

    def _fill(self, row: dict[str, Any], person: Kept) -> None:
        row["variables"] = person[4]
