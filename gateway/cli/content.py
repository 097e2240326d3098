"""What operators write: settings and recorded prompts, checked on the files themselves; no gateway need run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from gateway import settings
from gateway.cli.common import copy_tree, group, read_bytes, show_table
from gateway.cli.configured import Config, config_file, environ, load
from gateway.errors.cli import FileUnwritable
from gateway.speech.recordings import DEFAULT_LIMITS, Recordings, own_folder

config_app = group("config")
Tenant = Annotated[
    str, typer.Option(help="Whose recording it is; without this, that of all who have none of their own.")
]

prompt_app = group("prompt")


@config_app.command("check")
def check_config(config: Config = None) -> None:
    """Say all that is wrong with the settings: file or variable, key, and what to do. Exit code 1 if anything is."""
    problems = settings.check(config_file(config), environ())
    for problem in problems:
        typer.echo(str(problem), err=True)
    if problems:
        raise typer.Exit(1)
    typer.echo(f"the settings are good ({config_file(config) or 'defaults'} and the environment)")


@config_app.command("init")
def copy_shipped(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where; the gateway is started in it afterwards.")],
) -> None:
    """Put the folders that operators edit into DIR: dialplans/, audio/ and config/, as they come with the gateway.

    gateway config init .
    """
    names = ("dialplans", "audio", "config")
    there = [name for name in names if (folder / name).exists()]
    if there:
        raise FileUnwritable(str(folder), f"has {', '.join(there)} already, and nothing of it is changed")
    for name in names:
        copy_tree(settings.shipped(name), folder / name)
    typer.echo(f"{', '.join(names)} are in {folder}; `gateway config check` looks at them")


@prompt_app.command("add")
def add_prompt(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Small letters, digits and hyphens, such as after-hours.")
    ],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A wav, flac, ogg or mp3 file of up to 5 minutes.")],
    language: Annotated[str, typer.Option(help="The language it speaks, as a tag.")] = "en-US",
    tenant: Tenant = "",
    config: Config = None,
) -> None:
    """Check a recording and put it in place; calls play it from the next one on.

    gateway prompt add welcome welcome.mp3 --language en-US
    """
    info = _recordings(config, tenant).put(name, language, read_bytes(file))
    typer.echo(f"{info.name} ({info.language}): {info.seconds:.1f} s, from {info.format} at {info.rate_hz} Hz")


@prompt_app.command("list")
def list_prompts(tenant: Tenant = "", config: Config = None) -> None:
    """List recorded prompts, each decoded to see that it plays."""
    found = _recordings(config, tenant).listing()
    rows: Sequence[Sequence[object]] = [
        (info.name, info.language, info.format, f"{info.seconds:.1f}", info.error or "good") for info in found
    ]
    show_table(("name", "language", "format", "seconds", "state"), rows)


def _recordings(config: Path | None, tenant: str = "") -> Recordings:
    folder = load(config).folders.audio / "prompts"
    return Recordings(own_folder(folder, tenant) if tenant else folder, DEFAULT_LIMITS)
