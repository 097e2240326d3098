"""The short form of `make chaos`: every kind of trouble once, as long as three minutes reach."""

import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]


@pytest.mark.chaos
def test_a_short_round_of_breaking_things_finds_no_broken_promise() -> None:
    command = [sys.executable, "-m", "tests.chaos", "--short"]
    ran = subprocess.run(command, cwd=HOME, capture_output=True, text=True, timeout=240, check=False)

    print(ran.stdout)  # noqa: T201 - the seeds, to run one again
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-2000:]
    assert ran.stdout.splitlines()[-1].startswith("chaos: ")
