"""The table of commands: where each is, and what `gateway --help` says of it.

A command's file is imported when the command is asked for: all of them together take a second, which nobody who
wants to see a version or why a text waits should sit through.
"""

import os
import re
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup


@dataclass(frozen=True, slots=True)
class Command:
    """A command or a group. `place` is its file here and its name in there; `line` at most 64 characters."""

    place: str
    line: str


COMMANDS: Final = {
    "serve": Command("starting:serve", "Run the gateway: API, webhooks, texts and calls."),
    "demo": Command("starting:demo", "Show the whole thing on this machine: 1,000 texts and 50 calls."),
    "simulate": Command("far_end:simulate", "Run a far end to practise on: Twilio's API, and a SIP phone."),
    "why": Command("events:why", "Say what holds a message, a call or a job, and until when."),
    "settle": Command("unknown:settle", "Say what became of a text whose carrier never answered."),
    "audit": Command("audit:audit", "Look for broken promises in what was sent."),
    "migrate": Command("keys:migrate", "Bring the database's schema up to date."),
    "sender": Command("senders:app", "Senders: the numbers that texts and calls leave from."),
    "limits": Command("limits:app", "Limits that senders share; limits for each recipient."),
    "job": Command("jobs:app", "Jobs: broadcasts to many people."),
    "events": Command("events:app", "Events: the numbered log of all that happens."),
    "unknown": Command("unknown:app", "Texts whose carrier never answered."),
    "dialplan": Command("dialplan_replay:dialplan_app", "Dialplans: what calls say and ask."),
    "prompt": Command("content:prompt_app", "Recorded prompts: audio that calls play."),
    "amd": Command("amd:app", "Answering-machine detection, tried on recordings."),
    "key": Command("keys:app", "API keys: what engines and people are let in with."),
    "config": Command("content:config_app", "The settings."),
}


def load_command(name: str) -> Any:
    """Import the file of a command of the table; returns what runs it."""
    file, _, attribute = COMMANDS[name].place.partition(":")
    found = getattr(import_module(f"gateway.cli.{file}"), attribute)
    if isinstance(found, typer.Typer):
        several = typer.main.get_group(found)
        for each in several.commands.values():
            each.short_help = _first_sentence(each.help)
            each.help = _with_examples(each.help)
        return several
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(name)(found)
    command = typer.main.get_command(alone)
    command.help = _with_examples(command.help)
    return command


def _first_sentence(told: str | None) -> str:
    """What a list of commands says of one: never cut off, which the library would do to what it takes from the help."""
    return re.split(r"(?<=\.)\s", (told or "").strip(), maxsplit=1)[0]


def _with_examples(told: str | None) -> str:
    """The help with its examples' lines left as they are: broken anywhere else, they could not be copied."""
    paragraphs = (told or "").split("\n\n")
    return "\n\n".join("\b\n" + each if each.startswith("gateway ") else each for each in paragraphs)


class Commands(TyperGroup):
    """The table as a group: listed from the table alone, loaded when one is to run."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the first word names, among those of the table, and load it."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name else found, rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Whoever reads what it prints may have seen enough (`| head`): that is no error."""
        try:
            done = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter's end finds it closed
            raise typer.Exit(0) from None
        return done


def list_commands(app: typer.Typer) -> None:
    """Let `app`, whose `cls` is `Commands`, show the table and know its names."""
    for name, command in COMMANDS.items():
        app.command(name, short_help=command.line)(_stands_for_it)


def _stands_for_it() -> None:
    """A command that is only listed: `Commands` loads the one that runs."""
