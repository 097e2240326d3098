"""The table of commands: what is listed can be run, and what is not run is not waited for."""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from gateway.cli.commands import COMMANDS
from gateway.cli.root import app

HEAVY = {
    "aiohttp",
    "gateway.client",
    "gateway.settings",
    "numpy",
    "pydantic",
    "rich",
    "soundfile",
    "structlog",
    "uvloop",
}


def imported(*words: str) -> set[str]:
    """The modules that a command imports, as the interpreter tells."""
    command = [sys.executable, "-X", "importtime", "-m", "gateway.cli", *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    return {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize(
    ("words", "not_needed"),
    [
        (["--version"], HEAVY),
        (["--help"], HEAVY),
        (["why", "bad-id"], HEAVY - {"aiohttp", "gateway.client", "pydantic", "rich", "uvloop"}),
        (["key", "list", "--help"], {"aiohttp", "gateway.client", "numpy", "soundfile"}),
        (["dialplan", "test", "dialplans/payment-reminder.yaml"], {"numpy", "aiohttp", "gateway.speech.prompts"}),
    ],
    ids=["version", "help", "why", "key", "dialplan"],
)
def test_a_command_imports_nothing_heavy_that_it_does_not_need(words: list[str], not_needed: set[str]) -> None:
    found = imported(*words)

    assert "typer" in found
    assert found & not_needed == set()


def test_the_help_says_of_every_command_what_it_is_for_and_cuts_nothing_off() -> None:
    told = CliRunner().invoke(app, ["--help"], prog_name="gateway").stdout

    assert [name for name, each in COMMANDS.items() if f"  {name:<8}  {each.line}\n" not in told] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_can_be_run(name: str) -> None:
    told = CliRunner().invoke(app, [name, "--help"], prog_name="gateway")

    assert told.exit_code == 0
    assert told.stdout.startswith(f"Usage: gateway {name} ")


def test_the_help_of_a_group_says_of_every_command_one_whole_sentence() -> None:
    told = CliRunner().invoke(app, ["job", "--help"], prog_name="gateway").stdout

    assert "Hand a broadcast over, whole or not at all, and print the job's id." in " ".join(told.split())
    assert "..." not in told.partition("Commands:")[2]


def test_examples_can_be_copied_from_the_help_line_by_line() -> None:
    told = CliRunner().invoke(app, ["dialplan", "check", "--help"], prog_name="gateway").stdout.splitlines()

    assert "  gateway dialplan check dialplans/*.yaml" in told
    assert "  gateway dialplan check dialplans/customer-survey.yaml --render --category telemarketing" in told


def test_who_has_seen_enough_of_what_is_printed_makes_no_error() -> None:
    """`gateway … | head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "gateway.cli", "dialplan", "draw", "dialplans/payment-reminder.yaml"]
    ran = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=20)
    os.close(writing)

    assert (ran.returncode, ran.stderr) == (0, "")
