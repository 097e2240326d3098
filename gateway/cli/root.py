"""The command `gateway`: its groups, and the commands that start something."""

import asyncio
import json
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import amd, audit, content, dialplan_replay, events, far_end, jobs, keys, limits, senders, unknown
from gateway.cli.common import Config, DataDir, load, run
from gateway.errors import GatewayError

app = typer.Typer(
    name="gateway",
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


@app.command()
def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; stronger than the settings.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any free one.")] = None,
    data_dir: DataDir = None,
    roles: Annotated[
        str | None, typer.Option(help="What this process does, of api,sms,voice,callbacks,housekeeper; without it all.")
    ] = None,
    media_processes: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes that send and hear the audio of calls.")
    ] = None,
    ready_file: Annotated[
        Path | None, typer.Option(help="File to write the line with the address to, once it listens.")
    ] = None,
) -> None:
    """Run the gateway until Ctrl-C or SIGTERM: API, webhooks, texts and calls.

    Prints one JSON line with its address when it listens; logs go to standard error.
    """
    from gateway import app as gateway  # noqa: PLC0415  it loads every room: a second that other commands need not wait

    def ready(running: gateway.Running) -> None:
        line = json.dumps({"url": running.url, "port": running.port, "pid": os.getpid()}) + "\n"
        if ready_file:
            ready_file.write_text(line, encoding="utf-8")
        typer.echo(line, nl=False)

    flags = {"http__host": host, "http__port": port, "data_dir": data_dir, "roles": roles}
    run(gateway.serve(load(config, **flags, sip__media_processes=media_processes), ready=ready))


@app.command()
def demo(
    leave: Annotated[bool, typer.Option("--exit", help="Stop when the report is printed.")] = False,
    report: Annotated[Path | None, typer.Option(help="File to write the report to, as JSON.")] = None,
    messages: Annotated[int, typer.Option(min=1, max=100_000, help="Texts in the SMS job.")] = 1000,
    calls: Annotated[int, typer.Option(min=0, max=1000, help="Calls in the voice job.")] = 50,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="An empty folder to work in; without it a temporary one.")
    ] = None,
) -> None:
    """Show the whole thing on this machine: 1,000 texts and 50 calls to a practice far end, then a report.

    Nothing leaves the machine. Afterwards the gateway stays up for a look, unless --exit.
    """
    from gateway.demo import stage  # noqa: PLC0415  as for serve

    run(stage.run(stage.Wishes(messages, calls, directory, report, stays=not leave)))


app.command()(far_end.simulate)
app.command()(events.why)
app.command()(unknown.settle)
app.command()(audit.audit)
app.command()(keys.migrate)
for _group in (
    senders.app,
    limits.app,
    jobs.app,
    events.app,
    unknown.app,
    dialplan_replay.dialplan_app,
    content.prompt_app,
    amd.app,
    keys.app,
    content.config_app,
):
    app.add_typer(_group)


def main() -> None:
    """Run the command line: one clear line for an error, never a traceback; exit code 1, or 2 for wrong usage."""
    try:
        app(prog_name="gateway")
    except GatewayError as error:
        text = str(error)
        print(text if "\n" in text or "error:" in text else f"gateway: {text}", file=sys.stderr)  # noqa: T201
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `| head` has seen enough
        sys.exit(0)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        print(f"gateway: {error.strerror or error}{where}", file=sys.stderr)  # noqa: T201
    sys.exit(1)
