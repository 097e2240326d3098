"""What commands share: where settings and the running gateway are found, and how results are shown."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway import settings
from gateway.client import Client
from gateway.errors.cli import FileUnreadable, FileUnwritable
from gateway.settings import Settings

try:
    import uvloop
except ImportError:  # it is not made for every machine
    uvloop = None  # type: ignore[assignment]

T = TypeVar("T")

CONFIG_FILE: Final = Path("config/gateway.toml")
DEFAULT_URL: Final = "http://127.0.0.1:8080"
OURS: Final = frozenset({"GATEWAY_CONFIG", "GATEWAY_URL", "GATEWAY_KEY"})  # for the command line; not settings

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", envvar="GATEWAY_CONFIG", help="Settings file. Without it config/gateway.toml, if that is there."
    ),
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Where the database is kept; stronger than the settings.")
]
Url = Annotated[str, typer.Option("--url", envvar="GATEWAY_URL", help="Where the running gateway listens.")]
Key = Annotated[
    str,
    typer.Option(
        "--key", envvar="GATEWAY_KEY", show_default=False, help="API key, as `gateway key create` printed it."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def group(name: str, help_text: str) -> typer.Typer:
    """A group of commands that shows its help when it is called alone."""
    return typer.Typer(name=name, help=help_text, no_args_is_help=True, rich_markup_mode=None)


def load(config: Path | None, **flags: object) -> Settings:
    """The settings, from the file, the environment and flags (dotted keys with __ for the dot); None is no flag."""
    overrides = {name.replace("__", "."): value for name, value in flags.items() if value is not None}
    return settings.load(config_file(config), environ(), overrides)


def config_file(config: Path | None) -> Path | None:
    """The file that was named, else the usual one where it is there."""
    return config or (CONFIG_FILE if CONFIG_FILE.is_file() else None)


def environ() -> dict[str, str]:
    """The environment without the command line's own variables, which are no settings."""
    return {name: value for name, value in os.environ.items() if name not in OURS}


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; Ctrl-C cancels it."""
    return uvloop.run(work) if uvloop is not None else asyncio.run(work)


def ask(url: str, key: str, work: Callable[[Client], Awaitable[T]]) -> T:
    """Do `work` with a client of the running gateway."""
    if not key:
        raise typer.BadParameter("no key: set GATEWAY_KEY, or give --key (`gateway key create` makes one)")

    async def asked() -> T:
        async with Client(url, key) as client:
            return await work(client)

    return run(asked())


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


def show_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print facts one a line, names to the left."""
    rows = [(name, value) for name, value in facts if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        typer.echo(f"{name:<{width}}  {value}")


def show_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table for people; where nobody looks, in a pipe, a line a row with tabs between."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    console = Console(highlight=False)
    if not console.is_terminal:
        for row in [list(headings), *cells]:
            typer.echo("\t".join(row))
        return
    table = Table(*headings, box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        column.overflow = "fold"
    for row in cells:
        table.add_row(*map(escape, row))
    console.print(table)
