"""Who runs which test, and when: most side by side, then calls by twos, then what judges time on the wire, alone.

`make test` runs pytest with several workers (pytest-xdist). All of them take from one queue until it is empty, what takes longest
first. Then all but two leave, which share the rooms that mostly wait for a telephone to ring; then one of them leaves, and the last one
runs what has the machine to itself: tests that measure milliseconds, and those that use every core.
Without workers (plain `pytest`) everything runs one by one, in the order in which it was found.
"""

import sys
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

ALONE: Final = (
    "tests/chaos/",
    "tests/journeys/",
    "tests/limits/test_wire.py",
    "tests/net/test_rtp_engine.py",
    "tests/test_benchmarks.py",
    "tests/workers/test_fairness.py",
    "tests/workers/test_two_workers.py",
)
BY_TWOS: Final = ("tests/calls/", "tests/media/", "tests/net/", "tests/peers/", "tests/practice/test_phone.py")
WORKERS: Final = (sys.maxsize, 2, 1)  # how many run each stage, at most
FIRST: Final = ("tests/simulation/",)
_HANDED_OUT: Final = 4  # tests at once; a worker begins its last one only when it has the next


class Stages:
    """A scheduler of pytest-xdist: see xdist.scheduler.Scheduling, whose methods these are."""

    def __init__(self, workers: int) -> None:
        """`workers`: how many are to come before anything begins."""
        self._workers = workers
        self._found: dict[WorkerController, Sequence[str]] = {}
        self._has: dict[WorkerController, list[int]] = {}
        self._tests: Sequence[str] | None = None
        self._stages: tuple[deque[int], ...] = (deque(), deque(), deque())

    @property
    def nodes(self) -> "list[WorkerController]":
        return list(self._has)

    @property
    def collection_is_completed(self) -> bool:
        return len(self._found) >= self._workers

    @property
    def tests_finished(self) -> bool:
        """Nothing is left to be handed out, and no worker waits for more before it begins its last test."""
        left = any(self._stages)
        return self.collection_is_completed and not left and all(len(has) < 2 for has in self._has.values())

    @property
    def has_pending(self) -> bool:
        return any(self._stages) or any(self._has.values())

    def add_node(self, node: "WorkerController") -> None:
        self._has[node] = []

    def add_node_collection(self, node: "WorkerController", collection: Sequence[str]) -> None:
        if self._tests is not None and collection != self._tests:
            raise RuntimeError("a worker that stands in for another found other tests")
        self._found[node] = collection

    def schedule(self) -> None:
        if self._tests is None:
            first, *others = self._found.values()
            if differing := {test for each in others for test in {*each} ^ {*first}}:
                raise RuntimeError(
                    f"ids of tests must not hang on chance, but the workers found {sorted(differing)[:4]}"
                )
            self._tests = first
            self._put_back(sorted(range(len(first)), key=lambda each: not first[each].startswith(FIRST)))
        self._hand_out()

    def mark_test_complete(self, node: "WorkerController", item_index: int, duration: float = 0) -> None:
        self._has[node].remove(item_index)
        self._hand_out()

    def mark_test_pending(self, item: str) -> None:
        assert self._tests is not None
        self._put_back([self._tests.index(item)])
        self._hand_out()

    def remove_pending_tests_from_node(self, node: "WorkerController", indices: Sequence[int]) -> None:
        raise NotImplementedError  # nothing is ever taken back from a worker

    def remove_node(self, node: "WorkerController") -> str | None:
        """One has left, or has died in the test that is given back."""
        left = self._has.pop(node)
        if self._tests is None:
            return None
        self._put_back(left[1:])
        self._hand_out()
        return self._tests[left[0]] if left else None

    def _put_back(self, tests: Sequence[int]) -> None:
        assert self._tests is not None
        for each in tests:
            test = self._tests[each]
            stage = 2 if test.startswith(ALONE) else 1 if test.startswith(BY_TWOS) else 0
            self._stages[stage].append(each)

    def _hand_out(self) -> None:
        """Give tests of the first stage that has some to as many as may run it, once the others have left."""
        stage, at_most = next(((tests, n) for tests, n in zip(self._stages, WORKERS, strict=True) if tests), (None, 0))
        for place, node in enumerate(self._has):
            if node.shutting_down:
                continue
            if stage is None or place >= at_most:
                node.shutdown()  # when it has run what it has
            elif stage and len(self._has) <= at_most:
                self._give(node, stage)

    def _give(self, node: "WorkerController", queue: deque[int]) -> None:
        if len(self._has[node]) >= 2:
            return
        some = [queue.popleft() for _ in range(min(_HANDED_OUT, len(queue)))]
        self._has[node] += some
        node.send_runtest_some(some)
