"""The loop of every fuzz target: damage a real input, feed it, watch for crashes, hangs and growth."""

import gc
import resource
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Protocol

HANG_S = 0.05  # of this thread's own CPU time: a busy machine is no hang
GROWTH_KB = 32_768  # resident memory may rise by this much after the first tenth of the run
INTERESTING = (
    b"\x00",
    b"\xff",
    b"\r\n",
    b"\r\n\r\n",
    b" ",
    b",",
    b";",
    b'"',
    b"<",
    b">",
    b"=",
    b":",
    b"%",
    b"-1",
    b"4294967296",
)


class Target(Protocol):
    """What is fuzzed.

    seeds:   real inputs, to be damaged.
    refused: the errors that may be raised for bad input; any other exception is a finding.
    """

    seeds: Sequence[bytes]
    refused: tuple[type[Exception], ...]

    def feed(self, data: bytes) -> None:
        """Take one input. An AssertionError says that what came of it is wrong."""

    def settle(self) -> None:
        """Let go of everything, and assert that nothing is left; called now and then, and at the end."""


class Finding(Exception):
    """An input that broke something: `data`, with what it did in the text."""

    def __init__(self, what: str, data: bytes) -> None:
        super().__init__(what)
        self.data = data


@dataclass(frozen=True)
class Report:
    """inputs fed, how many the target refused, the slowest in ms, and the kB that memory grew by."""

    inputs: int
    refused: int
    slowest_ms: float
    grown_kb: int
    inputs_per_s: int

    def as_json(self) -> dict[str, float]:
        return asdict(self)


class Mutator:
    """Damages real inputs, the same way for the same seed."""

    def __init__(self, seeds: Sequence[bytes], seed: int) -> None:
        self._seeds = seeds
        self._dice = Random(seed)

    def next(self) -> bytes:
        """Return the next input: one to six damages to one of the real ones."""
        dice = self._dice
        data = bytearray(dice.choice(self._seeds))
        for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
            self._damage(data)
        return bytes(data)

    def _damage(self, data: bytearray) -> None:
        dice, at = self._dice, self._dice.randrange(len(data) + 1)
        end = min(len(data), at + dice.choice((1, 1, 2, 4, 16, 64)))
        match dice.randrange(8):
            case 0:
                del data[at:end]
            case 1:
                data[at:at] = data[at:end] * dice.choice((1, 2, 30))
            case 2:
                data[at:at] = dice.choice(INTERESTING)
            case 3:
                data[at:end] = dice.choice(INTERESTING)
            case 4:
                data[at:end] = dice.randbytes(end - at)
            case 5 if at < len(data):
                data[at] ^= 1 << dice.randrange(8)
            case 6:
                other = dice.choice(self._seeds)
                start = dice.randrange(len(other) + 1)
                data[at:end] = other[start : start + dice.choice((4, 40, 400))]
            case _:
                self._swap_lines(data)

    def _swap_lines(self, data: bytearray) -> None:
        lines = bytes(data).split(b"\r\n")
        one, other = self._dice.randrange(len(lines)), self._dice.randrange(len(lines))
        lines[one], lines[other] = lines[other], lines[one]
        data[:] = b"\r\n".join(lines)


def run(target: Target, *, count: int, seed: int, settle_every: int = 1_000) -> Report:
    """Feed `count` inputs.

    Raises: Finding for the first crash, hang (50 ms of CPU time) or growth (32 MB, or what `settle` asserts).
    """
    gc.freeze()  # what others keep in this process is not walked through in the middle of an input
    try:
        return _run(target, Mutator(target.seeds, seed), count, settle_every)
    finally:
        gc.unfreeze()


def _run(target: Target, mutator: Mutator, count: int, settle_every: int) -> Report:
    refused, slowest, memory, begun = 0, 0.0, 0, time.perf_counter()
    for number in range(count):
        data = mutator.next()
        started = time.thread_time()
        refused += _feed(target, data)
        took = time.thread_time() - started
        slowest = max(slowest, took)
        if took > HANG_S:
            raise Finding(f"input {number} took {took * 1000:.0f} ms", data)
        if number % settle_every == settle_every - 1 or number == count - 1:
            _settle(target, data)
        if number == count // 10:
            memory = _resident_kb()
    grown = max(0, _resident_kb() - memory)
    if grown > GROWTH_KB:
        raise Finding(f"memory grew by {grown} kB", b"")
    speed = int(count / (time.perf_counter() - begun))
    return Report(count, refused, round(slowest * 1000, 2), grown, speed)


def _feed(target: Target, data: bytes) -> int:
    """Return 1 where the target refused the input as it may."""
    try:
        target.feed(data)
    except target.refused:
        return 1
    except Exception as error:
        raise Finding(f"{type(error).__name__}: {error}", data) from error
    return 0


def _settle(target: Target, data: bytes) -> None:
    try:
        target.settle()
    except Exception as error:
        raise Finding(f"after this input: {type(error).__name__}: {error}", data) from error


def _resident_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
