"""The people of a job, row by row: checked, made into recipients, and those that stand twice found.

A row that cannot be used comes back as Invalid with its reason; the caller decides whether that refuses the job.
`readers` turns files into rows.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.errors.phone import InvalidNumber
from gateway.errors.sms import BadVariable
from gateway.model.limit import NETWORKS
from gateway.phone import parse

CHUNK: Final = 1000  # rows handed out at a time, so that an event loop can breathe between
LONGEST_REFERENCE: Final = 255  # characters
LONGEST_VALUE: Final = 10_000  # characters of a variable: a template may name one some hundred times

is_name: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*").fullmatch
_NUL: Final = "\x00"  # no database keeps it
MOST_ALTERNATIVES: Final = 5  # a person's other numbers

_FIELDS: Final = frozenset({"to", "alternatives", "variables", "reference", "network"})
_FOREIGN: Final = {"sms": "alternatives", "voice": "network"}  # what only people of the other channel have
_NETWORKS: Final = frozenset({"", *NETWORKS})


@dataclass(frozen=True, slots=True)
class Recipient:
    """One person of a job. `to` is E.164; `line` is the row or line of the input, from 1, a header line included.

    network: where their texts go, where the engine knows it; else empty.
    alternatives: the person's other numbers, E.164, in the order in which they are tried.
    """

    to: str
    variables: Mapping[str, str]
    reference: str
    line: int
    network: str = ""
    alternatives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a row. `field` is empty where the whole row is meant. No number in `reason`."""

    field: str
    slug: str
    reason: str


@dataclass(frozen=True, slots=True)
class Invalid:
    """A row that cannot be used, and all that is wrong with it.

    variables: those that could be read, so that what is wrong with them can be told at once; None: nothing was read.
    """

    line: int
    faults: tuple[Fault, ...]
    variables: Mapping[str, str] | None = None


Row = Recipient | Invalid


class Intake:
    """Makes recipients of raw rows. One intake sees one list of people: it tells which numbers stand twice.

    country: two letters; whose national form numbers without `+` are in.
    channel: sms or voice, which refuses the field that only the other has; empty: both are taken.
    It remembers each number it took, about 80 bytes apiece.
    """

    def __init__(self, *, country: str = "US", channel: str = "") -> None:
        self._country = country
        self._channel = channel
        self._foreign = _FOREIGN.get(channel, "")
        self._seen: set[int] = set()

    def take(self, line: int, item: object) -> Row:
        """Check one row, an object `{to, alternatives?, variables?, reference?, network?}` as engines write it.

        `to` and `reference` may be whole numbers, as spreadsheets give them. Of two rows with one number the first is
        taken; a row that is Invalid does not count as one.
        """
        if not isinstance(item, dict):
            return Invalid(line, (Fault("", "not_an_object", "a recipient is an object with at least the field to"),))
        wrong = self._misplaced(item)
        reference = _reference(item.get("reference"), wrong)
        network = _network(item.get("network"), wrong)
        number = self._number(item.get("to"), wrong)
        variables, bad = read_variables(item.get("variables"))
        others = self._others(number, item["alternatives"], wrong) if "alternatives" in item else ()
        if bad:
            wrong += [Fault(each.field, each.slug, each.why) for each in bad]
        if not wrong and self._stands_twice(number):
            wrong = [Fault("to", "duplicate", "this number stands in an earlier row")]
        if wrong:
            return Invalid(line, tuple(wrong), variables)
        return Recipient(number, variables, reference, line, network, others)

    def _misplaced(self, item: Mapping[object, object]) -> list[Fault]:
        """Fields that no recipient has, or none of this channel."""
        wrong = []
        if not item.keys() <= _FIELDS:
            why = "the fields of a recipient are to, alternatives, variables, reference and network"
            wrong.append(Fault("", "unknown_field", why))
        if self._foreign and item.get(self._foreign):
            wrong.append(Fault(self._foreign, "unknown_field", f"does not belong to channel {self._channel}"))
        return wrong

    def _number(self, raw: object, wrong: list[Fault]) -> str:
        try:
            return parse(as_text(raw) or "", country=self._country)
        except InvalidNumber as error:
            wrong.append(Fault("to", error.slug, error.why))
            return ""

    def _others(self, number: str, raw: object, wrong: list[Fault]) -> tuple[str, ...]:
        """Read a person's other numbers: a list, or a text with semicolons between, as files have it."""
        items = raw.split(";") if isinstance(raw, str) else raw if isinstance(raw, list) else []
        if (raw is not None and not isinstance(raw, str | list)) or len(items) > MOST_ALTERNATIVES:
            why = f"a list of at most {MOST_ALTERNATIVES} numbers, or a text of them with ; between"
            wrong.append(Fault("alternatives", "bad_alternatives", why))
            return ()
        try:
            numbers = [parse(as_text(each) or "", country=self._country) for each in items]
        except InvalidNumber as error:
            wrong.append(Fault("alternatives", error.slug, error.why))
            return ()
        return tuple(each for each in dict.fromkeys(numbers) if each != number)

    def take_all(self, items: Iterable[object]) -> Iterator[list[Row]]:
        """Check a list of rows, in chunks of 1,000; `line` counts them from 1."""
        return chunked(self.take(line, item) for line, item in enumerate(items, 1))

    def _stands_twice(self, number: str) -> bool:
        key = int(number)
        before = len(self._seen)
        self._seen.add(key)
        return len(self._seen) == before


