"""Processes that a benchmark runs beside itself, and what they cost."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
GATEWAY = [sys.executable, "-m", "gateway.cli"]
STUB = [sys.executable, str(Path(__file__).with_name("stub.py"))]
SENDER = [sys.executable, str(Path(__file__).with_name("sender.py"))]


@contextmanager
def child(words: Sequence[str], **environ: str) -> Iterator[tuple[psutil.Process, dict[str, Any]]]:
    """A process, and the JSON line that it prints when it listens."""
    process = subprocess.Popen(
        words, env=os.environ | environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        yield psutil.Process(process.pid), json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()


def carried_by(far_end: dict[str, Any]) -> dict[str, str]:
    """The settings of a gateway whose carrier is this stub, as `child` told of it."""
    return {
        "GATEWAY_TWILIO__ACCOUNT_SID": far_end["account"],
        "GATEWAY_TWILIO__AUTH_TOKEN": "practice",
        "GATEWAY_TWILIO__BASE_URL": far_end["url"],
    }


def cpu(*processes: psutil.Process) -> float:
    """CPU seconds of processes and of what they started."""
    family = [each for process in processes for each in (process, *process.children(recursive=True))]
    return sum(times.user + times.system for times in (each.cpu_times() for each in family))
