"""Wakes tasks at a microsecond. Timers of uvloop and of epoll count in milliseconds: by them a slot is met one late.

One timer of the kernel's (timerfd_create(2)) for all that wait; Linux only.
"""

import asyncio
import contextlib
import ctypes
import heapq
import itertools
import os
from functools import lru_cache
from typing import Final

from gateway.clock import monotonic

_CLOCK_MONOTONIC: Final = 1  # time.h; what time.monotonic() reads
_ABSOLUTE: Final = 1  # TFD_TIMER_ABSTIME
_FLAGS: Final = os.O_NONBLOCK | os.O_CLOEXEC


class _Spec(ctypes.Structure):
    """`struct itimerspec`: what it is repeated by, and when it rings."""

    _fields_ = (
        ("again_s", ctypes.c_long),
        ("again_ns", ctypes.c_long),
        ("at_s", ctypes.c_long),
        ("at_ns", ctypes.c_long),
    )


class Alarm:
    """One an event loop. It holds a file descriptor while somebody waits, and none else."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []  # a heap, by when
        self._order = itertools.count()
        self._timer = -1

    async def until(self, at_us: int) -> None:
        """Return at `at_us` of the monotonic clock, in us, or as soon after as the loop comes to it."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        entry = (at_us, next(self._order), future)
        if self._timer < 0:  # first of all: without a descriptor nobody waits, and nobody is left behind to wait for
            self._timer = _create()
            loop.add_reader(self._timer, self._ring, loop)
        heapq.heappush(self._waiting, entry)
        if self._waiting[0] is entry:
            _set(self._timer, at_us)
        try:
            await future
        except asyncio.CancelledError:
            self._leave(entry, loop)
            raise

    def _leave(self, entry: tuple[int, int, asyncio.Future[None]], loop: asyncio.AbstractEventLoop) -> None:
        if entry in self._waiting:
            self._waiting.remove(entry)
            heapq.heapify(self._waiting)
            self._wait_for_next(loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(BlockingIOError):  # it was set anew after it rang
            os.read(self._timer, 8)
        now_us = int(monotonic() * 1_000_000)
        while self._waiting and self._waiting[0][0] <= now_us:
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(None)
        self._wait_for_next(loop)

    def _wait_for_next(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._waiting:
            _set(self._timer, self._waiting[0][0])
        elif self._timer >= 0:
            loop.remove_reader(self._timer)
            os.close(self._timer)
            self._timer = -1


@lru_cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _create() -> int:
    timer: int = _libc().timerfd_create(_CLOCK_MONOTONIC, _FLAGS)
    if timer < 0:
        raise OSError(ctypes.get_errno(), "timerfd_create")
    return timer


def _set(timer: int, at_us: int) -> None:
    seconds, micros = divmod(at_us, 1_000_000)
    spec = _Spec(0, 0, seconds, micros * 1_000 + 1_000)  # rounded up: `at_us` has come when it rings
    if _libc().timerfd_settime(timer, _ABSOLUTE, ctypes.byref(spec), None):
        raise OSError(ctypes.get_errno(), "timerfd_settime")
