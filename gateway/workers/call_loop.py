"""One sender's calls: read, decide, render, take limits, commit `dialing`, dial each at its slot.

The order is that of the sender loop, for the same promises: what is read is in the plan before opt-outs are looked at
(P5); `dialing` is on disk before the INVITE leaves (P1); an INVITE that was written is never written again (P2).
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from gateway.carriers.twilio_voice import Between
from gateway.carriers.voice_base import Road, TrunkRoad, WebhookRoad
from gateway.clock import monotonic, now_ms
from gateway.errors.limits import RedisAway
from gateway.errors.store import StoreUnavailable
from gateway.model.call import Call
from gateway.model.limit import SOON_S, Granted, Limit, Refused, Slot
from gateway.model.sender import Sender
from gateway.sms.pipeline import Hold, Reject, Send
from gateway.store import calls, jobs, lives, opt_outs, tenants
from gateway.store.criteria import numbers_of
from gateway.store.database import Tx
from gateway.store.records import to_record
from gateway.voice.twilio_call import TwilioCall
from gateway.workers.call_desk import Backoff, Desk, Facts, Prepared, decide
from gateway.workers.call_dial import AHEAD_US, Dialling, Offer
from gateway.workers.call_rendering import Rendering, unready
from gateway.workers.holds import CAPS, Holds
from gateway.workers.leases import Lease
from gateway.workers.plan import Planned
from gateway.workers.slots import now_us, sleep_until

_FEWEST_ROWS: Final = 16
_MOST_ROWS: Final = 1_000
_AWAY_S: Final = 0.5
_LOOK_AGAIN_S: Final = 1.0
_GLANCE_S: Final = 0.1
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class CallLoop:
    """Runs while its sender has calls queued, then ends; the next look starts another."""

    number: str
    mode: str
    desk: Desk
    lease: Lease
    reach: int = field(default=_FEWEST_ROWS, init=False)  # rows read at a time: twice what the limits let through
    skipped: int = field(default=0, init=False)  # rows read beyond that, since all of the last were to be held
    holds: Holds = field(init=False)
    rendering: Rendering = field(init=False)
    dialling: Dialling = field(init=False)

    def __post_init__(self) -> None:
        desk = self.desk
        self.holds = Holds("calls", self.number, self.mode, desk.database, desk.signals, desk.counters)
        self.rendering = Rendering(self.desk.prepare)
        self.dialling = Dialling(self.number, self.mode, self.desk, self.lease)

    async def run(self) -> None:
        """Dial until nothing is queued."""
        try:
            while not self.desk.is_closing and not self.desk.leases.is_lost(self.lease):  # a cancellation may be lost
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
            self.rendering.forget_others(())

    # --- one step

    async def _step(self, readings: list[Planned[Call]]) -> None:
        facts = await self.desk.database.read(lambda tx: self._facts(tx, readings))
        sends, sender = await self._sort_out(readings, facts), facts.sender
        if sender is None or not sends:
            self.skipped = min(max(2 * self.skipped, self.reach), _MOST_ROWS)
            return
        self.skipped, sends = 0, sends[: self.reach]  # each is rendered
        road = self.desk.roads.get((self.mode, sender.voice))
        if road is None:
            self._note("carrier_not_configured")  # no row changes: see the texts' loop
            await asyncio.sleep(_AWAY_S)
            return
        backoff = self.desk.backoffs[self.mode, sender.voice]
        if (wait_s := backoff.not_before - monotonic()) > 0:
            await asyncio.sleep(min(wait_s, _LOOK_AGAIN_S))
            return
        if isinstance(road, TrunkRoad) and (trouble := road.carrier.trouble):
            self._note(trouble)
            await asyncio.sleep(_LOOK_AGAIN_S)
            return
        if not (sends := await self._launched(sends)):
            return
        if not self.rendering.begin(sends):
            self._note("rendering")
        ready, others = await self.rendering.done(sends)
        await self.holds.act(others)
        still = {planned.thing.id for planned in await self._sort_out([planned for planned, _ in ready], facts)}
        ready = [each for each in ready if each[0].thing.id in still]  # rendering takes time: it may be night by now
        if ready:
            await self._take(sender, ready, road, backoff)

    async def _launched(self, sends: Sequence[Planned[Call]]) -> list[Planned[Call]]:
        """Those of no broadcast, or of one that was looked at and found good; see to what became of the others."""
        looks = self.desk.launches.begin([planned.thing for planned in sends])
        if looks and all(planned.thing.job_id in looks for planned in sends):
            self._note("rendering")
            tasks = [look.task for look in looks.values()]
            await asyncio.wait(tasks, timeout=_LOOK_AGAIN_S, return_when=asyncio.FIRST_COMPLETED)
        others: defaultdict[Hold | Reject, list[str]] = defaultdict(list)
        for job_id, look in looks.items():
            if look.task.done():
                self.desk.launches.over(job_id)
                if (error := look.task.exception()) is not None:
                    decision, ids = unready(error), [each.thing.id for each in sends if each.thing.job_id == job_id]
                    others[decision] += [each for each in ids if isinstance(decision, Hold) or each == look.call_id]
        await self.holds.act(others)
        return [planned for planned in sends if planned.thing.job_id not in looks]

    async def _take(
        self, sender: Sender, ready: Sequence[tuple[Planned[Call], Prepared]], road: Road, backoff: Backoff
    ) -> None:
        limits = self.desk.limits_of(road, self.mode)
        asked = [planned.thing for planned, _ in ready]
        try:
            await self.desk.counters.read_clock(self.desk.plan.redis_clock)
            asked_us = now_us()
            answer = await self.desk.counters.take_calls(
                sender, self.mode, limits, road.carrier.name, asked, ahead_us=AHEAD_US
            )
        except RedisAway:
            self._note("redis_away")
            await asyncio.sleep(_AWAY_S)
            return
        if isinstance(answer, Refused):
            await self._refused(sender, answer)
            return
        self.desk.plan.redis_clock.observe(answer.now_us, now_us(), asked_us)
        self.reach = min(max(_FEWEST_ROWS, 2 * len(answer.slots)), _MOST_ROWS)
        committing = asyncio.create_task(self._commit_and_dial(sender, ready, answer, limits, road, backoff))
        try:
            await asyncio.shield(committing)
        except asyncio.CancelledError:
            await committing  # what is on its way to the disk gets there: the stop takes it back from the plan
            raise
        await self.holds.passed_over(sender, asked, answer)
        self._note("rate" if answer.then is not None and answer.then.reason == "rate" else "")
        await sleep_until(self.desk.plan.redis_clock.local(answer.again_us) - AHEAD_US // 2)

    async def _read(self) -> list[Planned[Call]]:
        most = min(self.reach + self.skipped, _MOST_ROWS)
        rows = await self.desk.database.read(lambda tx: lives.queued(tx, "calls", self.number, self.mode, most))
        return self.desk.plan.enter([to_record(Call, row) for row in rows])

    async def _facts(self, tx: Tx, readings: Sequence[Planned[Call]]) -> Facts:
        sender = await tenants.sender(tx, self.number)
        people = sorted({number for planned in readings for number in numbers_of(planned.thing)})
        said_stop = await opt_outs.among(tx, readings[0].thing.tenant_id, self.mode, self.number, people)
        ids = sorted({planned.thing.job_id for planned in readings if planned.thing.job_id is not None})
        return Facts(sender, said_stop, await jobs.hours(tx, ids))

    async def _sort_out(self, readings: Sequence[Planned[Call]], facts: Facts) -> list[Planned[Call]]:
        """Act on every decision but Send; returns what may be dialled. Nothing is held for what opens at once."""
        sends: list[Planned[Call]] = []
        others: defaultdict[Hold | Reject, list[str]] = defaultdict(list)
        is_soon = False
        for planned in readings:
            call = planned.thing
            match decide(call, facts, now_ms()):
                case Send():
                    sends.append(planned)
                case Hold(until_ms=int(until_ms)) if until_ms <= now_ms() + int(SOON_S * 1000):
                    is_soon = True
                case decision:
                    others[decision].append(call.id)
        if is_soon and not sends and not others:
            self._note("quiet_hours")
            await asyncio.sleep(_GLANCE_S)
        await self.holds.act(others)
        return sends

    # --- limits

    async def _refused(self, sender: Sender, refused: Refused) -> None:
        opens_us = refused.opens_at_us
        self._note(refused.reason, opens_us // 1000 if opens_us else None)
        if refused.is_waited_for and (wait_s := refused.opens_in_s) is not None:
            await asyncio.sleep(min(max(wait_s - AHEAD_US / 2e6, 0.001), 1.0))
        elif refused.reason == "channels":
            self.desk.channels.freed.clear()
            await _within(self.desk.channels.freed, _AWAY_S)
        elif refused.reason == "blocked" or refused.reason in CAPS:
            await self.holds.refused(sender, refused)
        else:
            _log.warning("gate_refuses", reason=refused.reason)
            await asyncio.sleep(_AWAY_S)

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

        dialing = set[str]()
        try:
            dialing = await self.desk.database.write(commit)
        except StoreUnavailable:
            _log.exception("cannot_commit_calls")
        finally:
            self.desk.counters.unused(*(slot for each, slot in pairs if each[0].thing.id not in dialing))
        self.desk.signals.wake("events")
        for (planned, prepared), slot in pairs:
            if planned.thing.id in dialing and self.desk.plan.holds(planned):
                self._begin(Offer(planned, prepared, slot, limits, backoff, granted), road)
            else:
                self.desk.counters.unused(slot)
                await self.desk.channels.release(planned.thing.id)

    def _begin(self, offer: Offer, road: Road) -> None:
        offer.planned.committed = True
        self.rendering.forget(offer.planned.thing.id)
        self.dialling.begin(offer, road)

    async def _keep_states(self, tx: Tx, ready: Sequence[tuple[Planned[Call], Prepared]], road: Road) -> None:
        """A call that asks by webhook lives in the database: its first webhook may come before our POST is answered."""
        for planned, prepared in ready:
            call = planned.thing
            waiting = Between(TwilioCall(prepared.state)).to_json() if isinstance(road, WebhookRoad) else ""
            if waiting or call.engine_state:  # of an earlier try, over another road
                await calls.progress(tx, call.id, prepared.state, (), now_ms(), engine_state=waiting)

    def _note(self, reason: str, opens_ms: int | None = None) -> None:
        self.dialling.note(reason, opens_ms)


async def _within(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
