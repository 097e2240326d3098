"""A long list read in pieces is what the whole would have been."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.long_list import PIECE, LongList, read
from gateway.errors.api import BadJson

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def whole(value: Any) -> Any:
    """With its LongList, if there is one, gone through."""
    return {name: list(each) if isinstance(each, LongList) else each for name, each in value.items()}


@given(
    before=st.dictionaries(st.text(max_size=5), ANYTHING, max_size=3),
    entries=st.lists(ANYTHING, max_size=8),
    after=st.dictionaries(st.text(max_size=5), ANYTHING, max_size=3),
    indent=st.sampled_from([None, 0, 2]),
    ascii_only=st.booleans(),
)
def test_what_is_read_in_pieces_is_what_is_read_whole(
    before: dict[str, Any], entries: list[Any], after: dict[str, Any], indent: int | None, ascii_only: bool
) -> None:
    data = json.dumps({**before, "people": entries, **after}, indent=indent, ensure_ascii=ascii_only).encode()

    found = read(data, "people")

    assert isinstance(found["people"], LongList)
    assert whole(found) == orjson.loads(data)


@pytest.mark.parametrize("count", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_no_entry_is_lost_between_the_pieces(count: int) -> None:
    data = orjson.dumps({"people": list(range(count)), "more": [1, 2]})

    found = read(data, "people")

    assert whole(found) == {"people": list(range(count)), "more": [1, 2]}


@pytest.mark.parametrize(
    "data",
    [b'{"people": {"a": [1]}}', b'{"people": null, "b": [1]}', b'{"b": {"people": [1]}}', b"{}", b"[1]", b"3",
     b'{"people": [1], "people": [2]}', b' \r\n{ "people" : [ 1 , 2 ] } \n'],
)  # fmt: skip
def test_what_is_not_one_list_is_read_as_it_is(data: bytes) -> None:
    found = read(data, "people")

    assert (whole(found) if isinstance(found, dict) else found) == orjson.loads(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b'{"people": [1, 2', b'{"people": [1 2]}', b'{"people": [1,]}', b'{"people": [1]} x', b'{"people" [1]}',
     b'{"people": [1], }', b'{"a": tru, "people": [1]}', b"{people: [1]}", b'{"people": [1]', b"[" * 100_000,
     b'{"a": NaN, "people": [1]}', b'{"a": "\xff", "people": [1]}'],
)  # fmt: skip
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(BadJson):
        read(data, "people")


@pytest.mark.parametrize("entry", [b"NaN", b'"\xff"', b'"\\ud800"', b"Infinity"])
def test_a_fault_inside_the_list_is_found_when_it_is_gone_through(entry: bytes) -> None:
    data = b'{"people": [' + b"1, " * PIECE + entry + b"]}"

    with pytest.raises(BadJson, match="after entry 1000"):
        list(read(data, "people")["people"])


def test_the_body_is_let_go_once_the_list_was_gone_through() -> None:
    people = read(b'{"people": [1, 2]}', "people")["people"]

    assert (list(people), list(people)) == ([1, 2], [])
