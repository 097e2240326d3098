"""From a grant to what the carrier said: commit `sending` behind the fence, write each text at its slot, settle it."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog

from gateway import steps
from gateway.carriers.base import SmsCarrier
from gateway.clock import monotonic, now_ms
from gateway.errors.store import StoreUnavailable
from gateway.model.limit import Granted, Slot
from gateway.model.message import Message
from gateway.model.outcome import Accepted, NotSent, Outcome, Unknown
from gateway.model.sender import Sender
from gateway.store import lives
from gateway.store.database import Tx
from gateway.workers.carrier_health import CarrierHealth
from gateway.workers.carrier_queue import CarrierQueue
from gateway.workers.leases import Lease
from gateway.workers.offer import Offer
from gateway.workers.plan import Planned
from gateway.workers.settlement import Result
from gateway.workers.slots import now_us
from gateway.workers.text_desk import TextDesk

_BEHIND_US: Final = 200_000
_GLANCE_S: Final = 0.02
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a batch may leave by: its sender, the gate's answer, the road and how that fares."""

    sender: Sender
    granted: Granted
    carrier: SmsCarrier
    health: CarrierHealth


@dataclass(slots=True)
class Dispatch:
    """Of one sender, under one lease."""

    desk: TextDesk
    lease: Lease
    queue: CarrierQueue
    offers: set[asyncio.Task[None]] = field(default_factory=set)
    unwritten: deque[Offer] = field(default_factory=deque)  # by slots; those that were written go as they are met

    async def keep_up(self) -> None:
        """Return when what is committed leaves within 0.2 s of its slots: more of it would only leave still later."""
        while self._behind_us() > _BEHIND_US:  # noqa: ASYNC110 - nothing happens when time passes
            await asyncio.sleep(_GLANCE_S)

    def _behind_us(self) -> int:
        plan, waiting = self.desk.plan, self.unwritten
        while waiting and not plan.holds(waiting[0].planned):
            waiting.popleft()
        return now_us() - plan.redis_clock.local(waiting[0].slot.at_us) if waiting else 0

    async def commit(self, sends: Sequence[Planned[Message]], grant: Grant) -> None:
        """Commit as many of `sends` as slots were granted, and offer each. Raises StoreUnavailable."""
        trial = grant.health.begin()
        offered: set[int] = set()
        try:
            offered = await self._commit(sends, grant, trial)
        except StoreUnavailable:
            grant.health.begun_in_vain()
            raise
        finally:
            self.desk.counters.unused(*(slot for slot in grant.granted.granted if slot.place not in offered))

    async def _commit(self, sends: Sequence[Planned[Message]], grant: Grant, trial: int) -> set[int]:
        """Returns the places of the slots that are offered."""
        granted, lease = grant.granted, self.lease
        plan = self.desk.plan
        answered = zip(sends, granted.slots, strict=False)
        pairs = [(planned, slot) for planned, slot in answered if isinstance(slot, Slot)]

        async def work(tx: Tx) -> set[str]:
            if not await lease.fence(tx):
                return set()  # somebody else writes for this sender now
            if not await self.desk.counters.debit(tx, grant.sender, lease.mode, granted):
                return set()  # the counters were rebuilt meanwhile without these, or the limits changed
            # What was taken back while its limits were asked for may be queued again by now, but nobody would write it.
            ids = [planned.thing.id for planned, _ in pairs if plan.holds(planned)]
            where = grant.carrier.name
            return set(await lives.move(tx, "messages", ids, "sending", now_ms(), holder=lease.holder, carrier=where))

        steps.reached("sending:before")
        sending = await self.desk.database.write(work)
        steps.reached("sending:after")
        committed = [pair for pair in pairs if pair[0].thing.id in sending and plan.holds(pair[0])]
        if not committed:
            grant.health.begun_in_vain()
        for planned, slot in committed:
            planned.committed = True
            clocks = [plan.clock(rate) for rate in slot.rates]
            may_write = partial(self._forbidden, grant, trial)
            offer = Offer(planned, slot, plan, clocks, self.desk.metrics, may_write, self.desk.counters.wrote)
            self.unwritten.append(offer)
            self.queue.offered(planned.thing.segments)
            task = asyncio.create_task(self._offer(offer, grant, trial))
            self.offers.add(task)
            task.add_done_callback(self.offers.discard)
        return {slot.place for _, slot in committed}

    def _forbidden(self, grant: Grant, trial: int) -> str:
        if not self.desk.leases.holds(self.lease):
            return "lease_lost"
        return "" if grant.health.may_write(trial) else "circuit_open"

    async def _offer(self, offer: Offer, grant: Grant, trial: int) -> None:
        try:
            outcome = await self._send(offer, grant.carrier)
        finally:
            self.desk.counters.unused(offer.slot)  # of one that was written nothing more leaves
        self.queue.offered(-offer.planned.thing.segments)
        if offer.withheld:
            outcome = NotSent(offer.withheld)
        is_ours = offer.was_taken or self.desk.plan.take_out(offer.planned)
        grant.health.learn(outcome, trial, monotonic())
        if offer.written_ms is not None:
            seconds = max(0, now_ms() - offer.written_ms) / 1000
            self.desk.metrics.send_seconds.labels(grant.carrier.name).observe(seconds)
        if isinstance(outcome, NotSent):
            offer.written_ms = None  # the connection was gone when its slot came
        if isinstance(outcome, Accepted) and offer.written_ms is not None:
            self.queue.took([(offer.written_ms, offer.planned.thing.segments)])
        if is_ours:  # else who recalled it has settled it
            result = Result(
                offer.planned.thing,
                grant.carrier.name,
                outcome,
                None if isinstance(outcome, NotSent) else offer.written_ms,
                offer.slot.debits,
                grant.granted.epoch,
                grant.granted.seq,
                self.lease.holder,
            )
            self.desk.settlement.put(result)

    async def _send(self, offer: Offer, carrier: SmsCarrier) -> Outcome:
        message = offer.planned.thing
        validity_s = self.desk.settings.validity_s
        if message.expires_ms is not None:
            validity_s = min(validity_s, max(1, (message.expires_ms - now_ms()) // 1000))
        try:
            return await carrier.send(
                message, offer.ready, offer.on_written, timeout_s=self.desk.timeout_s, validity_s=validity_s
            )
        except Exception as error:  # noqa: BLE001 - a carrier's bug must not become a second text
            _log.error("carrier_raised", carrier=carrier.name, error=repr(error))
            return Unknown("carrier_error")
