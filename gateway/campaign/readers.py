"""Files of recipients: NDJSON, CSV, JSON and XLSX.

A reader is fed bytes as they arrive and hands back rows as they are complete, so an upload of any length takes little
memory; only JSON lists and XLSX must be whole before anything can be read. BadRecipients means that the file
as a whole cannot be trusted; what is wrong with one row comes back in its place, as Invalid.
"""

import codecs
import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

import orjson

from gateway.campaign import workbook
from gateway.campaign.recipients import Fault, Intake, Invalid, Row, chunked, is_name
from gateway.errors.campaign import BadRecipients

BLOCK: Final = 65_536  # bytes read at a time, and the longest row: one person's data is far below

_BOM: Final = b"\xef\xbb\xbf"
_OWN_COLUMNS: Final = frozenset({"to", "alternatives", "reference", "network"})


class Reader(Protocol):
    """Reads one format. Feed `receive` until the input ends, then go through `finish` once."""

    def __init__(self, intake: Intake) -> None: ...

    def receive(self, data: bytes) -> list[Row]:
        """Take the next bytes; return the rows that they complete. Raises BadRecipients."""

    def finish(self) -> Iterator[list[Row]]:
        """Return what only the end of the input completes, in chunks of 1,000. Raises BadRecipients."""


def reader_for(media_type: str, intake: Intake) -> Reader:
    """Choose a reader by media type, parameters ignored. Raises BadRecipients, naming those that can be read."""
    kind = media_type.partition(";")[0].strip().lower()
    if kind not in FORMATS:
        raise BadRecipients("recipients are sent as one of: " + ", ".join(FORMATS))
    return FORMATS[kind](intake)


def read(reader: Reader, blocks: Iterable[bytes]) -> Iterator[list[Row]]:
    """Read a whole input, given in blocks of any size. Raises BadRecipients."""
    for block in blocks:
        for at in range(0, len(block), BLOCK):
            if rows := reader.receive(block[at : at + BLOCK]):
                yield rows
    yield from reader.finish()


class NdjsonReader:
    """One JSON object a line; blank lines are skipped."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._tail = b""
        self._line = 0  # the last one read

    def receive(self, data: bytes) -> list[Row]:
        """Take the next bytes; return the rows that they complete."""
        *lines, self._tail = (self._tail + data).split(b"\n")
        rows = [row for line in lines if (row := self._row(line)) is not None]
        if len(self._tail) > BLOCK:
            raise BadRecipients(f"a line is longer than {BLOCK} bytes", self._line + 1)
        return rows

    def finish(self) -> Iterator[list[Row]]:
        """Return the last row, if no line end followed it."""
        row = self._row(self._tail)
        if row is not None:
            yield [row]

    def _row(self, line: bytes) -> Row | None:
        self._line += 1
        if self._line == 1:
            line = line.removeprefix(_BOM)
        if not line or line.isspace():
            return None
        try:
            item = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            return _unreadable(self._line, "bad_json", f"not one JSON object: {error.msg}, column {error.colno}")
        return self._intake.take(self._line, item)


class CsvReader:
    """A header line, then one person a line: RFC 4180, in UTF-8, with commas, semicolons or tabs.

    The header names a column `to`, may name `alternatives`, `reference` and `network`; every other column is a
    variable.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._tail = ""
        self._line = 0  # the last one read
        self._delimiter = ","
        self._table: _Table | None = None

    def receive(self, data: bytes) -> list[Row]:
        """Take the next bytes; return the rows that they complete."""
        text = self._tail + self._decode(data)
        cut = text.rfind("\n") + 1
        quotes = text.count('"', 0, cut)
        while cut and quotes % 2:  # that line end is inside a quoted cell
            line = text.rfind("\n", 0, cut - 1) + 1
            quotes -= text.count('"', line, cut)
            cut = line
        self._tail = text[cut:]
        rows = self._rows(text[:cut])
        if len(self._tail) > BLOCK:
            raise BadRecipients(f"a row is longer than {BLOCK} characters; is a quote never closed?", self._line + 1)
        return rows

    def finish(self) -> Iterator[list[Row]]:
        """Return the last row, if no line end followed it."""
        rows = self._rows(self._tail + self._decode(b"", final=True))
        if self._table is None:
            raise BadRecipients("the file is empty")
        if rows:
            yield rows

    def _decode(self, data: bytes, *, final: bool = False) -> str:
        try:
            return self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            before = error.object[: error.start].count(b"\n") + self._tail.count("\n")
            raise BadRecipients("this is not UTF-8; save the file as CSV UTF-8", self._line + before + 1) from None

    def _rows(self, text: str) -> list[Row]:
        if self._table is None and text:
            self._delimiter = _delimiter(text)
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=self._delimiter, strict=True)
        base, rows = self._line, []
        try:
            for cells in lines:
                first, self._line = self._line + 1, base + lines.line_num
                if _holds_anything(cells) and (row := self._row(first, cells)) is not None:
                    rows.append(row)
        except csv.Error as error:
            raise BadRecipients(f"not CSV: {error}", base + lines.line_num) from None
        return rows

    def _row(self, line: int, cells: list[str]) -> Row | None:
        if self._table is None:
            self._table = _Table(self._intake, cells, line)
            return None
        return self._table.row(line, cells)


