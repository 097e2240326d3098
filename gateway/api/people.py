"""The people of a job, checked and kept until they are written. Runs in worker threads, in chunks; touches no database.

Until the commit a chunk of people is kept as one block of bytes: a hundred thousand small objects would leave the
memory they took in pieces. `store.loads` makes rows of them.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import orjson

from gateway.campaign.recipients import Invalid, Recipient
from gateway.campaign.recipients import Row as Given
from gateway.errors.sms import BadText, MissingVariable
from gateway.errors.voice import BadVariables
from gateway.sms.segments import Segmented
from gateway.sms.wording import Wording
from gateway.store.loads import Person
from gateway.voice import engine
from gateway.voice.dialplan import Plan

MOST_TOLD: Final = 1000  # entries of what is wrong; the rest is counted

Entry: TypeAlias = dict[str, object]


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

    def __init__(self) -> None:
        self.left = Left()
        self.count = 0
        self.units = 0  # segments, or calls
        self._blocks: list[bytes] = []

    def take(self, rows: Iterable[Given]) -> None:
        """Check and keep a chunk."""
        kept: list[Person] = []
        for row in rows:
            if isinstance(row, Invalid):
                self.left.add(row.line, row.field, row.slug, row.reason)
            elif (person := self._person(row)) is not None:
                self.units += person[3]
                kept.append(person)
        if kept:
            self.count += len(kept)
            self._blocks.append(orjson.dumps(kept))

    @property
    def blocks(self) -> Sequence[bytes]:
        """What was kept, in blocks of a thousand, each a JSON list of `loads.Person`."""
        return self._blocks

    def chunks(self, numbers: Iterable[int] | None = None) -> Iterator[list[Person]]:
        """What was kept, a chunk at a time: of all blocks, or of those with these numbers."""
        wanted = range(len(self._blocks)) if numbers is None else numbers
        return (orjson.loads(self._blocks[number]) for number in wanted)

    def leave_out(self, number: int, numbers: Collection[str], detail: str) -> None:
        """Take those with these phone numbers out of the block `number`; they are told as duplicates."""
        fresh = []
        for person in orjson.loads(self._blocks[number]):
            if person[0] in numbers:
                self.left.add(person[2], "to", "duplicate", detail)
                self.count -= 1
                self.units -= person[3]
            else:
                fresh.append(person)
        self._blocks[number] = orjson.dumps(fresh)

    def forget(self) -> None:
        """Let go of what was kept, once it is written."""
        self._blocks.clear()

    def _worded(self, wording: Wording, line: int, variables: Mapping[str, str]) -> tuple[str, Segmented] | None:
        """The text of one person and what it costs; None where they were left out."""
        try:
            return wording.of(variables)
        except MissingVariable as error:
            self.left.add(line, f"variables.{error.name}", error.slug, str(error))
        except BadText as error:
            self.left.add(line, "", error.slug, str(error))
        return None

    @abstractmethod
    def _person(self, row: Recipient) -> Person | None:
        """What is kept of one person; None where they were left out."""


class TextPeople(People):
    """People who are written to."""

    def __init__(self, wording: Wording) -> None:
        super().__init__()
        self.encodings: dict[str, int] = {}
        self._wording = wording

    def _person(self, row: Recipient) -> Person | None:
        if (worded := self._worded(self._wording, row.line, row.variables)) is None:
            return None
        text, counted = worded
        self.encodings[counted.encoding] = self.encodings.get(counted.encoding, 0) + 1
        return [row.to, row.reference, row.line, counted.segments, text, counted.encoding, row.network]


class CallPeople(People):
    """People who are called. `variables` are the job's own; each person's go before them.

    texts: what may be written to who was called in vain.
    """

    def __init__(self, plan: Plan, variables: Mapping[str, str], texts: Sequence[Wording] = ()) -> None:
        super().__init__()
        self._plan = plan
        self._variables = variables
        self._texts = texts

    def _person(self, row: Recipient) -> Person | None:
        variables = {**self._variables, **row.variables}
        try:
            engine.start(self._plan, variables)
        except BadVariables as error:
            name, why = next(iter(error.problems.items()))
            self.left.add(row.line, f"variables.{name}", error.slug, f"the variable {name!r} {why}")
            return None
        if any(self._worded(each, row.line, variables) is None for each in self._texts):
            return None
        others = orjson.dumps(row.alternatives).decode()
        return [row.to, row.reference, row.line, 1, orjson.dumps(variables).decode(), others]
