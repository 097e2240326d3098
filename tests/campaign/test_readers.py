import contextlib
import io
import tracemalloc
import zipfile
from collections.abc import Iterator
from xml.sax.saxutils import escape

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.campaign import readers
from gateway.campaign import workbook as workbook_room
from gateway.campaign.readers import BLOCK, CsvReader, JsonReader, NdjsonReader, Reader, XlsxReader, read, reader_for
from gateway.campaign.recipients import Intake, Invalid, Recipient, Row
from gateway.errors.campaign import BadRecipients

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"

ANA = Recipient("+12125551234", {"name": "Ana"}, "", 2)


def rows_of(reader: Reader, data: bytes, step: int | None = None) -> list[Row]:
    size = step or len(data) or 1
    blocks = (data[at : at + size] for at in range(0, len(data), size))
    return [row for rows in read(reader, blocks) for row in rows]


def csv_rows(text: str | bytes, step: int | None = None) -> list[Row]:
    return rows_of(CsvReader(Intake()), text if isinstance(text, bytes) else text.encode(), step)


def faults(rows: list[Row]) -> list[tuple[int, str, str]]:
    return [(row.line, fault.field, fault.slug) for row in rows if isinstance(row, Invalid) for fault in row.faults]


def workbook(rows: dict[int, list[str]]) -> bytes:
    """Write the least that is an XLSX workbook (ECMA-376, part 1): rows by number, cells as XML."""
    sheet = "".join(f'<row r="{number}">{"".join(cells)}</row>' for number, cells in rows.items())
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="xml" ContentType='
        '"application/xml"/><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships'
        '+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" '
        f'Type="{RELATION}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{RELATION}"><sheets><sheet name="People" sheetId="1" '
        'r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" '
        f'Type="{RELATION}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="r2" Type="{RELATION}/styles" '
        'Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}"><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="22"/>'
        '<xf numFmtId="21"/></cellXfs></styleSheet>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{MAIN}"><sheetData>{sheet}</sheetData></worksheet>',
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, xml in parts.items():
            archive.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{xml}')
    return file.getvalue()


def text(ref: str, value: str) -> str:
    return f'<c r="{ref}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'


def number(ref: str, value: float, style: int = 0) -> str:
    return f'<c r="{ref}" s="{style}"><v>{value}</v></c>'


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


# --- XLSX


def test_a_workbook_is_read_with_its_numeric_phone_cells_and_its_own_row_numbers() -> None:
    data = workbook(
        {
            3: [text("B3", "to"), text("C3", "name"), text("D3", "reference"), text("E3", "due"), text("F3", "count")],
            4: [number("B4", 12125551234), text("C4", "Ana & Bo"), number("D4", 7), number("E4", 46356, 1)],
            6: [number("B6", 2125551235), text("C6", "Bob"), number("E6", 46356.6875, 2), number("F6", 12.5)],
            7: [text("B7", "nobody")],
            8: [number("B8", 2125551235), '<c r="F8" t="b"><v>1</v></c>'],
        }
    )

    rows = rows_of(XlsxReader(Intake()), data, step=100)

    assert rows[0] == Recipient("+12125551234", {"name": "Ana & Bo", "due": "2026-11-30"}, "7", 4)
    assert rows[1] == Recipient("+12125551235", {"name": "Bob", "due": "2026-11-30 16:30:00", "count": "12.5"}, "", 6)
    assert faults(rows) == [(7, "to", "invalid_number"), (8, "to", "duplicate")]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not a readable"),
        (b"to,name\n", "not a readable"),
        (workbook({}), "sheet is empty"),
        (workbook({1: [text("A1", "phone")]}), "line 1: .* one of them is `to`"),
        (workbook({1: [text("A1", "to")]})[:-40], "not a readable"),
    ],
)
def test_what_is_no_workbook_of_people_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(BadRecipients, match=why):
        rows_of(XlsxReader(Intake()), data)


def zipped(parts: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def parts_of(data: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


GOOD = parts_of(workbook({1: [text("A1", "to")], 2: [number("A2", 2125551234)]}))
SHEET, MAP = "xl/worksheets/sheet1.xml", "xl/_rels/workbook.xml.rels"


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"readme.txt": "hello"}, "not a readable"),
        (GOOD | {"content.xml": "<office/>"}, "not a readable"),
        (GOOD | {SHEET: GOOD[SHEET].replace("</row>", "", 1)}, "not a readable"),
        (GOOD | {SHEET: GOOD[SHEET].replace("?>", '?><!DOCTYPE a [<!ENTITY b "c">]>', 1)}, "not a readable"),
        (GOOD | {SHEET: GOOD[SHEET].replace('"A2"', '"2A"')}, "not a readable"),
        (GOOD | {SHEET: GOOD[SHEET].replace('"A2"', '"XFD1048576"')}, "reaches over more"),
        (
            GOOD | {SHEET: GOOD[SHEET].replace('r="2"', 'r="1048576"').replace('"A2"', '"I1048576"')},
            "reaches over more",
        ),
        (
            GOOD | {SHEET: GOOD[SHEET].replace('<c r="A2"', '<c r="XFD1"/></row><row r="1048576"><c')},
            "reaches over more",
        ),
        (GOOD | {"xl/s.png": GOOD[SHEET], MAP: GOOD[MAP].replace("worksheets/sheet1.xml", "s.png")}, "not a readable"),
    ],
    ids=["zip", "ODS", "torn", "entities", "reference", "corner", "far row", "no references", "hidden sheet"],
)
def test_a_workbook_that_would_take_the_process_down_is_refused(parts: dict[str, str], why: str) -> None:
    """One cell in the last corner of a sheet makes its reader ask for 500 GB, and abort."""
    assert rows_of(XlsxReader(Intake()), zipped(GOOD)) == [Recipient("+12125551234", {}, "", 2)]

    with pytest.raises(BadRecipients, match=why):
        rows_of(XlsxReader(Intake()), zipped(parts))


@given(st.data(), st.sampled_from(["", "<", ">", '"', "9", "A", "&", "/", " r", "é", "xxxxx"]))
def test_a_workbook_with_any_one_fault_gives_rows_or_is_refused(data: st.DataObject, fault: str) -> None:
    name = data.draw(st.sampled_from(list(GOOD)))
    at = data.draw(st.integers(0, len(GOOD[name])))
    broken = GOOD | {name: GOOD[name][:at] + fault + GOOD[name][at + 1 :]}

    with contextlib.suppress(BadRecipients):
        assert all(isinstance(row, Recipient | Invalid) for row in rows_of(XlsxReader(Intake()), zipped(broken)))


def test_a_workbook_that_unpacks_to_too_much_is_refused_before_it_is_unpacked() -> None:
    bloated = zipped(GOOD | {"xl/media/zeros.bin": "0" * (workbook_room.LARGEST + 1)})

    assert len(bloated) < 1_000_000
    with pytest.raises(BadRecipients, match="unpacks to more"):
        rows_of(XlsxReader(Intake()), bloated)


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
