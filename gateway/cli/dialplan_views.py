"""Looking at plans: a call made in thought, what changed, a drawing, and real calls under another version."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.common import AsJson, pairs, read_text, show, write_bytes
from gateway.cli.configured import Config, load
from gateway.cli.dialplans import dialplan_app
from gateway.errors.voice import BadVariables
from gateway.voice import loader, values
from gateway.voice.diff import changes
from gateway.voice.draw import draw
from gateway.voice.transcript import SILENCE, Transcript, simulate

__all__ = ["dialplan_app"]  # with these commands added to it


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
    var: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A variable, as name=value; several times for several."),
    ] = None,
    listen: Annotated[Path | None, typer.Option("--listen", help="A WAV file for the sound of that very call.")] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Make one call in thought and print what is said and pressed, and how it ends.

    gateway dialplan simulate dialplans/payment-reminder.yaml --keys silence,1 --var name=Ana --listen call.wav
    """
    plan = loader.load(read_text(file), file=str(file))
    entries = [entry.strip() for entry in keys.split(",") if entry.strip()]
    variables = pairs(var or [])
    try:
        values.check(plan, variables)
        if listen is None:
            transcript = simulate(plan, variables, entries)
        else:
            from gateway.cli.dialplan_render import heard  # noqa: PLC0415 - the speech engines, half a second

            transcript, sound = heard(plan, variables, entries, load(config))
            write_bytes(listen, sound)
    except ValueError as error:
        raise typer.BadParameter(f"{error}; such as --keys {SILENCE},1", param_hint="--keys") from None
    except BadVariables as error:
        raise typer.BadParameter(f"variable {error}; such as --var NAME=VALUE", param_hint="--var") from None
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


@dialplan_app.command("diff")
def compare_dialplans(
    before: Annotated[Path, typer.Argument(metavar="OLD", help="The version there was.")],
    after: Annotated[Path, typer.Argument(metavar="NEW", help="The version there is.")],
    as_json: AsJson = False,
) -> None:
    """Tell what changed between two versions of a plan: words, keys, branches, times; not lines of a file.

    Words that went stand in [-…-], words that came in {+…+}. Exit code 1 if anything changed.
    """
    old, new = (loader.load(read_text(file), file=str(file)) for file in (before, after))
    found = changes(old, new)
    if as_json:
        show([{name: getattr(each, name) for name in type(each).__slots__} for each in found])
    else:
        typer.echo("\n".join(map(str, found)) or "nothing changed")
    if found:
        raise typer.Exit(1)


@dialplan_app.command("draw")
def draw_dialplan(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One plan.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="An SVG file; without it, to the screen.")] = None,
) -> None:
    """Draw a plan as SVG: its nodes from the start downwards, and what leads from one to the next.

    gateway dialplan draw dialplans/payment-reminder.yaml -o payment-reminder.svg
    """
    picture = draw(loader.load(read_text(file), file=str(file)))
    if out is None:
        typer.echo(picture, nl=False)
    else:
        write_bytes(out, picture.encode())
        typer.echo(str(out))
