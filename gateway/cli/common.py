"""What all commands share: how files are read, and how results are shown."""

import asyncio
import json
import shutil
import sys
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from gateway.cli.commands import COMMANDS
from gateway.errors.cli import FileUnreadable, FileUnwritable

try:
    import uvloop
except ImportError:  # it is not made for every machine
    uvloop = None  # type: ignore[assignment]

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def group(name: str) -> typer.Typer:
    """A group of commands of the table, that shows its help when it is called alone."""
    return typer.Typer(name=name, help=COMMANDS[name].line, no_args_is_help=True, rich_markup_mode=None)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; Ctrl-C cancels it."""
    return uvloop.run(work) if uvloop is not None else asyncio.run(work)


def read_text(path: Path) -> str:
    """A file's text. Raises FileUnreadable."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise FileUnreadable(str(path), error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise FileUnreadable(str(path), "is not text in UTF-8") from None


def read_bytes(path: Path) -> bytes:
    """A file's bytes. Raises FileUnreadable."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileUnreadable(str(path), error.strerror or str(error)) from None


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file. Raises FileUnwritable."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise FileUnwritable(str(path), error.strerror or str(error)) from None


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder and all in it. Raises FileUnwritable."""
    try:
        shutil.copytree(source, target)
    except OSError as error:
        raise FileUnwritable(str(target), error.strerror or str(error)) from None


def pairs(given: Sequence[str]) -> dict[str, str]:
    """`name=value` words as a mapping."""
    found = {}
    for word in given:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{word!r} is not like name=value")
        found[name] = value
    return found


def show(value: object) -> None:
    """Print JSON, indented."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def show_list(items: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """Print what a list holds: all of it as JSON, or a table of these of its fields."""
    if as_json:
        show(items)
    else:
        show_table(columns, ([_words(item.get(name)) for name in columns] for item in items))


def show_record(record: Mapping[str, Any], *, as_json: bool = False) -> None:
    """Print one thing: as JSON, or a field a line."""
    if as_json:
        show(record)
    else:
        show_facts((name, _words(value)) for name, value in record.items())


def _words(value: object) -> object:
    """A field for people: what is not set is left out."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(each)}" for name, each in value.items() if each not in (None, ""))
    return " ".join(map(str, value)) if isinstance(value, list) else value


def show_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print facts one a line, names to the left."""
    rows = [(name, value) for name, value in facts if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        typer.echo(f"{name:<{width}}  {value}")


def show_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table for people; where nobody looks, in a pipe, a line a row with tabs between."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in [list(headings), *cells]:
            typer.echo("\t".join(row))
        return
    _draw_table(headings, cells)


def _draw_table(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - 40 ms, for commands that print no table
    from rich.markup import escape  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(*headings, box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        column.overflow = "fold"
    for row in cells:
        table.add_row(*map(escape, row))
    Console(highlight=False).print(table)