def chunked(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Gather rows into lists of 1,000; the last is what is left."""
    chunk: list[Row] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def variables_of(raw: object) -> dict[str, str]:
    """Make texts of the variables of one person. Raises BadVariable for the first that `read_variables` finds wrong."""
    variables, wrong = read_variables(raw)
    if wrong:
        raise wrong[0]
    return variables


def read_variables(raw: object) -> tuple[dict[str, str], list[BadVariable]]:
    """Make texts of the variables of one person, and tell those that cannot be.

    raw:     an object of texts and numbers, or None. A null value is left out, as if it had not been given.
    Returns: name to text; a whole number has no decimal point: 5.0 is "5". What is wrong is anything but texts and
             numbers, and names no template can ask for.
    """
    if raw is None:
        return {}, []
    if not isinstance(raw, dict):
        return {}, [BadVariable("", "variables are an object of names and values")]
    variables, wrong = {}, []
    for name, value in raw.items():
        if value is None:
            continue
        text = value if type(value) is str else as_text(value)
        if text is None:
            wrong.append(BadVariable(str(name), "a value is a text or a number"))
        elif len(text) > LONGEST_VALUE:
            wrong.append(BadVariable(str(name), f"a value has at most {LONGEST_VALUE:,} characters"))
        elif _NUL in text:
            wrong.append(BadVariable(str(name), "the character U+0000 cannot be kept or sent"))
        elif not isinstance(name, str) or not is_name(name):
            why = "a name begins with a letter or _, and goes on with letters, digits and _"
            wrong.append(BadVariable(str(name), why))
        else:
            variables[name] = text
    return variables, wrong


def _reference(raw: object, wrong: list[Fault]) -> str:
    reference = as_text(raw)
    if reference is None or len(reference) > LONGEST_REFERENCE or _NUL in reference:
        why = f"a text of at most {LONGEST_REFERENCE} characters, without U+0000"
        wrong.append(Fault("reference", "bad_reference", why))
        return ""
    return reference


def _network(raw: object, wrong: list[Fault]) -> str:
    network = raw or ""
    if isinstance(network, str) and network in _NETWORKS:
        return network
    wrong.append(Fault("network", "not_one_of", f"must be one of: {', '.join(NETWORKS)}"))
    return ""


def as_text(value: object) -> str | None:
    """Write a text or a number as text, None as the empty text; return None for anything else.

    Numbers of spreadsheets are floats of 15 significant digits: 12125551234.0 is "12125551234", 12.5 is "12.5".
    """
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return None
        case int():
            return str(value)
        case float() if math.isfinite(value):
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else format(value, ".15g")
    return None
