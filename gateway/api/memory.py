"""Memory given back after a large request."""

import ctypes
import sys
from typing import Final

_LARGE: Final = 10_000  # rows; below it nothing worth the milliseconds is freed


def give_back(rows: int) -> None:
    """Hand what a large request used back to the system. Blocks for some milliseconds: call it in a thread.

    The allocator keeps freed blocks for later: after 100,000 recipients that is some tens of megabytes which a
    gateway that then sends for an hour has no use for.
    """
    if rows < _LARGE:
        return
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; musl has none and keeps nothing
        if trim is not None:
            trim(0)
