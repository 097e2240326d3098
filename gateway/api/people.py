"""The people of a job, checked and kept until they are written. Runs in worker threads, in chunks; touches no database.

Until the commit a chunk of people is kept as one block of bytes: a hundred thousand small objects would leave the
memory they took in pieces. `store.loads` makes rows of them.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

import orjson

from gateway.api.told import Left, Unused
from gateway.campaign.recipients import Fault, Invalid, Recipient
from gateway.campaign.recipients import Row as Given
from gateway.errors.api import FieldProblem, InvalidRequest
from gateway.errors.sms import BadText, MissingVariable
from gateway.errors.voice import BadVariables
from gateway.sms.wording import Wording
from gateway.store.loads import Person
from gateway.voice import engine
from gateway.voice.dialplan import Plan

MOST_BYTES: Final = 256 * 1024 * 1024  # of one request's people, each with a text of their own


class People(ABC):
    """Takes rows as they were read, and gives back rows as they are written."""

    def __init__(self, asked: Collection[str]) -> None:
        self.left = Left()
        self.unused = Unused(asked)
        self.count = 0
        self.units = 0  # segments, or calls
        self._asked = frozenset(asked)
        self._blocks: list[bytes] = []
        self._bytes = 0

    def take(self, rows: Iterable[Given]) -> None:
        """Check and keep a chunk. Raises InvalidRequest where all of them are more than one request may keep here."""
        kept: list[Person] = []
        for row in rows:
            if isinstance(row, Invalid):
                self.left.add(row.line, [*row.faults, *self._unfit(row.variables)])
                continue
            person = self._person(row)
            if person is None:
                self.left.add(row.line, self._unfit(row.variables))
                continue
            self.units += person[3]
            kept.append(person)
            if not row.variables.keys() <= self._asked:
                self.unused.note(row.line, row.variables.keys() - self._asked)
        if kept:
            self.count += len(kept)
            self._blocks.append(orjson.dumps(kept))
            self._bytes += len(self._blocks[-1])
            if self._bytes > MOST_BYTES:
                told = (
                    f"with their texts they take more than {MOST_BYTES >> 20} MiB; send some of them in another request"
                )
                raise InvalidRequest(FieldProblem("recipients", "too_long", told))

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
                self.left.add(person[2], [Fault("to", "duplicate", detail)])
                self.count -= 1
                self.units -= person[3]
            else:
                fresh.append(person)
        self._blocks[number] = orjson.dumps(fresh)

    def forget(self) -> None:
        """Let go of what was kept, once it is written."""
        self._blocks.clear()

    @abstractmethod
    def _person(self, row: Recipient) -> Person | None:
        """What is kept of one person; None where something is wrong with them, which `_unfit` tells."""

    @abstractmethod
    def _unfit(self, variables: Mapping[str, str] | None) -> list[Fault]:
        """All that is wrong with a person's variables; None: they could not be read."""


class TextPeople(People):
    """People who are written to."""

    def __init__(self, wording: Wording) -> None:
        super().__init__(wording.names)
        self.encodings: dict[str, int] = {}
        self._wording = wording

    def _person(self, row: Recipient) -> Person | None:
        try:
            text, counted = self._wording.of(row.variables)
        except (MissingVariable, BadText):
            return None
        self.encodings[counted.encoding] = self.encodings.get(counted.encoding, 0) + 1
        return [row.to, row.reference, row.line, counted.segments, text, counted.encoding, row.network]

    def _unfit(self, variables: Mapping[str, str] | None) -> list[Fault]:
        return _unworded(self._wording, variables) if variables is not None else []


class CallPeople(People):
    """People who are called. `variables` are the job's own; each person's go before them.

    texts: what may be written to who was called in vain.
    """

    def __init__(self, plan: Plan, variables: Mapping[str, str], texts: Sequence[Wording] = ()) -> None:
        super().__init__({*plan.variables, *(name for text in texts for name in text.names)})
        self._plan = plan
        self._variables = variables
        self._texts = texts

    def _person(self, row: Recipient) -> Person | None:
        variables = {**self._variables, **row.variables}
        try:
            engine.start(self._plan, variables)
            for text in self._texts:
                text.of(variables)
        except (BadVariables, MissingVariable, BadText):
            return None
        others = orjson.dumps(row.alternatives).decode()
        return [row.to, row.reference, row.line, 1, orjson.dumps(variables).decode(), others]

    def _unfit(self, variables: Mapping[str, str] | None) -> list[Fault]:
        if variables is None:
            return []
        held = {**self._variables, **variables}
        faults = []
        try:
            engine.start(self._plan, held)
        except BadVariables as error:
            faults = [
                Fault(f"variables.{name}", error.slug, f"the variable {name!r} {why}")
                for name, why in error.problems.items()
            ]
        told = {fault.field for fault in faults}
        missing = [fault for text in self._texts for fault in _unworded(text, held)]
        return faults + [fault for fault in dict.fromkeys(missing) if fault.field not in told]


def _unworded(wording: Wording, variables: Mapping[str, str]) -> list[Fault]:
    """What keeps a text from being filled in with these: every variable it misses, or what is wrong with the text."""
    errors = [MissingVariable(name) for name in wording.missing(variables)]
    if errors:
        return [Fault(f"variables.{error.name}", error.slug, str(error)) for error in errors]
    try:
        wording.of(variables)
    except BadText as error:
        return [Fault("", error.slug, str(error))]
    return []
