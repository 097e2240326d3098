"""What one sender's next calls will say, made before they are dialled: the first that are ready go first."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import structlog

from gateway.clock import now_ms
from gateway.errors import GatewayError
from gateway.errors.speech import SpeechUnavailable
from gateway.errors.store import StoreUnavailable
from gateway.model.call import Call
from gateway.sms.pipeline import Hold, Reject
from gateway.workers.call_desk import Prepared
from gateway.workers.plan import Planned

_MINUTE_MS: Final = 60_000
Decided: TypeAlias = Mapping[Hold | Reject, list[str]]
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Rendering:
    """A task for each call that is read and not yet dialled. `prepare` is the desk's."""

    prepare: Callable[[Call], Awaitable[Prepared]]
    _tasks: dict[str, asyncio.Task[Prepared]] = field(default_factory=dict)

    def begin(self, sends: Sequence[Planned[Call]]) -> bool:
        """Have these rendered, and no others any more. Returns whether any of them is done."""
        self.forget_others([planned.thing.id for planned in sends])
        for planned in sends:
            if planned.thing.id not in self._tasks:
                self._tasks[planned.thing.id] = asyncio.create_task(self._prepared(planned.thing))
        return any(task.done() for task in self._tasks.values())

    async def _prepared(self, call: Call) -> Prepared:
        return await self.prepare(call)

    async def done(self, sends: Sequence[Planned[Call]]) -> tuple[list[tuple[Planned[Call], Prepared]], Decided]:
        """Wait for the first of these. Returns those that are rendered, and what becomes of those that cannot be."""
        tasks = [self._tasks[planned.thing.id] for planned in sends]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        ready: list[tuple[Planned[Call], Prepared]] = []
        others: defaultdict[Hold | Reject, list[str]] = defaultdict(list)
        for planned, task in zip(sends, tasks, strict=True):
            if not task.done():
                continue
            if (error := task.exception()) is None:
                ready.append((planned, task.result()))
            else:
                others[unready(error)].append(planned.thing.id)
                del self._tasks[planned.thing.id]
        return ready, others

    def forget(self, call_id: str) -> None:
        """It is being dialled."""
        self._tasks.pop(call_id, None)

    def forget_others(self, keep: Iterable[str]) -> None:
        """Stop rendering what is not to be dialled after all."""
        for call_id in self._tasks.keys() - set(keep):
            self._tasks.pop(call_id).cancel()


def unready(error: BaseException) -> Hold | Reject:
    """What becomes of a call that cannot be rendered: it waits for the speech engines, or can never be made."""
    if isinstance(error, SpeechUnavailable | StoreUnavailable):
        return Hold(error.slug, now_ms() + _MINUTE_MS)
    if isinstance(error, GatewayError):
        return Reject("failed", error.slug)
    _log.error("call_cannot_be_prepared", error=repr(error))
    return Reject("failed", "internal")
