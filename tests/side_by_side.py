"""Who runs which test, and when: most side by side, then calls and journeys by twos, then what judges time, alone.

`make test` runs pytest with several workers (pytest-xdist). All of them take from one queue until it is empty, what takes longest
first. Then all but two leave, which share the rooms that mostly wait for a telephone to ring, and then the journeys, a file each, since the
tests of a file share what it started; then one of them leaves, and the last one runs what has the machine to itself: tests that
measure milliseconds, and those that use every core.
Without workers (plain `pytest`) everything runs one by one, in the order in which it was found.
"""

import sys
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

ALONE: Final = (
    "tests/calls/test_outbound_sip.py::test_a_stop_lets_calls_end",
    "tests/calls/test_outbound_sip.py::test_calls_at_once",
    "tests/limits/test_wire.py",
    "tests/net/test_rtp_engine.py",
    "tests/test_benchmarks.py",
    "tests/workers/test_fairness.py",
    "tests/workers/test_two_workers.py",
)
BY_TWOS: Final = ("tests/calls/", "tests/media/", "tests/net/", "tests/peers/", "tests/practice/test_phone.py")
JOURNEYS: Final = ("tests/chaos/", "tests/journeys/")
STAGES: Final = ((), BY_TWOS, JOURNEYS, ALONE)  # what is none of the others is of the first
WORKERS: Final = (sys.maxsize, 2, 2, 1)  # how many run each stage, at most
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
        self._stages: tuple[deque[int], ...] = tuple(deque() for _ in STAGES)

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
        for each in tests:
            self._stages[self._stage_of(each)].append(each)

    def _stage_of(self, test: int) -> int:
        assert self._tests is not None
        name = self._tests[test]
        return next((stage for stage, rooms in enumerate(STAGES) if rooms and name.startswith(rooms)), 0)

    def _hand_out(self) -> None:
        """Give tests of the first stage that has some to as many as may run it, once the others have left.

        It begins when nobody has more of an earlier one than the last test, which waits for the next.
        """
        stage = next((stage for stage, tests in enumerate(self._stages) if tests), None)
        at_most = 0 if stage is None else WORKERS[stage]
        for place, node in enumerate(self._has):
            if node.shutting_down:
                continue
            if place >= at_most:
                node.shutdown()  # when it has run what it has
            elif stage is not None and len(self._has) <= at_most and self._is_over(stage):
                self._give(node, stage)
        if stage is not None and not self._stages[stage]:
            self._hand_out()  # who got nothing of this one may begin the next

    def _is_over(self, stage: int) -> bool:
        """Whether all stages before this one are."""
        return all(sum(self._stage_of(test) < stage for test in has) < 2 for has in self._has.values())

    def _give(self, node: "WorkerController", stage: int) -> None:
        queue = self._stages[stage]
        if len(self._has[node]) >= 2 or not queue:
            return
        some = [queue.popleft()]
        while queue and (
            self._file(queue[0]) == self._file(some[0]) if STAGES[stage] is JOURNEYS else len(some) < _HANDED_OUT
        ):
            some.append(queue.popleft())
        self._has[node] += some
        node.send_runtest_some(some)

    def _file(self, test: int) -> str:
        assert self._tests is not None
        return self._tests[test].partition("::")[0]
