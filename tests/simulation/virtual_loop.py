"""An event loop without sockets, threads or waiting: time jumps to the next timer, and chance orders what is ready.

Everything a seed decides is decided by dice made from it, so a run can be repeated exactly. What belongs to one
process of the simulation carries it in its context, which tasks and timers inherit; when that process is killed,
nothing of it runs any more: no `finally`, no callback, as after kill -9.
"""

import asyncio
import contextvars
import heapq
import itertools
from collections import deque
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


class Turn:
    """One callback, ready or waiting for its time, and whose it is: an asyncio.Handle without what nobody here needs."""

    __slots__ = ("args", "callback", "cancelled", "context", "process")

    def __init__(self, callback: Any, args: tuple[Any, ...], context: contextvars.Context | None) -> None:
        if context is None:
            context = contextvars.copy_context()
        self.callback = callback
        self.args = args
        self.context = context
        self.process: Mortal | None = context.get(process_of)
        self.cancelled = False

    def cancel(self) -> None:
        """See asyncio.Handle."""
        self.cancelled = True


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs one history. `time()` is virtual; nothing may leave the loop.

    A third of a history was spent in what surrounds its turns, so these are as plain as asyncio lets them be.
    """

    def __init__(self, dice: Random, begins_s: float = 1_000.0) -> None:
        super().__init__()
        self.now_s = begins_s
        self.steps = 0
        self._timers = 0
        self._dice = dice
        self._turns: deque[Turn] = deque()
        self._later: list[tuple[float, int, Turn]] = []
        self._over = False
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
        """See asyncio.AbstractEventLoop."""
        turn = Turn(callback, args, context)
        self._turns.append(turn)
        return turn

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        """The same."""
        return self.call_at(self.now_s + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        """The same. What is cancelled is thrown away when its time comes."""
        turn = Turn(callback, args, context)
        self._timers += 1
        heapq.heappush(self._later, (when, self._timers, turn))  # no two are alike, so no turn is compared
        return turn

    def create_future(self) -> "asyncio.Future[Any]":
        """The same."""
        return asyncio.Future(loop=self)

    def stop(self) -> None:
        """The same."""
        self._over = True

    def run_until_complete(self, future: Any) -> Any:
        """Run until this task is done; returns what it returned. Raises Hang."""
        future.add_done_callback(lambda _done: self.stop())
        asyncio.events._set_running_loop(self)
        try:
            while not self._over:
                self._take_a_turn()
        finally:
            asyncio.events._set_running_loop(None)
        return future.result()

    def _take_a_turn(self) -> None:
        turns = self._turns
        if not turns:
            self._pass_time()
        if len(turns) > 1:
            turns.rotate(-int(self._dice.random() * len(turns)))
        turn = turns.popleft()
        if turn.cancelled:
            return
        process = turn.process
        if process is not None:
            if process.dead:
                return
            if process.backlog is not None:
                process.backlog.append(turn)
                return
            process.stepped()
            if process.dead:  # killed between two of its turns
                return
        self.steps += 1
        if self.steps > _MOST_STEPS:
            raise Hang("spins")
        try:
            turn.context.run(turn.callback, *turn.args)
        except Exception as error:  # noqa: BLE001 - as asyncio does
            self.call_exception_handler({"message": f"in {turn.callback!r}", "exception": error})

    def _pass_time(self) -> None:
        later = self._later
        while later and self._is_void(later[0][2]):
            heapq.heappop(later)
        if not later:
            raise Hang("nothing is ready and no timer is set")
        self.now_s = max(self.now_s, later[0][0])
        if self._dice.random() < _LATE_SHARE:
            self.now_s += self._dice.random() * _LATE_S
        while later and later[0][0] <= self.now_s:
            self._turns.append(heapq.heappop(later)[2])

    @staticmethod
    def _is_void(turn: Turn) -> bool:
        return turn.cancelled or (turn.process is not None and turn.process.dead)

    def resume(self, process: Mortal) -> None:
        """SIGCONT."""
        self._turns.extend(process.backlog or ())
        process.backlog = None

    def run_in_executor(self, *_: Any, **__: Any) -> NoReturn:
        """There are no threads here."""
        raise AssertionError("the simulation has no threads")

    def _process_events(self, event_list: Any) -> None:
        """There are no sockets."""

    def _write_to_self(self) -> None:
        """Nobody else could wake it."""
