import contextlib
import time
import tracemalloc
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.campaign import readers
from gateway.campaign.readers import BLOCK, CsvReader, JsonReader, NdjsonReader, Reader, read, reader_for
from gateway.campaign.recipients import Intake, Invalid, Recipient, Row
from gateway.errors.campaign import BadRecipients
from tests.campaign.sheets import number, text, workbook

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

ANA = Recipient("+12125551234", {"name": "Ana"}, "", 2)


def rows_of(reader: Reader, data: bytes, step: int | None = None) -> list[Row]:
    size = step or len(data) or 1
    blocks = (data[at : at + size] for at in range(0, len(data), size))
    return [row for rows in read(reader, blocks) for row in rows]


def csv_rows(text: str | bytes, step: int | None = None) -> list[Row]:
    return rows_of(CsvReader(Intake()), text if isinstance(text, bytes) else text.encode(), step)


@pytest.mark.parametrize("lines", [b"\n" * 130_000, b'""\n' * 43_000], ids=["line ends", "quotes"])
def test_line_ends_inside_a_quoted_cell_are_gone_through_once(lines: bytes) -> None:
    """Each was gone through as often as there were others: 5 to 14 s of a core for 200 kB."""
    began = time.process_time()
    with pytest.raises(BadRecipients, match="never closed"):
        csv_rows(b'to\n"' + lines)

    assert time.process_time() - began < 1.0


def faults(rows: list[Row]) -> list[tuple[int, str, str]]:
    return [(row.line, fault.field, fault.slug) for row in rows if isinstance(row, Invalid) for fault in row.faults]


# --- NDJSON


def test_ndjson_is_one_person_a_line() -> None:
    data = (
        b'\xef\xbb\xbf{"to":"+12125551234","variables":{"name":"Ana"}}\r\n\n {"to":"+12125551235"}\nnonsense\n[1]\n{}'
    )

    rows = rows_of(NdjsonReader(Intake()), data)

    assert rows[:2] == [Recipient("+12125551234", {"name": "Ana"}, "", 1), Recipient("+12125551235", {}, "", 3)]
    assert faults(rows) == [(4, "", "bad_json"), (5, "", "not_an_object"), (6, "to", "invalid_number")]


def test_a_line_of_ndjson_without_an_end_is_not_gathered_for_ever() -> None:
    reader = NdjsonReader(Intake())

    with pytest.raises(BadRecipients, match="line 2: a line is longer than"):
        rows_of(reader, b'{"to":"+12125551234"}\n' + b"x" * (2 * BLOCK))


@given(st.integers(1, 70), st.lists(st.sampled_from(['{"to":"+1212555%04d"}', "", "é", '{"to":5}']), max_size=9))
def test_where_the_network_cuts_ndjson_never_matters(step: int, lines: list[str]) -> None:
    data = "\n".join(line % at if "%" in line else line for at, line in enumerate(lines)).encode()

    assert rows_of(NdjsonReader(Intake()), data, step) == rows_of(NdjsonReader(Intake()), data)


# --- CSV


@pytest.mark.parametrize(
    "data",
    [
        "to,name\n+12125551234,Ana\n",
        "to,name\r\n+12125551234,Ana",
        "\ufeffto,name\r\n+12125551234,Ana\r\n",
        '"To", name \n"+1 (212) 555-1234",Ana\n',
        "to;name\n+12125551234;Ana\n",
        "to\tname\n+12125551234\tAna\n",
        "name,TO\nAna,2125551234\n",
        "to,name,,\n+12125551234,Ana,,\n,,,\n  ,,,\n\n",
    ],
    ids=["plain", "CRLF, open end", "BOM", "quoted", "semicolons", "tabs", "other order", "empty columns and rows"],
)
def test_csv_is_read_as_office_programs_write_it(data: str) -> None:
    assert csv_rows(data) == [ANA]


def test_quoted_cells_hold_commas_quotes_and_line_ends_and_lines_are_still_counted() -> None:
    data = 'to,note,reference\n\n+12125551234,"one, ""two""\r\nthree",a\n+12125551235,,b\nx,,\n'

    rows = csv_rows(data)

    assert rows[0] == Recipient("+12125551234", {"note": 'one, "two"\r\nthree'}, "a", 3)
    assert rows[1] == Recipient("+12125551235", {}, "b", 5)
    assert faults(rows) == [(6, "to", "invalid_number")]


