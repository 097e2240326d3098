"""The short form of every fuzz target, and that the runner finds what is there to be found."""

import json
import subprocess
import sys
import time

import pytest

from tests.fuzz.runner import Finding, Mutator, run
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_input_does_no_harm(name: str) -> None:
    report = run(TARGETS[name](), count=3_000, seed=7)

    assert report.inputs == 3_000


class Broken:
    """Breaks in one of three ways, at the first input that holds a certain byte."""

    refused = (ValueError,)
    seeds = (b"abc\r\ndef",)

    def __init__(self, how: str) -> None:
        self._how = how

    def feed(self, data: bytes) -> None:
        if b"\x00" in data and self._how == "crash":
            raise KeyError("made up")
        if b"\x00" in data and self._how == "hang":
            started = time.thread_time()
            while time.thread_time() - started < 0.08:
                pass
        raise ValueError("refused, as it may")

    def settle(self) -> None:
        assert self._how != "growth", "something stays"


@pytest.mark.parametrize(("how", "said"), [("crash", "KeyError"), ("hang", "took"), ("growth", "something stays")])
def test_what_breaks_is_found(how: str, said: str) -> None:
    with pytest.raises(Finding, match=said):
        run(Broken(how), count=2_000, seed=1)


def test_the_same_seed_gives_the_same_inputs() -> None:
    one, other = Mutator(Broken.seeds, 5), Mutator(Broken.seeds, 5)

    assert [one.next() for _ in range(50)] == [other.next() for _ in range(50)]


def test_the_command_prints_one_line_a_target() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "sdp", "--count", "200"], capture_output=True, text=True, check=True
    )

    (line,) = ran.stdout.splitlines()
    assert json.loads(line)["target"] == "sdp"
