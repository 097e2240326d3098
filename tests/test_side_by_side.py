"""Tests that judge time have the machine to themselves: they begin when every other test has ended, on one worker."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("xdist")
ROOT = Path(__file__).parents[1]
CONFTEST = """
import os, time, pytest
from pathlib import Path
from tests.side_by_side import SideBySideThenAlone

def pytest_xdist_make_scheduler(config):
    return SideBySideThenAlone(len(config.getoption("tx")))

@pytest.fixture(autouse=True)
def noted(request):
    began = time.monotonic()
    yield
    line = f"{os.environ['PYTEST_XDIST_WORKER']} {began} {time.monotonic()} {request.node.nodeid}\\n"
    with open(Path(__file__).parent / "noted", "a") as file:
        file.write(line)
"""
MANY = """
import os, time, pytest

@pytest.mark.parametrize("number", range(12))
def test_it(number):
    time.sleep(0.02)
    if os.environ.get("DIES") == f"{number}":
        os._exit(1)
"""


def run(folder: Path, *words: str, dies: str = "") -> "subprocess.CompletedProcess[str]":
    for room in ("sms", "calls"):
        (folder / "tests" / room).mkdir(parents=True)
        (folder / "tests" / room / "test_many.py").write_text(MANY if room == "sms" else MANY.replace("DIES", "NOBODY"))
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "xdist", "-n", "2", *words],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), "DIES": dies, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def noted(folder: Path) -> list[tuple[str, float, float, str]]:
    lines = [line.split() for line in (folder / "noted").read_text().splitlines()]
    return [(worker, float(began), float(ended), test) for worker, began, ended, test in lines]


def test_what_judges_time_runs_on_one_worker_when_all_others_have_ended(tmp_path: Path) -> None:
    ran = run(tmp_path)

    assert ran.returncode == 0, ran.stdout
    tests = noted(tmp_path)
    alone = [each for each in tests if each[3].startswith("tests/calls/")]
    shared = [each for each in tests if each not in alone]
    assert (len(alone), len(shared)) == (12, 12)
    assert min(began for _, began, _, _ in alone) > max(ended for _, _, ended, _ in shared)
    assert len({worker for worker, *_ in alone}) == 1
    assert len({worker for worker, *_ in shared}) > 1


def test_a_worker_that_dies_fails_its_test_alone_and_every_other_one_is_run(tmp_path: Path) -> None:
    ran = run(tmp_path, dies="5")

    assert ran.returncode == 1
    assert "1 failed, 23 passed" in ran.stdout
