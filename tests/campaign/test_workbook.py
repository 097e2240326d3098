"""XLSX: read as office programs write it, refused where it would take the process down."""

import contextlib
import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.campaign import workbook as workbook_room
from gateway.campaign.readers import XlsxReader
from gateway.campaign.recipients import Intake, Invalid, Recipient
from gateway.errors.campaign import BadRecipients
from tests.campaign.sheets import number, text, workbook
from tests.campaign.test_readers import faults, rows_of


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
