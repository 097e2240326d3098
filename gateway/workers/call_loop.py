"""One sender's calls: read, decide, render, take limits, commit `dialing`, dial each at its slot.

The order is that of the sender loop, for the same promises: what is read is in the plan before opt-outs are looked at
(P5); `dialing` is on disk before the INVITE leaves (P1); an INVITE that was written is never written again (P2).
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog

from gateway.carriers.base import Ready
from gateway.carriers.twilio_voice import Between
from gateway.carriers.voice_base import Road, TrunkRoad, Unanswered, WebhookRoad
from gateway.clock import monotonic, now_ms
from gateway.errors import GatewayError
from gateway.errors.limits import RedisAway
from gateway.errors.speech import SpeechUnavailable
from gateway.errors.store import StoreUnavailable
from gateway.limits.pacer import WriteClock
from gateway.limits.profiles import kind_of
from gateway.model.call import Call
from gateway.model.limit import Granted, Limit, Refused, Slot
from gateway.model.outcome import Accepted, NotSent, Throttled, Unknown
from gateway.model.outcome import Refused as RefusedByCarrier
from gateway.model.sender import Sender
from gateway.sms.pipeline import Hold, Reject, Send
from gateway.store import calls, lives, opt_outs, tenants
from gateway.store.database import Tx
from gateway.store.records import to_record
from gateway.voice.twiml import TwilioCall
from gateway.workers.call_desk import Backoff, Desk, Prepared, decide
from gateway.workers.call_record import CallRecord
from gateway.workers.call_session import CallSession
from gateway.workers.counters import Stands
from gateway.workers.leases import Lease
from gateway.workers.offer import LATE_US
from gateway.workers.plan import Planned

_AHEAD_US: Final = 200_000  # how long before its slot a call may be committed as `dialing`
_HOLD_CHUNK: Final = 1_000  # rows a transaction: others' commits come in between
_FEWEST_ROWS: Final = 16
_MOST_ROWS: Final = 1_000
_MINUTE_MS: Final = 60_000
_AWAY_S: Final = 0.5
_LOOK_AGAIN_S: Final = 1.0
_CAPS: Final = {"cap_day", "cap_week", "cap_month", "cap_rolling"}
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Offer:
    """One call that is committed as `dialing`."""

    planned: Planned[Call]
    prepared: Prepared
    ready: Ready
    limits: Sequence[Limit]
    backoff: Backoff

    @property
    def call(self) -> Call:
        return self.planned.thing


def _now_us() -> int:
    return int(monotonic() * 1_000_000)


@dataclass(slots=True)
class CallLoop:
    """Runs while its sender has calls queued, then ends; the next look starts another."""

    number: str
    mode: str
    desk: Desk
    lease: Lease
    reach: int = field(default=_FEWEST_ROWS, init=False)  # rows read at a time: twice what the limits let through
    preparing: dict[str, asyncio.Task[Prepared]] = field(default_factory=dict, init=False)

    async def run(self) -> None:
        """Dial until nothing is queued."""
        try:
            while not self.desk.leases.is_lost(self.lease):
                if not self.desk.leases.holds(self.lease):  # the database does not answer; it may yet
                    self._note("lease_not_renewed")
                    await asyncio.sleep(_AWAY_S)
                    continue
                if not (readings := await self._read()):
                    break
                try:
                    await self._step(readings)
                finally:
                    self.desk.plan.drop_uncommitted(readings)
            self._note("")
        finally:
            self._forget_prepared(())

    # --- one step

    async def _step(self, readings: list[Planned[Call]]) -> None:
        sender, opted_out = await self.desk.database.read(lambda tx: self._facts(tx, readings))
        sends = await self._sort_out(readings, sender, opted_out)
        if sender is None or not sends:
            return
        road = self.desk.roads.get((self.mode, sender.voice))
        if road is None:
            await self._hold_all("carrier_not_configured", now_ms() + _MINUTE_MS)
            return
        backoff = self.desk.backoffs[self.mode, sender.voice]
        if (wait_s := backoff.not_before - monotonic()) > 0:
            await asyncio.sleep(min(wait_s, _LOOK_AGAIN_S))
            return
        ready = await self._prepared(sends)
        if ready:
            await self._take(sender, ready, road, backoff)

    async def _take(
        self, sender: Sender, ready: Sequence[tuple[Planned[Call], Prepared]], road: Road, backoff: Backoff
    ) -> None:
        limits = self.desk.limits_of(road, self.mode)
        asked = [planned.thing for planned, _ in ready]
        try:
            answer = await self.desk.counters.take_calls(
                sender, self.mode, limits, road.carrier.name, asked, ahead_us=_AHEAD_US
            )
        except RedisAway:
            self._note("redis_away")
            await asyncio.sleep(_AWAY_S)
            return
        if isinstance(answer, Refused):
            await self._refused(sender, answer)
            return
        await self._hold_passed_over(sender, asked, answer)
        self.desk.plan.redis_clock.observe(answer.now_us, _now_us())
        self.reach = min(max(_FEWEST_ROWS, 2 * len(answer.slots)), _MOST_ROWS)
        committing = asyncio.create_task(self._commit_and_dial(sender, ready, answer, limits, road, backoff))
        try:
            await asyncio.shield(committing)
        except asyncio.CancelledError:
            await committing  # what is on its way to the disk gets there: the stop takes it back from the plan
            raise
        self._note("rate" if answer.then is not None and answer.then.reason == "rate" else "")
        await _sleep_until(self.desk.plan.redis_clock.local(answer.again_us) - _AHEAD_US // 2)

    async def _read(self) -> list[Planned[Call]]:
        rows = await self.desk.database.read(lambda tx: lives.queued(tx, "calls", self.number, self.mode, self.reach))
        return self.desk.plan.enter([to_record(Call, row) for row in rows])

    async def _facts(self, tx: Tx, readings: Sequence[Planned[Call]]) -> tuple[Sender | None, set[str]]:
        sender = await tenants.sender(tx, self.number)
        people = sorted({planned.thing.recipient for planned in readings})
        return sender, await opt_outs.among(tx, readings[0].thing.tenant_id, self.mode, self.number, people)

    async def _sort_out(
        self, readings: Sequence[Planned[Call]], sender: Sender | None, opted_out: set[str]
    ) -> list[Planned[Call]]:
        """Act on every decision but Send; returns what may be dialled."""
        sends: list[Planned[Call]] = []
        others: defaultdict[Hold | Reject, list[str]] = defaultdict(list)
        for planned in readings:
            call = planned.thing
            match decide(call, sender, now_ms(), opted_out=call.recipient in opted_out):
                case Send():
                    sends.append(planned)
                case decision:
                    others[decision].append(call.id)
        await self._act(others)
        return sends

    async def _act(self, others: Mapping[Hold | Reject, list[str]], stands: Stands | None = None) -> None:
        async def act(tx: Tx) -> None:
            if stands is not None and not await stands(tx):
                return
            for decision, ids in others.items():
                match decision:
                    case Hold(reason, until_ms):
                        await lives.move(tx, "calls", ids, "held", now_ms(), reason=reason, until_ms=until_ms)
                    case Reject(status, reason):
                        await lives.move(tx, "calls", ids, status, now_ms(), reason=reason)

        if others:
            await self.desk.database.write(act)
            self.desk.signals.wake("events")

    # --- rendering

    async def _prepared(self, sends: Sequence[Planned[Call]]) -> list[tuple[Planned[Call], Prepared]]:
        """Have all of these rendered; returns those that are, at least one unless none can be."""
        self._forget_prepared([planned.thing.id for planned in sends])
        for planned in sends:
            if planned.thing.id not in self.preparing:
                self.preparing[planned.thing.id] = asyncio.create_task(self.desk.prepare(planned.thing))
        tasks = [self.preparing[planned.thing.id] for planned in sends]
        self._note("" if any(task.done() for task in tasks) else "rendering")
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        done = [(planned, task) for planned, task in zip(sends, tasks, strict=True) if task.done()]
        others: defaultdict[Hold | Reject, list[str]] = defaultdict(list)
        for planned, task in done:
            error = task.exception()
            if error is not None:
                others[_unready(error)].append(planned.thing.id)
                del self.preparing[planned.thing.id]
        await self._act(others)
        return [(planned, task.result()) for planned, task in done if task.exception() is None]

    def _forget_prepared(self, keep: Sequence[str]) -> None:
        for call_id in self.preparing.keys() - set(keep):
            self.preparing.pop(call_id).cancel()

    # --- limits

    async def _hold_passed_over(self, sender: Sender, asked: Sequence[Call], granted: Granted) -> None:
        """Hold each call whose recipient was tried often enough."""
        held: defaultdict[Hold | Reject, list[str]] = defaultdict(list)
        for call, slot in zip(asked, granted.slots, strict=False):
            if isinstance(slot, Refused) and slot.reason != "rate":
                held[Hold(slot.reason, _ms(slot.opens_at_us))].append(call.id)
        await self._act(held, partial(self.desk.counters.stands, sender=sender, version=granted.version))

    async def _refused(self, sender: Sender, refused: Refused) -> None:
        stands = partial(self.desk.counters.stands, sender=sender, version=refused.version)
        opens_us = refused.opens_at_us
        self._note(refused.reason, opens_us // 1000 if opens_us else None)
        if refused.reason == "rate" and opens_us is not None:
            wait_s = opens_us / 1e6 - now_ms() / 1e3
            await asyncio.sleep(min(max(wait_s - _AHEAD_US / 2e6, 0.001), 1.0))
        elif refused.reason == "channels":
            self.desk.channels.freed.clear()
            await _within(self.desk.channels.freed, _AWAY_S)
        elif refused.reason == "blocked":
            await self._hold_all(f"{kind_of(refused.limit_key)}_blocked", None, stands)
        elif refused.reason in _CAPS:
            await self._hold_all(refused.reason, _ms(opens_us), stands)
        else:
            _log.warning("gate_refuses", reason=refused.reason)
            await asyncio.sleep(_AWAY_S)

    async def _hold_all(self, reason: str, until_ms: int | None, stands: Stands | None = None) -> None:
        async def hold(tx: Tx) -> int:
            if stands is not None and not await stands(tx):
                return 0
            return await lives.hold_queued(tx, "calls", self.number, self.mode, now_ms(), reason, until_ms, _HOLD_CHUNK)

        while await self.desk.database.write(hold) == _HOLD_CHUNK:
            pass
        self.desk.signals.wake("events")

    async def _commit_and_dial(
        self,
        sender: Sender,
        ready: Sequence[tuple[Planned[Call], Prepared]],
        granted: Granted,
        limits: Sequence[Limit],
        road: Road,
        backoff: Backoff,
    ) -> None:
        pairs = [(each, slot) for each, slot in zip(ready, granted.slots, strict=False) if isinstance(slot, Slot)]
        for (planned, _), _slot in pairs:
            self.desk.channels.hold(planned.thing.id, limits)

        async def commit(tx: Tx) -> set[str]:
            if not await self.lease.fence(tx):
                return set()  # somebody else dials for this sender now
            if not await self.desk.counters.debit(tx, sender, self.mode, granted):
                return set()  # the counters were rebuilt meanwhile without these, or the limits changed
            # What was taken back meanwhile may be queued again by now, but nobody would dial it.
            ids = [planned.thing.id for (planned, _), _slot in pairs if self.desk.plan.holds(planned)]
            dialing = await lives.move(tx, "calls", ids, "dialing", now_ms(), holder=self.lease.holder)
            taken = [{"id": each, "carrier": road.carrier.name, "carrier_id": None} for each in dialing]
            await tx.many("calls_taken", taken)
            await self._keep_states(tx, [each for each, _ in pairs if each[0].thing.id in dialing], road)
            return set(dialing)

        try:
            dialing = await self.desk.database.write(commit)
        except StoreUnavailable:
            dialing = set()
            _log.exception("cannot_commit_calls")
        self.desk.signals.wake("events")
        for (planned, prepared), slot in pairs:
            if planned.thing.id in dialing and self.desk.plan.holds(planned):
                planned.committed = True
                self.preparing.pop(planned.thing.id, None)
                clocks = [self.desk.plan.clock(limit) for limit in slot.rates]
                offer = _Offer(planned, prepared, self._ready(planned, slot, clocks), limits, backoff)
                task = asyncio.create_task(self._dial(offer, road))
                self.desk.tasks.add(task)
                task.add_done_callback(self.desk.tasks.discard)
            else:
                await self.desk.channels.release(planned.thing.id)

    async def _keep_states(self, tx: Tx, ready: Sequence[tuple[Planned[Call], Prepared]], road: Road) -> None:
        """A call that asks by webhook lives in the database: its first webhook may come before our POST is answered."""
        for planned, prepared in ready:
            call = planned.thing
            waiting = Between(TwilioCall(prepared.state)).to_json() if isinstance(road, WebhookRoad) else ""
            if waiting or call.engine_state:  # of an earlier try, over another road
                await calls.progress(tx, call.id, prepared.state, (), now_ms(), engine_state=waiting)

    # --- one call

    def _ready(self, planned: Planned[Call], slot: Slot, clocks: Sequence[WriteClock]) -> Ready:
        async def ready() -> bool:
            slot_us = self.desk.plan.redis_clock.local(slot.at_us)
            while (due_us := max([slot_us, *(clock.due(slot_us) for clock in clocks)])) > _now_us():
                await _sleep_until(due_us)
            if not self.desk.leases.holds(self.lease) or _now_us() - slot_us > LATE_US:
                return False  # still in the plan: whoever was to dial it queues it again
            if not self.desk.plan.take_out(planned):
                return False
            for clock in clocks:
                clock.wrote(_now_us())
            return True

        return ready

    async def _dial(self, offer: _Offer, road: Road) -> None:
        try:
            match road:
                case TrunkRoad():
                    await self._over_trunk(offer, road)
                case WebhookRoad():
                    await self._by_webhook(offer, road)
        finally:
            if offer.call.id not in self.desk.elsewhere:
                await self.desk.channels.release(offer.call.id)

    async def _over_trunk(self, offer: _Offer, road: TrunkRoad) -> None:
        call = offer.call
        leg = await road.carrier.dial(call, offer.ready)
        if isinstance(leg, NotSent):
            await self._not_sent(offer, leg)
            return
        record = CallRecord(call, self.desk.database, self.desk.signals)
        session = CallSession(leg, offer.prepared.state, offer.prepared.audio, record, road.ring_timeout_s)
        self.desk.sessions[call.id] = session
        self.desk.channels.hold(call.id, offer.limits, lambda: session.end("channel_lost"))
        try:
            last = await session.run()
        finally:
            del self.desk.sessions[call.id]
        self._learn(offer.backoff, last.reason if isinstance(last, Unanswered) and last.outcome == "queued" else "")

    async def _by_webhook(self, offer: _Offer, road: WebhookRoad) -> None:
        """Offer a call to a carrier that asks by webhook what to do. Once it is taken, its reports end it."""
        call = offer.call
        outcome = await road.carrier.place(
            call, offer.ready, timeout_s=road.timeout_s, ring_timeout_s=road.ring_timeout_s
        )
        if isinstance(outcome, NotSent):
            await self._not_sent(offer, outcome)
            return
        record = CallRecord(call, self.desk.database, self.desk.signals)
        match outcome:
            case Accepted(carrier_id):
                record.taken(road.carrier.name, carrier_id)
                self.desk.elsewhere.add(call.id)
            case Unknown():  # it may ring: its webhooks tell, or their absence does
                self.desk.elsewhere.add(call.id)
            case Throttled(code):
                record.unanswered("queued", "carrier_throttled", code)
            case RefusedByCarrier(code, reason):
                record.unanswered("failed", reason, code)
        await record.finish()
        self._learn(offer.backoff, "carrier_throttled" if isinstance(outcome, Throttled) else "")

    async def _not_sent(self, offer: _Offer, outcome: NotSent) -> None:
        """Queue a call again of which no byte left, unless somebody took it back: who did has settled it."""
        if not self.desk.plan.take_out(offer.planned):
            return
        record = CallRecord(offer.call, self.desk.database, self.desk.signals)
        record.unanswered("queued", f"not_sent_{outcome.reason}", "")
        await record.finish()
        self._learn(offer.backoff, "carrier_unreachable")

    # --- small things

    def _learn(self, backoff: Backoff, trouble: str) -> None:
        """Slow down while the carrier takes no calls; `trouble` is what `why` says meanwhile."""
        if not trouble:
            backoff.failures = 0
            return
        backoff.failed(monotonic())
        wait_s = backoff.not_before - monotonic()
        self._note(trouble, now_ms() + int(wait_s * 1000))
        self.desk.signals.wake("calls")

    def _note(self, reason: str, opens_ms: int | None = None) -> None:
        self.desk.signals.note_gate("calls", self.number, self.mode, reason, opens_ms)


def _unready(error: BaseException) -> Hold | Reject:
    """What becomes of a call that cannot be rendered: it waits for the speech engines, or can never be made."""
    if isinstance(error, SpeechUnavailable | StoreUnavailable):
        return Hold(error.slug, now_ms() + _MINUTE_MS)
    if isinstance(error, GatewayError):
        return Reject("failed", error.slug)
    _log.error("call_cannot_be_prepared", error=repr(error))
    return Reject("failed", "internal")


def _ms(at_us: int | None) -> int | None:
    return -(-at_us // 1000) if at_us is not None else None


async def _sleep_until(at_us: int) -> None:
    wait_us = at_us - _now_us()
    if wait_us > 0:
        await asyncio.sleep(wait_us / 1_000_000)


async def _within(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
