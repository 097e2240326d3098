"""One sender's committed calls on their way out: each waits for its slot, is offered once, and is held to its end."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from gateway import steps
from gateway.carriers.base import Ready
from gateway.carriers.voice_base import Road, TrunkRoad, Unanswered, WebhookRoad
from gateway.clock import monotonic, now_ms
from gateway.model.call import Call
from gateway.model.limit import Granted, Limit, Slot
from gateway.model.outcome import Accepted, NotSent, Refused, Throttled, Unknown
from gateway.workers.call_bridge import Bridge
from gateway.workers.call_desk import Backoff, Desk, Prepared
from gateway.workers.call_record import CallRecord, Spent
from gateway.workers.call_session import CallSession
from gateway.workers.leases import Lease
from gateway.workers.offer import LATE_US
from gateway.workers.plan import Planned
from gateway.workers.slots import for_slot, now_us

# Why a call did not leave, where `why` names it as it is; all else is a carrier that cannot be reached.
_TROUBLES: Final = {
    *("carrier_account", "media_down", "media_limit", "too_many_calls", "trunk_down", "trunk_not_registered"),
}
AHEAD_US: Final = 200_000  # how long before its slot a call may be committed as `dialing`
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Offer:
    """One call that is committed as `dialing`, the slot it was granted, and the limits whose channels it holds.

    was_taken: it is out of the plan, by its own hand: nobody but us settles it from now on.
    is_late:   its slot went by, or the lease was lost: what it took stays spent.
    """

    planned: Planned[Call]
    prepared: Prepared
    slot: Slot
    limits: Sequence[Limit]
    backoff: Backoff
    granted: Granted
    was_taken: bool = field(default=False, init=False)
    is_late: bool = field(default=False, init=False)

    @property
    def call(self) -> Call:
        """The call itself."""
        return self.planned.thing

    @property
    def spent(self) -> Spent | None:
        """What comes back where the carrier turns out not to have the call."""
        return None if self.is_late else Spent(self.slot.debits, self.granted.seq, self.granted.epoch)


@dataclass(frozen=True, slots=True)
class Dialling:
    """Dials what the loop of one sender has committed; a task of the desk's for each call."""

    number: str
    mode: str
    desk: Desk
    lease: Lease

    def begin(self, offer: Offer, road: Road) -> None:
        """Dial one call at its slot; its channel is held already."""
        task = asyncio.create_task(self._dial(offer, road))
        self.desk.tasks.add(task)
        task.add_done_callback(self.desk.tasks.discard)

    def note(self, reason: str, opens_ms: int | None = None) -> None:
        """Say what keeps this sender's queue waiting; empty: nothing."""
        self.desk.signals.note_gate("calls", self.number, self.mode, reason, opens_ms)

    def _ready(self, offer: Offer) -> Ready:
        slot, clocks = offer.slot, [self.desk.plan.clock(limit) for limit in offer.slot.rates]

        async def ready() -> bool:
            slot_us = self.desk.plan.redis_clock.local(slot.at_us)
            await for_slot(slot_us, clocks)
            if not self.desk.leases.holds(self.lease) or now_us() - slot_us > LATE_US:
                offer.is_late = True
                return False  # still in the plan: whoever was to dial it queues it again
            if not self.desk.plan.take_out(offer.planned):
                return False
            offer.was_taken = True
            steps.reached("dial:before")
            self.desk.wrote(slot)
            return True

        return ready

    async def _dial(self, offer: Offer, road: Road) -> None:
        try:
            match road:
                case TrunkRoad():
                    await self._over_trunk(offer, road)
                case WebhookRoad():
                    await self._by_webhook(offer, road)
        except Exception:  # noqa: BLE001 - a fault of ours: the call must end all the same
            _log.exception("dialling_failed", call=offer.call.id)
            await self._give_up(offer)
        finally:
            self.desk.counters.unused(offer.slot)  # of one that was dialled nothing more leaves
            if offer.call.id not in self.desk.elsewhere:
                await self.desk.channels.release(offer.call.id)

    async def _over_trunk(self, offer: Offer, road: TrunkRoad) -> None:
        call = offer.call
        leg = await road.carrier.dial(call, self._ready(offer))
        if isinstance(leg, NotSent):
            await self._not_sent(offer, leg)
            return
        steps.reached("dial:after")
        record = self._record(offer)
        bridge = Bridge(self.desk, road, call)
        session = CallSession(leg, offer.prepared.state, offer.prepared.audio, record, road.ring_timeout_s, bridge)
        self.desk.sessions[call.id] = session
        self.desk.channels.hold(call.id, offer.limits, lambda: session.end("channel_lost"))
        try:
            last = await session.run()
        finally:
            del self.desk.sessions[call.id]
        await self._give_back(offer, record)
        self._learn(offer.backoff, last.reason if isinstance(last, Unanswered) and last.outcome == "queued" else "")

    async def _by_webhook(self, offer: Offer, road: WebhookRoad) -> None:
        """Offer a call to a carrier that asks by webhook what to do. Once it is taken, its reports end it."""
        call = offer.call
        outcome = await road.carrier.place(
            call,
            self._ready(offer),
            machine=offer.prepared.state.plan.machine.action,
            timeout_s=road.timeout_s,
            ring_timeout_s=road.ring_timeout_s,
        )
        if isinstance(outcome, NotSent):
            await self._not_sent(offer, outcome)
            return
        steps.reached("dial:after")
        record = self._record(offer)
        match outcome:
            case Accepted(carrier_id):
                record.taken(road.carrier.name, carrier_id)
                self.desk.elsewhere.add(call.id)
            case Unknown():  # it may ring: its webhooks tell, or their absence does
                self.desk.elsewhere.add(call.id)
            case Throttled(code):
                record.unanswered("queued", "carrier_throttled", code)
            case Refused(code, reason):
                record.unanswered("failed", reason, code)
        await record.finish()
        await self._give_back(offer, record)
        self._learn(offer.backoff, "carrier_throttled" if isinstance(outcome, Throttled) else "")

    async def _not_sent(self, offer: Offer, outcome: NotSent) -> None:
        """Queue a call again that the carrier does not have, unless somebody took it back: who did has settled it."""
        if not self._is_ours(offer):
            return
        record = self._record(offer)
        record.unanswered("queued", f"not_sent_{outcome.reason}", "")
        await record.finish()
        await self._give_back(offer, record)
        if offer.is_late:  # nobody's trouble but ours: it is read again at once
            self.desk.signals.wake("calls")
            return
        self._learn(offer.backoff, outcome.reason if outcome.reason in _TROUBLES else "carrier_unreachable")

    async def _give_up(self, offer: Offer) -> None:
        """End a call that a fault of ours kept from being dialled, or whose far end may have it."""
        may_ring = offer.was_taken
        if self._is_ours(offer):
            record = self._record(offer)
            record.unanswered("unknown" if may_ring else "failed", "internal", "")
            await record.finish()

    def _record(self, offer: Offer) -> CallRecord:
        return CallRecord(offer.call, self.desk.database, self.desk.signals, offer.spent)

    async def _give_back(self, offer: Offer, record: CallRecord) -> None:
        """Who was not rung was not tried: their attempts, and whatever else is counted, are as they were."""
        if record.came_back and offer.spent is not None:
            await self.desk.counters.give_back(offer.spent.debits, offer.spent.epoch)

    def _is_ours(self, offer: Offer) -> bool:
        """Whether it is for us to say what becomes of it: nobody took it back before we let it go."""
        return offer.was_taken or self.desk.plan.take_out(offer.planned)

    def _learn(self, backoff: Backoff, trouble: str) -> None:
        """Slow down while the carrier takes no calls; `trouble` is what `why` says meanwhile."""
        if not trouble:
            backoff.failures = 0
            return
        backoff.failed(monotonic())
        wait_s = backoff.not_before - monotonic()
        self.note(trouble, now_ms() + int(wait_s * 1000))
        self.desk.signals.wake("calls")
