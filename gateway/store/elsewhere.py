"""What one process tells the others that share its PostgreSQL: wake up; take back what has not left yet.

A wake-up may be lost, since everybody looks at the database now and then. A recall may not: it is said again until each
holder that was asked has answered, or cannot write any more, because its beat stood still for the length of a lease.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, get_args

import orjson
import structlog

from gateway.clock import monotonic, new_id, now_ms
from gateway.errors.store import StoreUnavailable
from gateway.store import criteria, leases, recall
from gateway.store.bus import Bus
from gateway.store.criteria import Told
from gateway.store.database import Database
from gateway.store.leases import LEASE_S, Stillness
from gateway.store.signals import Signals, Topic

_WAKE: Final = "gateway_wake"
_RECALL: Final = "gateway_recall"
_RECALLED: Final = "gateway_recalled"
_GATHER_S: Final = 0.02  # wake-ups that come together are one
_AGAIN_S: Final = 0.5
_PATIENCE_S: Final = 3.0  # then whoever has not answered is no holder any more
_IDS: Final = 150  # a word; PostgreSQL takes 8,000 bytes
_REMEMBERED: Final = 256  # recalls that were answered, in case the answer was lost
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Asked:
    """A recall that waits for answers."""

    missing: set[int]
    ids: list[str] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)


class OtherProcesses:
    """The bus as `Signals.elsewhere`."""

    def __init__(
        self,
        database: Database,
        signals: Signals,
        bus: Bus,
        *,
        lease_s: float = LEASE_S,
        patience_s: float = _PATIENCE_S,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._database = database
        self._signals = signals
        self._bus = bus
        self._lease_s = lease_s
        self._patience_s = patience_s
        self._clock = clock
        self._me = new_id("process")
        self._topics: set[Topic] = set()
        self._asked: dict[str, _Asked] = {}
        self._answers: OrderedDict[str, asyncio.Task[list[str]]] = OrderedDict()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Listen, and be what `signals` speaks to."""
        await self._bus.subscribe(_WAKE, self._heard_wake, self._missed)
        await self._bus.subscribe(_RECALL, self._heard_recall)
        await self._bus.subscribe(_RECALLED, self._heard_recalled)
        self._signals.elsewhere = self

    async def stop(self) -> None:
        """Say nothing more."""
        self._signals.elsewhere = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- wake-ups

    def wake(self, topic: Topic) -> None:
        """Wake the others, soon."""
        if not self._topics:
            self._begin(self._wake())
        self._topics.add(topic)

    async def _wake(self) -> None:
        await asyncio.sleep(_GATHER_S)
        topics, self._topics = self._topics, set()
        for topic in topics:
            with contextlib.suppress(StoreUnavailable):
                await self._bus.publish(_WAKE, f"{self._me} {topic}")

    def _heard_wake(self, payload: str) -> None:
        who, _, topic = payload.partition(" ")
        if who != self._me and topic in get_args(Topic):
            self._signals.wake_here(topic)  # type: ignore[arg-type]  # one of them, as was just seen

    def _missed(self) -> None:
        for topic in get_args(Topic):
            self._signals.wake_here(topic)

    # --- asking

    async def recall(self, criterion: Told, holders: set[int]) -> list[str]:
        """Have these holders take back and settle what meets `criterion`; see `Elsewhere`."""
        recall_id = new_id("recall")
        asked = self._asked[recall_id] = _Asked(set(holders))
        word = {"id": recall_id, "holders": sorted(holders), "criterion": criteria.dumps(criterion)}
        stillness, began = Stillness(self._lease_s), self._clock()
        try:
            while asked.missing:
                with contextlib.suppress(StoreUnavailable):
                    await self._bus.publish(_RECALL, orjson.dumps(word).decode())
                await self._wait(asked)
                with contextlib.suppress(StoreUnavailable):
                    await self._do_without(asked, stillness, is_late=self._clock() - began > self._patience_s)
        finally:
            del self._asked[recall_id]
        return list(dict.fromkeys(asked.ids))  # an answer may come twice

    async def _wait(self, asked: _Asked) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_AGAIN_S):
                while asked.missing:
                    asked.heard.clear()
                    await asked.heard.wait()

    async def _do_without(self, asked: _Asked, stillness: Stillness, *, is_late: bool) -> None:
        """Wait no more for those that cannot write any more; see that those that do not answer soon cannot either."""
        if not asked.missing:
            return
        beats = await self._database.read(leases.beats)
        gone = stillness.look(beats, self._clock())
        asked.missing &= beats.keys() - gone.keys()
        if is_late and asked.missing:
            _log.error("no_answer_to_a_recall", holders=sorted(asked.missing))
            await self._database.aside(lambda tx: leases.condemn(tx, asked.missing))

    def _heard_recalled(self, payload: str) -> None:
        answer = orjson.loads(payload)
        asked = self._asked.get(answer["id"])
        if asked is None or answer["holder"] not in asked.missing:
            return
        asked.ids += answer["ids"]
        if answer["is_last"]:
            asked.missing.discard(answer["holder"])
            asked.heard.set()

    # --- answering

    def _heard_recall(self, payload: str) -> None:
        """From this moment on no byte of it leaves; the answer follows when that is on disk."""
        word = orjson.loads(payload)
        if self._signals.holder not in word["holders"]:
            return
        criterion = criteria.loads(word["criterion"])
        if word["id"] not in self._answers:
            taken = self._signals.recall(criterion)
            self._answers[word["id"]] = self._begin(self._settle(criterion, taken))
            while len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)
        self._begin(self._answer(word["id"], self._signals.holder, self._answers[word["id"]]))

    async def _settle(self, criterion: Told, taken: list[str]) -> list[str]:
        with self._signals.until_kept(taken):
            while taken:
                try:
                    return await self._database.write(
                        lambda tx: recall.settle(tx, criterion, taken, now_ms(), self._signals.holders)
                    )
                except StoreUnavailable as error:
                    _log.error("cannot_settle_a_recall", error=str(error))
                    await asyncio.sleep(_AGAIN_S)
        return []

    async def _answer(self, recall_id: str, holder: int, settled: asyncio.Task[list[str]]) -> None:
        ids = await asyncio.shield(settled)
        parts = [ids[start : start + _IDS] for start in range(0, len(ids), _IDS)] or [[]]
        with contextlib.suppress(StoreUnavailable):  # it is asked again
            for number, part in enumerate(parts, 1):
                word = {"id": recall_id, "holder": holder, "ids": part, "is_last": number == len(parts)}
                await self._bus.publish(_RECALLED, orjson.dumps(word).decode())

    def _begin(self, coroutine: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
