"""Putting people through where the carrier does not: a second call over the same trunk, joined with the first."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import structlog

from gateway import steps
from gateway.carriers.voice_base import Ended, Leg, LegEvent, PickedUp, TrunkRoad, Unanswered
from gateway.clock import monotonic, new_id
from gateway.errors.limits import RedisAway
from gateway.errors.store import StoreUnavailable
from gateway.model.call import Call
from gateway.model.limit import Limit, Refused, Slot
from gateway.model.outcome import NotSent
from gateway.voice.state import Transfer
from gateway.workers.call_desk import Desk
from gateway.workers.slots import for_slot, now_us

HandedResult = Literal["transferred", "busy", "no_answer", "failed", "unknown"]
_LINE_S: Final = 5.0  # how long a free channel and a slot are waited for
_AGAIN_S: Final = 0.1
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Bridge:
    """Puts the person of one call through. The second call takes a channel and a slot of the trunk, as any other."""

    desk: Desk
    road: TrunkRoad
    call: Call

    async def hold(self, leg: Leg, wanted: Transfer, tell: Callable[[HandedResult], None]) -> None:
        """Call the number, tell how that went, and hold both calls until one ends: then the other ends, too.

        Cancelled when the first call is over.
        """
        holder = new_id("leg")
        limits = self.desk.limits_of(self.road, self.call.mode)
        slot = await self._line(limits, holder)
        if slot is None:
            tell("failed")
            return
        given_up = asyncio.Event()
        placing = asyncio.create_task(
            self.road.carrier.bridge(self.call, wanted, leg, lambda: self._ready(slot, given_up)),
            name="call-bridge-placing",
        )
        try:
            second = await asyncio.shield(placing)  # half placed, it could not be hung up
            if isinstance(second, NotSent):
                tell("failed")
            else:
                steps.reached("bridge:after")
                self.desk.channels.hold(holder, limits, second.hangup)
                await _held(leg, second, wanted.ring_s, tell)
        finally:
            given_up.set()
            closing = asyncio.create_task(self._close(placing, slot, holder), name="call-bridge-closing")
            self.desk.tasks.add(closing)
            closing.add_done_callback(self.desk.tasks.discard)

    async def _line(self, limits: tuple[Limit, ...], holder: str) -> Slot | None:
        """A channel and a slot; None where the trunk has none to spare."""
        until = monotonic() + _LINE_S
        while monotonic() < until:
            try:
                asked_us = now_us()
                taken = await self.desk.counters.take(limits, [1], ahead_us=0, holders=[holder])
            except (RedisAway, StoreUnavailable, TimeoutError) as error:
                _log.error("cannot_bridge", error=str(error))
                return None
            if not isinstance(taken, Refused) and taken.granted:
                self.desk.channels.hold(holder, limits)
                self.desk.plan.redis_clock.observe(taken.now_us, now_us(), asked_us)
                return taken.granted[0]
            await asyncio.sleep(_AGAIN_S)
        return None

    async def _ready(self, slot: Slot, given_up: asyncio.Event) -> bool:
        clocks = [self.desk.plan.clock(limit) for limit in slot.rates]
        await for_slot(self.desk.plan.redis_clock.local(slot.at_us), clocks)
        if given_up.is_set():
            return False
        steps.reached("bridge:before")
        self.desk.wrote(slot)
        return True

    async def _close(self, placing: asyncio.Task[Leg | NotSent], slot: Slot, holder: str) -> None:
        await asyncio.wait([placing])
        self.desk.counters.unused(slot)
        if placing.exception() is None and not isinstance(second := placing.result(), NotSent):
            second.hangup()
            await second.over()
        await self.desk.channels.release(holder)


async def _held(first: Leg, second: Leg, ring_s: float, tell: Callable[[HandedResult], None]) -> None:
    events: asyncio.Queue[LegEvent] = asyncio.Queue()
    second.listen(events.put_nowait)
    first.ring_back(on=True)
    result = await _answered(second, events, ring_s)
    first.ring_back(on=False)
    tell(result)
    if result != "transferred":
        return
    first.join(second)
    while not isinstance(await events.get(), Ended):
        pass
    first.hangup()


async def _answered(second: Leg, events: asyncio.Queue[LegEvent], ring_s: float) -> HandedResult:
    """Wait until the number takes the call, or does not."""
    deadline: float | None = monotonic() + ring_s
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                event = await events.get()
        except TimeoutError:
            deadline = None
            second.hangup()
            continue
        match event:
            case PickedUp():
                return "transferred"
            case Unanswered(outcome="busy"):
                return "busy"
            case Unanswered(outcome="no_answer"):
                return "no_answer"
            case Unanswered() | Ended():
                return "failed"
