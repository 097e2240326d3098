"""The command `gateway`: what comes before and after each command's own work."""

import asyncio
import sys
from importlib import metadata
from typing import Annotated

import typer

from gateway.cli.commands import Commands, list_commands
from gateway.errors import GatewayError

app = typer.Typer(
    name="gateway",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""One server between campaign engines and telephone carriers: SMS and voice, paced inside every limit.

    New here? `gateway demo` sends 1,000 texts and places 50 calls on this machine alone, and prints a report.
    """,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(metadata.version("campaign-gateway"))
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Nothing is done before a command's own work."""


list_commands(app)


def main() -> None:
    """Run the command line: one clear line for an error, never a traceback; exit code 1, or 2 for wrong usage."""
    try:
        app(prog_name="gateway")
    except GatewayError as error:
        text = str(error)
        print(text if "\n" in text or "error:" in text else f"gateway: {text}", file=sys.stderr)  # noqa: T201
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        print(f"gateway: {error.strerror or error}{where}", file=sys.stderr)  # noqa: T201
    sys.exit(1)
