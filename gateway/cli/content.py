"""What operators write: settings, dialplans and prompts, checked on the files themselves; no gateway need run."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway import settings
from gateway.cli.common import (
    DEFAULT_URL,
    AsJson,
    Config,
    Key,
    Url,
    ask,
    config_file,
    environ,
    group,
    load,
    pairs,
    read_bytes,
    read_text,
    show,
    show_table,
)
from gateway.client import Client
from gateway.errors.voice import BadDialplan, BadVariables
from gateway.speech.recordings import DEFAULT_LIMITS, Recordings, own_folder
from gateway.voice import check, loader
from gateway.voice.cases import run_tests
from gateway.voice.transcript import SILENCE, Transcript, simulate

config_app = group("config", "The settings.")
dialplan_app = group("dialplan", "Dialplans: what calls say and ask.")
Tenant = Annotated[
    str, typer.Option(help="Whose recording it is; without this, that of all who have none of their own.")
]

prompt_app = group("prompt", "Recorded prompts: audio that calls play.")

Files = Annotated[list[Path], typer.Argument(metavar="FILE…", help="YAML files, such as dialplans/*.yaml.")]


@config_app.command("check")
def check_config(config: Config = None) -> None:
    """Say all that is wrong with the settings: file or variable, key, and what to do. Exit code 1 if anything is."""
    problems = settings.check(config_file(config), environ())
    for problem in problems:
        typer.echo(str(problem), err=True)
    if problems:
        raise typer.Exit(1)
    typer.echo(f"the settings are good ({config_file(config) or 'defaults'} and the environment)")


@dialplan_app.command("check")
def check_dialplan(
    files: Files,
    broadcast: Annotated[
        bool, typer.Option("--broadcast", help="Check as for a broadcast: it must also offer a key to opt out.")
    ] = False,
    config: Config = None,
) -> None:
    """Check plans, and run the tests that stand beside them (NAME.test.yaml). Exit code 1 if anything is wrong.

    gateway dialplan check dialplans/*.yaml
    """
    prompts = _recordings(config)
    plans = [file for file in files if not file.name.endswith(".test.yaml")]
    bad = [file for file in plans if not _is_good(file, prompts, broadcast=broadcast)]
    if bad:
        raise typer.Exit(1)


def _is_good(file: Path, prompts: Recordings, *, broadcast: bool) -> bool:
    """Print what is wrong with one plan and its tests, or that it is good."""
    source = read_text(file)
    try:
        plan, warnings = check.load_checked(source, file=str(file), prompts=prompts.names, broadcast=broadcast)
        tests = file.with_suffix(".test.yaml")
        results = run_tests(plan, read_text(tests), file=str(tests)) if tests.is_file() else []
    except BadDialplan as bad:
        typer.echo(str(bad), err=True)
        return False
    for warning in warnings:
        typer.echo(str(warning), err=True)
    failed = [result for result in results if not result.has_passed]
    for result in failed:
        for fault in result.faults:
            typer.echo(f"{tests}:{result.case.line}: error: test {result.case.name!r}: {fault}", err=True)
    if not failed:
        typer.echo(f"{file}: good, {len(results)} tests passed")
    return not failed


@dialplan_app.command("simulate")
def simulate_dialplan(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One plan.")],
    keys: Annotated[
        str,
        typer.Option(
            help="What the person does at each question, with commas between: keys, silence, hangup; "
            "machine, as the first, lets a machine answer. After the last: silence."
        ),
    ] = "",
    var: Annotated[list[str] | None, typer.Option(help="A variable, as name=value; several times for several.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make one call in thought and print what is said and pressed, and how it ends.

    gateway dialplan simulate dialplans/payment-reminder.yaml --keys silence,1 --var name=Ana
    """
    plan = loader.load(read_text(file), file=str(file))
    entries = [entry.strip() for entry in keys.split(",") if entry.strip()]
    try:
        transcript = simulate(plan, pairs(var or []), entries)
    except ValueError as error:
        raise typer.BadParameter(f"{error}; such as --keys {SILENCE},1", param_hint="--keys") from None
    except BadVariables as error:
        raise typer.BadParameter(f"variable {error}; such as --var name=Ana", param_hint="--var") from None
    if as_json:
        show(transcript.as_dict())
    else:
        _print(transcript)


def _print(transcript: Transcript) -> None:
    for line in transcript.lines:
        mark = "<" if line.who == "person" else ">"
        typer.echo(f"{line.at:6.1f} s  {line.node:<12} {mark} {line.text}")
    facts: dict[str, Any] = {
        "path": " ".join(transcript.path),
        "keys": transcript.keys or "none",
        "collected": ", ".join(f"{name}={value}" for name, value in transcript.collected.items()),
        "opted out": transcript.opted_out,
        "outcome": transcript.outcome or "none",
        "never came to": ", ".join(transcript.unused),
    }
    typer.echo("")
    for name, value in facts.items():
        if value:
            typer.echo(f"{name + ':':<15}{value}")


@dialplan_app.command("publish")
def publish_dialplan(files: Files, url: Url = DEFAULT_URL, key: Key = "") -> None:
    """Hand plans to the running gateway, which checks each and publishes it as a new version.

    A call in progress goes on with the version it began with.
    """
    for file in files:
        typer.echo(ask(url, key, partial(_published, read_text(file), str(file))))


async def _published(source: str, file: str, client: Client) -> str:
    name = loader.load(source, file=file).name
    answer = await client.put(f"/v1/dialplans/{name}", source.encode(), "application/yaml")
    return f"{name}: version {answer.get('version')}"


@prompt_app.command("add")
def add_prompt(
    name: Annotated[str, typer.Argument(help="Small letters, digits and hyphens, such as after-hours.")],
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