@given(st.integers(1, 40), st.sampled_from(["\n", "\r\n"]), st.integers(0, 2**32))
def test_where_the_network_cuts_csv_never_matters(step: int, end: str, seed: int) -> None:
    notes = ["plain", '"a, b"', '"two\nlines"', '"quo""te"', "", "é😀"]
    lines = [f"+1212555{at:04},{notes[seed >> at & 7 if (seed >> at & 7) < 6 else 0]}" for at in range(12)]
    data = "to,note" + end + end.join(lines)

    assert csv_rows(data, step) == csv_rows(data)
    assert len(csv_rows(data)) == 12


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"phone,name\n+12125551234,Ana\n", "line 1: .* one of them is `to`"),
        (b"+12125551234,Ana\n", "line 1: .* one of them is `to`"),
        (b"to,first name\n", "line 1: column 2 has a name"),
        (b"to,name,name\n", "line 1: column 3 has the same name"),
        (b"to,To\n", "line 1: column 2 has the same name"),
        (b"to,name\n+12125551234,Ana\n+12125551235,Jos\xe9\n", "line 3: this is not UTF-8"),
        ("to,name\n+12125551234,Ana\n".encode("utf-16"), "line 1: this is not UTF-8"),
        (b"to,name\n+12125551234,caf\xc3", "line 2: this is not UTF-8"),
        (b'to,name\n+12125551234,"Ana\n', "line 2: not CSV"),
        (b'to,name\n+12125551234,"Ana" B\n', "line 2: not CSV"),
        (b'to,name\n+12125551234,"Ana\n' + b"+12125551235,Bob\n" * 5000, "line 2: a row is longer .* never closed"),
    ],
)
def test_a_csv_file_that_cannot_be_trusted_is_refused_with_the_line(data: bytes, why: str) -> None:
    with pytest.raises(BadRecipients, match=why) as refused:
        csv_rows(data)

    assert "555" not in str(refused.value)


def test_a_row_that_does_not_fit_its_header_is_told() -> None:
    rows = csv_rows("to,name,\n+12125551234,Smith, Ana\n+12125551235,Ana,,x\n+12125551236\n")

    assert faults(rows) == [(2, "", "unnamed_column"), (3, "", "too_many_cells")]
    assert rows[2] == Recipient("+12125551236", {}, "", 4)


def test_reading_a_long_file_takes_the_memory_of_a_short_one() -> None:
    """Only the numbers seen are kept: 20,000 rows of 500 bytes are 10 MB, and take less than 4 MB at any time."""

    def blocks() -> Iterator[bytes]:
        yield b"to,note\n"
        for at in range(20_000):
            yield b"+1212%07d,%s\n" % (5_000_000 + at, b"n" * 480)

    tracemalloc.start()
    try:
        count = sum(len(rows) for rows in read(CsvReader(Intake()), blocks()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert count == 20_000
    assert peak < 4_000_000


# --- JSON


def test_json_is_a_list_of_people() -> None:
    data = b'\xef\xbb\xbf[{"to":"+12125551234"}, 5]'

    rows = rows_of(JsonReader(Intake()), data, step=3)

    assert rows[0] == Recipient("+12125551234", {}, "", 1)
    assert faults(rows) == [(2, "", "not_an_object")]


@pytest.mark.parametrize(("data", "why"), [(b"[{]", "line 1: not JSON"), (b"", "not JSON"), (b"{}", "are a list")])
def test_json_that_is_no_list_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(BadRecipients, match=why):
        rows_of(JsonReader(Intake()), data)


# --- all


@pytest.mark.parametrize(
    ("media_type", "data"),
    [
        ("application/x-ndjson", b'\n{"to":"+12125551234","variables":{"name":"Ana"}}'),
        ("Text/CSV; charset=utf-8", b"to,name\n+12125551234,Ana"),
        (XLSX, workbook({1: [text("A1", "to"), text("B1", "name")], 2: [number("A2", 2125551234), text("B2", "Ana")]})),
        ("application/json", orjson.dumps([5, {"to": "+12125551234", "variables": {"name": "Ana"}}])),
    ],
)
def test_every_format_gives_the_same_person(media_type: str, data: bytes) -> None:
    assert rows_of(reader_for(media_type, Intake()), data)[-1] == ANA


def test_an_unknown_format_is_refused_and_the_known_ones_named() -> None:
    with pytest.raises(BadRecipients, match="text/csv"):
        reader_for("text/plain", Intake())


def test_two_uploads_of_one_list_are_compared_with_each_other() -> None:
    intake = Intake()
    rows_of(CsvReader(intake), b"to\n+12125551234\n")

    assert faults(rows_of(NdjsonReader(intake), b'{"to":"2125551234"}')) == [(1, "to", "duplicate")]


@pytest.mark.parametrize("media_type", list(readers.FORMATS))
@given(data=st.binary(max_size=300) | st.text('to,;"\n{}[]:+12125 5', max_size=200).map(str.encode))
def test_any_bytes_give_rows_or_a_told_fault(media_type: str, data: bytes) -> None:
    with contextlib.suppress(BadRecipients):
        rows = rows_of(reader_for(media_type, Intake()), data)
        assert all(isinstance(row, Recipient | Invalid) for row in rows)
