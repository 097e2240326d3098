"""The commands that start something: the gateway, and the demo around one."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.common import run
from gateway.cli.configured import Config, DataDir, load


def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; stronger than the settings.")] = None,
    port: Annotated[
        int | None, typer.Option(metavar="PORT", min=0, max=65535, help="Port to listen on; 0 takes any free one.")
    ] = None,
    data_dir: DataDir = None,
    roles: Annotated[
        str | None,
        typer.Option(
            metavar="ROLES", help="What this process does, of api,sms,voice,callbacks,housekeeper; without it all."
        ),
    ] = None,
    media_processes: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=64, help="Processes that send and hear the audio of calls.")
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


def demo(
    leave: Annotated[bool, typer.Option("--exit", help="Stop when the report is printed.")] = False,
    report: Annotated[Path | None, typer.Option(help="File to write the report to, as JSON.")] = None,
    messages: Annotated[int, typer.Option(metavar="N", min=1, max=100_000, help="Texts in the SMS job.")] = 1000,
    calls: Annotated[int, typer.Option(metavar="N", min=0, max=1000, help="Calls in the voice job.")] = 50,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="An empty folder to work in; without it a temporary one.")
    ] = None,
) -> None:
    """Show the whole thing on this machine: 1,000 texts and 50 calls to a practice far end, then a report.

    Nothing leaves the machine. Afterwards the gateway stays up for a look, unless --exit.
    """
    from gateway.demo import stage  # noqa: PLC0415  as for serve

    run(stage.run(stage.Wishes(messages, calls, directory, report, stays=not leave)))
