"""The command line as people run it: a process of its own, without the settings of whoever runs the tests."""

import os
import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).parents[1]


def run(*words: str, cwd: Path = HOME, **environ: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    command = [sys.executable, "-m", "gateway.cli", *words]
    return subprocess.run(command, cwd=cwd, env=own | environ, capture_output=True, text=True, check=False, timeout=20)


def complaint(*words: str, **environ: str) -> str:
    """What a command that must fail says; never a traceback, and nothing on standard output."""
    ran = run(*words, **environ)
    assert ran.returncode != 0
    assert ran.stdout == ""
    assert "Traceback" not in ran.stderr
    return ran.stderr
