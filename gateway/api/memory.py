"""What a large request does to memory: no walks through it while it is read, and given back when it is done."""

import contextlib
import ctypes
import gc
import sys
from collections.abc import Iterator
from typing import Final

_LARGE: Final = 10_000  # rows; below it nothing worth the milliseconds is freed


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the collector still while very many objects are made, none of them garbage.

    It would walk all of them again and again: reading 100,000 recipients takes 70 ms without it, 200 ms with it.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def give_back(rows: int) -> None:
    """Hand what a large request used back to the system. Blocks for some milliseconds: call it in a thread.

    The allocator keeps freed blocks for later: after 100,000 recipients that is some tens of megabytes which a
    gateway that then sends for an hour has no use for.
    """
    if rows < _LARGE:
        return
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; musl has none and keeps nothing
        if trim is not None:
            trim(0)
