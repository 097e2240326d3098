"""Child processes that end with their parent, however it ended. Linux only; elsewhere they notice by a closed pipe."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def end_with_parent(signum: int = signal.SIGKILL) -> None:
    """Called in the child: the kernel sends it `signum` when its parent dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signum)


def before_exec(signum: int = signal.SIGTERM) -> Callable[[], None] | None:
    """For `preexec_fn` of a child that is not ours to change. Start it on the main thread: it would end with any other.

    What it needs is loaded here, before the fork: after it only the call itself is safe.
    """
    if sys.platform != "linux":
        return None
    libc, parent = ctypes.CDLL(None), os.getpid()

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signum)
        if os.getppid() != parent:  # the parent died before the call
            os._exit(1)

    return prepare
