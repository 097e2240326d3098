"""`python -m tests.chaos.gateway …`: the ordinary command line, in a process that kills itself where it is told to.

CHAOS_KILL names a step of gateway/steps.py and how often it is to be reached before: `wire:before@17` lets sixteen texts
go by. Kill -9, so that nothing is put in order.
"""

import ctypes
import os
import signal
import threading

from gateway import steps
from gateway.cli import main
from gateway.workers import alarm


def killer(wanted: str, visits: int) -> None:
    """Die at the visit of that number to that step."""
    lock = threading.Lock()
    left = visits

    def listener(step: str) -> None:
        nonlocal left
        if step != wanted:
            return
        with lock:
            left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    steps.listen(listener)


def keep_timers() -> None:
    """Have slots waited for by the C library itself: libfaketime takes every absolute timer for one of the wall clock's."""
    alarm._libc = lambda: ctypes.CDLL("libc.so.6", use_errno=True)  # type: ignore[assignment]


if __name__ == "__main__":
    keep_timers()
    step, _, visit = os.environ.get("CHAOS_KILL", "").partition("@")
    if step:
        killer(step, int(visit))
    main()
