"""An event loop without sockets, threads or waiting: time jumps to the next timer, and chance orders what is ready.

Everything a seed decides is decided by dice made from it, so a run can be repeated exactly. What belongs to one
process of the simulation carries it in its context, which tasks and timers inherit; when that process is killed,
nothing of it runs any more: no `finally`, no callback, as after kill -9.
"""

import asyncio
import contextvars
import heapq
import itertools
from random import Random
from typing import Any, NoReturn, Protocol

_LATE_SHARE = 0.15  # of the timers come late, as on a machine that has other work
_LATE_S = 0.004
_MOST_STEPS = 60_000  # a history that takes more is one that spins


class Mortal(Protocol):
    """A process: `dead` once it was killed. `stepped` is called before each turn of its.

    backlog: while it is stopped (SIGSTOP), what it would do; None while it runs.
    """

    dead: bool
    backlog: list[Any] | None

    def stepped(self) -> None: ...


process_of: contextvars.ContextVar[Mortal | None] = contextvars.ContextVar("process", default=None)


class Hang(Exception):
    """Nothing is ready, and no timer is set: whoever waits does so for ever. Or: it spins without time going on."""


class Killed(BaseException):
    """The process of this task died at this very line."""


class NumberedTask(asyncio.Task[Any]):
    """A task whose place in a set comes from its number, not from where it lies in memory."""

    _numbers = itertools.count()

    def __hash__(self) -> int:
        number: int | None = getattr(self, "number", None)
        if number is None:
            self.number = number = next(NumberedTask._numbers)
        return number

    @classmethod
    def begin(cls) -> None:
        """Count from the beginning."""
        cls._numbers = itertools.count()


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs one history. `time()` is virtual; nothing may leave the loop."""

    def __init__(self, dice: Random, begins_s: float = 1_000.0) -> None:
        super().__init__()
        self.now_s = begins_s
        self.steps = 0
        self._timers = 0
        self._dice = dice
        self._ready: Any
        self._scheduled: Any
        self.born: list[asyncio.Task[Any]] = []  # all of them: none may be collected, which would run its `finally`
        self.set_task_factory(self._bear)
        NumberedTask.begin()

    def _bear(self, loop: Any, coroutine: Any, context: Any = None) -> Any:
        task = NumberedTask(coroutine, loop=loop, context=context)
        self.born.append(task)
        return task

    def time(self) -> float:
        """Virtual seconds; they pass only while nothing is ready."""
        return self.now_s

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        """As BaseEventLoop's, without its checks: a third of a history is spent in what surrounds its turns."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        """The same."""
        return self.call_at(self.now_s + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        """The same."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._timers += 1
        heapq.heappush(self._scheduled, (when, self._timers, timer))  # no two are alike, so no timer is compared
        return timer

    def _timer_handle_cancelled(self, handle: Any) -> None:
        """It is thrown away when its time comes."""

    def _run_once(self) -> None:
        ready = self._ready
        if not ready:
            self._pass_time()
        if len(ready) > 1:
            ready.rotate(-int(self._dice.random() * len(ready)))
        handle = ready.popleft()
        if handle._cancelled:
            return
        process = handle._context.get(process_of)
        if process is not None:
            if process.dead:
                return
            if process.backlog is not None:
                process.backlog.append(handle)
                return
            process.stepped()
            if process.dead:  # killed between two of its turns
                return
        self.steps += 1
        if self.steps > _MOST_STEPS:
            raise Hang("spins")
        handle._run()

    def _pass_time(self) -> None:
        scheduled = self._scheduled
        while scheduled and self._is_void(scheduled[0][2]):
            heapq.heappop(scheduled)
        if not scheduled:
            raise Hang("nothing is ready and no timer is set")
        self.now_s = max(self.now_s, scheduled[0][0])
        if self._dice.random() < _LATE_SHARE:
            self.now_s += self._dice.random() * _LATE_S
        while scheduled and scheduled[0][0] <= self.now_s:
            self._ready.append(heapq.heappop(scheduled)[2])

    @staticmethod
    def _is_void(handle: Any) -> bool:
        process = handle._context.get(process_of) if not handle._cancelled else None
        return handle._cancelled or (process is not None and process.dead)

    def resume(self, process: Mortal) -> None:
        """SIGCONT."""
        self._ready.extend(process.backlog or ())
        process.backlog = None

    def run_in_executor(self, *_: Any, **__: Any) -> NoReturn:
        """There are no threads here."""
        raise AssertionError("the simulation has no threads")

    def _process_events(self, event_list: Any) -> None:
        """There are no sockets."""

    def _write_to_self(self) -> None:
        """Nobody else could wake it."""