class JsonReader:
    """One JSON list of objects. It is read when it is whole."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._blocks: list[bytes] = []

    def receive(self, data: bytes) -> list[Row]:
        """Keep the next bytes; return no rows yet."""
        self._blocks.append(data)
        return []

    def finish(self) -> Iterator[list[Row]]:
        """Read the list; `line` counts its items from 1."""
        try:
            items = orjson.loads(b"".join(self._blocks).removeprefix(_BOM))
        except orjson.JSONDecodeError as error:
            raise BadRecipients(f"not JSON: {error.msg}, column {error.colno}", error.lineno) from None
        if not isinstance(items, list):
            raise BadRecipients("recipients are a list")
        yield from self._intake.take_all(items)


class XlsxReader:
    """The first sheet of a workbook, with a header row as in CSV. It is read when it is whole.

    Numbers arrive without their formatting: what the sheet shows as 12.50 is 12.5, so amounts are better kept as text.
    Dates are written 2026-11-30, times 16:30:00.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._blocks: list[bytes] = []

    def receive(self, data: bytes) -> list[Row]:
        """Keep the next bytes; return no rows yet."""
        self._blocks.append(data)
        return []

    def finish(self) -> Iterator[list[Row]]:
        """Read the sheet; `line` is the row number that Excel shows."""
        lines = workbook.rows(b"".join(self._blocks))
        for line, cells in lines:
            if _holds_anything(cells):
                table = _Table(self._intake, cells, line)
                yield from chunked(table.row(line, cells) for line, cells in lines if _holds_anything(cells))
                return
        raise BadRecipients("the first sheet is empty")


FORMATS: Final[dict[str, type[Reader]]] = {
    "application/json": JsonReader,
    "application/x-ndjson": NdjsonReader,
    "text/csv": CsvReader,
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": XlsxReader,
}


class _Table:
    """Rows of cells under a header."""

    def __init__(self, intake: Intake, header: Sequence[str], line: int) -> None:
        self._intake = intake
        names = [_column(cell) for cell in header]
        if "to" not in names:  # checked first: a file without a header has a person's data in this line
            raise BadRecipients("the first line names the columns, and one of them is `to`", line)
        for at, name in enumerate(names):
            if name and not is_name(name):
                raise BadRecipients(f"column {at + 1} has a name that is not made of letters, digits and _", line)
            if name and name in names[:at]:
                raise BadRecipients(f"column {at + 1} has the same name as one before it", line)
        self._names = names

    def row(self, line: int, cells: Sequence[str]) -> Row:
        """Check one row. An empty cell is a value that this person does not have."""
        if any(cells[len(self._names) :]):
            return _unreadable(line, "too_many_cells", "more cells than columns; is a comma not inside quotes?")
        values = {name: cell for name, cell in zip(self._names, cells, strict=False) if cell}
        if values.pop("", None) is not None:
            return _unreadable(line, "unnamed_column", "a cell stands under a column without a name")
        item: dict[str, object] = {name: values.pop(name) for name in _OWN_COLUMNS if name in values}
        item["variables"] = values
        return self._intake.take(line, item)


def _unreadable(line: int, slug: str, reason: str) -> Invalid:
    return Invalid(line, (Fault("", slug, reason),))


def _holds_anything(cells: Sequence[str]) -> bool:
    return any(map(str.strip, cells))


def _column(cell: str) -> str:
    name = cell.strip()
    return name.lower() if name.lower() in _OWN_COLUMNS else name


def _delimiter(text: str) -> str:
    """Find what parts the cells: office programs write semicolons where the comma is the decimal sign."""
    header = text.lstrip().partition("\n")[0]
    return max(",;\t", key=header.count)
