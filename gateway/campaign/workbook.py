"""The first sheet of an XLSX workbook, as rows of text.

The reader of workbooks (calamine) keeps a sheet as one block from its first cell to its last, and one cell in the
last corner makes that 500 GB: 1.7 kB that end the whole process. So the sheets are looked through first, with a strict
XML parser, and a workbook is refused unless what calamine would find is what was looked at.
"""

import datetime as dt
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from functools import cache
from typing import IO, Final
from xml.parsers import expat

import python_calamine

from gateway.campaign.recipients import as_text
from gateway.errors.campaign import BadRecipients

LARGEST: Final = 256 * 1024 * 1024  # bytes unpacked; a zip file can claim to be small
MOST_CELLS: Final = 5_000_000  # of the block, at 32 bytes each in calamine; a million people with five columns

_XML_NAMES: Final = (".xml", ".rels")
_OTHER_FORMATS: Final = frozenset({"content.xml", "xl/workbook.bin"})  # ODS and XLSB, which calamine would read too
_REFERENCE: Final = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")


class _Unreadable(Exception):
    """The workbook is not what programs that write XLSX make."""


def rows(data: bytes) -> Iterator[tuple[int, list[str]]]:
    """Read the first sheet of a workbook.

    Returns: the row number that Excel shows, from 1, and the cells as text; empty cells as "".
    Raises:  BadRecipients when it is no XLSX workbook, or takes too much memory.
    """
    try:
        _check(data)
        with python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data)) as book:
            for line, cells in enumerate(book.get_sheet_by_index(0).iter_rows(), 1):
                yield line, [_text(cell) for cell in cells]
    except (
        *(_Unreadable, ValueError, expat.ExpatError, python_calamine.CalamineError),
        *(zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, EOFError),  # of zipfile
    ):
        raise BadRecipients("this is not a readable XLSX workbook") from None


def _check(data: bytes) -> None:
    if not data.startswith(b"PK\x03\x04"):  # calamine would take an old XLS file in front of the zip file
        raise _Unreadable
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > LARGEST:
            raise BadRecipients(f"the workbook unpacks to more than {LARGEST >> 20} MiB")
        for entry in entries:
            name = entry.filename.lower()
            if name in _OTHER_FORMATS:
                raise _Unreadable
            if name.endswith(_XML_NAMES):
                with archive.open(entry) as file:
                    _Sheet(is_map=name == "xl/_rels/workbook.xml.rels").look_through(file)


class _Sheet:
    """Measures one XML part of a workbook, should it be a sheet."""

    def __init__(self, *, is_map: bool) -> None:
        self._is_map = is_map  # of the names under which the workbook finds its sheets
        self._row = self._column = 0  # of the last cell, from 1
        self._last_row = self._last_column = 0

    def look_through(self, file: IO[bytes]) -> None:
        """Parse the part. Raises BadRecipients when it reaches too far, and what `rows` takes for unreadable."""
        parser = expat.ParserCreate("UTF-8")  # whatever the file declares: calamine reads UTF-8
        parser.StartElementHandler = self._start
        parser.StartDoctypeDeclHandler = _refuse
        parser.ParseFile(file)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2] if ":" in name else name
        if local == "c":
            self._cell(attributes.get("r"))
        elif local == "row":
            self._row, self._column = int(attributes.get("r", self._row + 1)), 0
        elif local == "Relationship" and self._is_map and not attributes.get("Target", "").lower().endswith(".xml"):
            raise _Unreadable  # a sheet under that name would not be looked through

    def _cell(self, reference: str | None) -> None:
        self._column += 1
        if reference is not None:
            found = _REFERENCE.fullmatch(reference)
            if found is None:
                raise _Unreadable
            self._column, self._row = _column(found[1]), int(found[2])
        if self._row > self._last_row or self._column > self._last_column:
            self._last_row, self._last_column = max(self._last_row, self._row), max(self._last_column, self._column)
            if self._last_row * self._last_column > MOST_CELLS:
                raise BadRecipients(f"the sheet reaches over more than {MOST_CELLS} cells; delete what lies far off")


def _refuse(*_: object) -> None:
    raise _Unreadable


@cache
def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _text(value: object) -> str:
    """Write a cell as text: dates as 2026-11-30, times as 16:30:00, truth as Excel does."""
    match value:
        case bool():
            return str(value).upper()
        case dt.datetime():
            whole_day = value.time() == dt.time()
            return value.date().isoformat() if whole_day else value.isoformat(" ")
        case dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return str(value)
    return as_text(value) or ""
