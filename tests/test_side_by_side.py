"""Tests that judge time have the machine to themselves: they begin when every other test has ended, on one worker."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

pytest.importorskip("xdist")
ROOT = Path(__file__).parents[1]
ROOMS = {"sms": "test_many.py", "calls": "test_many.py", "journeys": "test_many.py", "limits": "test_wire.py"}
CONFTEST = """
import os, time, pytest
from pathlib import Path
from tests.side_by_side import Stages

def pytest_xdist_make_scheduler(config):
    return Stages(len(config.getoption("tx")))

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
    for room, file in ROOMS.items():  # one of each stage
        (folder / "tests" / room).mkdir(parents=True)
        (folder / "tests" / room / file).write_text(MANY if room == "sms" else MANY.replace("DIES", "NOBODY"))
    (folder / "tests" / "journeys" / "test_others.py").write_text(MANY.replace("DIES", "NOBODY"))
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "xdist", "-n", "3", *words],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), "DIES": dies, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def noted(folder: Path) -> list[tuple[str, float, float, str]]:
    lines = [line.split() for line in (folder / "noted").read_text().splitlines()]
    return [(worker, float(began), float(ended), test) for worker, began, ended, test in lines]


def test_each_stage_begins_when_the_one_before_has_ended_with_fewer_workers(tmp_path: Path) -> None:
    ran = run(tmp_path)

    assert ran.returncode == 0, ran.stdout
    stages = [[each for each in noted(tmp_path) if each[3].startswith(f"tests/{room}/")] for room in ROOMS]
    assert [len(stage) for stage in stages] == [12, 12, 24, 12]
    assert [len({worker for worker, *_ in stage}) for stage in stages] == [3, 2, 2, 1]
    journeys = {(worker, test.partition("::")[0]) for worker, *_, test in stages[2]}
    assert len(journeys) == 2  # its two files, each by one worker
    for before, after in pairwise(stages):  # in the order of their ends
        held_back = 2  # each worker that stays keeps its last test until it has the next one
        assert min(began for _, began, _, _ in after) > max(ended for _, _, ended, _ in before[:-held_back])


def test_a_worker_that_dies_fails_its_test_alone_and_every_other_one_is_run(tmp_path: Path) -> None:
    ran = run(tmp_path, dies="5")

    assert ran.returncode == 1
    assert "1 failed, 59 passed" in ran.stdout


def test_a_stage_with_fewer_tests_than_workers_does_not_hold_up_the_next(tmp_path: Path) -> None:
    ran = run(tmp_path, "tests/sms/test_many.py::test_it[0]", "tests/calls")

    assert ran.returncode == 0, ran.stdout
    assert "13 passed" in ran.stdout
