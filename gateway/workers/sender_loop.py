"""One sender's loop: read, decide, take limits, hand over to be committed and written.

Order of things, for the promises: what is read is in the plan before opt-outs are looked at (P5); limits are debited
before the commit, the commit is on disk before the first byte (P1, P3); a write waits for its slot and for one period
after the actual time of segment k-N (P4); nothing is read, committed or written but under the sender's lease (P2).
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from gateway.carriers.base import SmsCarrier
from gateway.clock import monotonic, now_ms
from gateway.errors.limits import RedisAway
from gateway.model.limit import Refused, Throughput
from gateway.model.message import Message
from gateway.model.sender import Sender
from gateway.sms.pipeline import Facts, Hold, Reject, Send, decide
from gateway.store import lives, opt_outs, tenants
from gateway.store.criteria import OfSender
from gateway.store.database import Tx
from gateway.store.records import to_record
from gateway.workers.carrier_health import CarrierHealth
from gateway.workers.carrier_queue import FORGOTTEN, CarrierQueue, Left
from gateway.workers.dispatch import Dispatch, Grant
from gateway.workers.holds import CAPS, Holds
from gateway.workers.leases import Lease
from gateway.workers.plan import Planned
from gateway.workers.slots import now_us, sleep_until
from gateway.workers.text_desk import TextDesk

_FEWEST_ROWS: Final = 16
_MOST_ROWS: Final = 1_000
_AWAY_S: Final = 0.5
_LEAD: Final = 0.75  # of `commit_ahead_ms`: so long before its slot at least is a text asked for
_GLANCE_S: Final = 0.05
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class SenderLoop:
    """Runs while its sender has texts queued and its lease is held, then ends; the next look runs it again.

    What it has learned of the carrier outlives a run: a last text that is throttled waits as long as any other.
    """

    desk: TextDesk
    lease: Lease
    dispatch: Dispatch = field(init=False)
    holds: Holds = field(init=False)
    queue: CarrierQueue = field(init=False)
    health: dict[str, CarrierHealth] = field(default_factory=dict, init=False)  # by carrier
    reach: int = field(default=_FEWEST_ROWS, init=False)  # rows read at a time: some more than the limits let through
    knows_queue: bool = field(default=False, init=False)
    rates: Sequence[Throughput] = field(default=(), init=False)  # that paced the last grant
    is_over: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.queue = CarrierQueue(self.desk.settings.carrier_queue_s)
        self.dispatch = Dispatch(self.desk, self.lease, self.queue)
        desk, lease = self.desk, self.lease
        self.holds = Holds("messages", lease.sender, lease.mode, desk.database, desk.signals, desk.counters)

    async def run(self) -> None:
        """Send until nothing is queued, the lease is lost, or `stop` was called."""
        await self._remember()
        while not self.is_over and not self.desk.leases.is_lost(self.lease):
            if not self.desk.leases.holds(self.lease):  # the database does not answer; it may yet
                self._note("lease_not_renewed")
                await asyncio.sleep(_AWAY_S)
                continue
            readings = await self._read()
            if not readings:
                self._note("")
                return
            try:
                await self._step(readings)
            finally:
                self.desk.plan.drop_uncommitted(readings)

    async def _remember(self) -> None:
        """Begin with what the carrier has not finished of the sender's texts, whoever wrote them."""
        if self.knows_queue:
            return
        whose = {"sender": self.lease.sender, "mode": self.lease.mode}
        since_ms = now_ms() - int(FORGOTTEN * self.desk.settings.carrier_queue_s * 1000)
        rows = await self.desk.database.read(lambda tx: tx.rows("messages_at_carrier", **whose, since_ms=since_ms))
        self.queue.took((row["sent_ms"], row["segments"]) for row in rows)
        self.knows_queue = True

    def stop(self, run: asyncio.Task[None]) -> None:
        """End `run`, after its step where its cancellation is lost: `asyncio.wait_for` of Python 3.11, under the Redis
        client, swallows one that comes together with the answer.
        """
        self.is_over = True
        run.cancel()

    async def put_back(self) -> None:
        """After `run` has ended: queue again what was committed and not written."""
        left = self.desk.plan.recall(OfSender(self.lease.sender, self.lease.mode))
        if left:
            with self.desk.signals.until_kept(left):
                await self.desk.database.write(self._put_back(left))

    def _put_back(self, ids: Sequence[str]) -> Callable[[Tx], Awaitable[list[str]]]:
        async def work(tx: Tx) -> list[str]:
            ours = await lives.of_holder(tx, "messages", ids, self.lease.holder)
            return await lives.put_back(tx, "messages", sorted(ours), now_ms())

        return work

    # --- one step

    async def _step(self, readings: list[Planned[Message]]) -> None:
        sender, opted_out, left = await self.desk.database.read(lambda tx: self._facts(tx, readings))
        sends = await self._sort_out(readings, sender, opted_out)
        if sender is None or not sends:
            return
        carrier = self.desk.carriers.get("practice" if self.lease.mode == "test" else sender.carrier)
        if carrier is None:
            self._note("carrier_not_configured")  # no row changes: that would be two events a text every so often
            await asyncio.sleep(_AWAY_S)
            return
        health = self._health_of(carrier)
        room = health.room(monotonic())
        if room == 0:
            await self._wait_for_carrier(health)
            return
        offers, most = self.dispatch.offers, self.desk.settings.in_flight
        if len(offers) >= most:
            self._note("carrier_slow")
            await asyncio.wait(offers, timeout=_AWAY_S, return_when=asyncio.FIRST_COMPLETED)
            return
        room = min(most - len(offers), room or most)
        self.rates = await self.desk.counters.rates_of(sender, self.lease.mode)
        full_s = self.queue.full_for_s(left, self.rates, now_ms())
        if full_s is not None:
            self._note("carrier_queue", now_ms() + int(full_s * 1000))
            await asyncio.sleep(min(max(full_s, _GLANCE_S), 1.0))
            return
        await self._take(sender, sends[:room], carrier, health)

    async def _take(
        self, sender: Sender, sends: Sequence[Planned[Message]], carrier: SmsCarrier, health: CarrierHealth
    ) -> None:
        ahead_us = self.desk.settings.commit_ahead_ms * 1000
        await self.dispatch.keep_up()
        try:
            asked = [planned.thing for planned in sends]
            await self.desk.counters.read_clock(self.desk.plan.redis_clock)
            asked_us = now_us()
            more = len(sends) >= self.reach
            answer = await self.desk.counters.take_texts(sender, self.lease.mode, asked, ahead_us=ahead_us, more=more)
        except RedisAway:
            self._note("redis_away")
            await asyncio.sleep(_AWAY_S)
            return
        if isinstance(answer, Refused):
            await self._refused(sender, answer, sends[0])
            return
        self.desk.plan.redis_clock.observe(answer.now_us, now_us(), asked_us)
        granted = len(answer.slots)
        beyond = (
            granted if answer.then is None else granted // 4 + _FEWEST_ROWS
        )  # what is read and not sent is read again
        self.reach = min(max(_FEWEST_ROWS, granted + beyond), _MOST_ROWS)
        committing = asyncio.create_task(self.dispatch.commit(sends, Grant(sender, answer, carrier, health)))
        try:
            await asyncio.shield(committing)
        except asyncio.CancelledError:
            await committing  # what is on its way to the disk gets there: the stop takes it back from the plan
            raise
        await self.holds.passed_over(sender, asked, answer)
        self._note("rate" if answer.then is not None and answer.then.reason == "rate" else "")
        lead_us = round(ahead_us * _LEAD)
        await sleep_until(self.desk.plan.redis_clock.local(answer.again_us) - lead_us)

    async def _read(self) -> list[Planned[Message]]:
        sender, mode, reach = self.lease.sender, self.lease.mode, self.reach
        rows = await self.desk.database.read(lambda tx: lives.queued(tx, "messages", sender, mode, reach))
        return self.desk.plan.enter([to_record(Message, row) for row in rows])

    async def _facts(self, tx: Tx, readings: Sequence[Planned[Message]]) -> tuple[Sender | None, set[str], Left | None]:
        number, mode = self.lease.sender, self.lease.mode
        people = sorted({planned.thing.recipient for planned in readings})
        opted_out = await opt_outs.among(tx, readings[0].thing.tenant_id, mode, number, people)
        row = await tx.row("carrier_queues_of", sender=number, mode=mode)
        left = Left(row["left_sent_ms"], row["told_ms"]) if row is not None else None
        return await tenants.sender(tx, number), opted_out, left

    async def _sort_out(
        self, readings: Sequence[Planned[Message]], sender: Sender | None, opted_out: set[str]
    ) -> list[Planned[Message]]:
        """Act on every decision but Send; returns what may be sent."""
        sends: list[Planned[Message]] = []
        others: defaultdict[Hold | Reject, list[str]] = defaultdict(list)
        for planned in readings:
            facts = Facts(sender, planned.thing.recipient in opted_out)
            match decide(planned.thing, facts, now_ms()):
                case Send():
                    sends.append(planned)
                case decision:
                    others[decision].append(planned.thing.id)
        await self.holds.act(others)
        return sends

    # --- waiting

    async def _refused(self, sender: Sender, refused: Refused, first: Planned[Message]) -> None:
        opens_us = refused.opens_at_us
        self._note(refused.reason, opens_us // 1000 if opens_us else None)
        if refused.is_waited_for and (wait_s := refused.opens_in_s) is not None:
            await asyncio.sleep(min(max(wait_s - self.desk.settings.commit_ahead_ms / 1000 * _LEAD, 0.001), 1.0))
        elif refused.reason in CAPS and opens_us is None:
            await self.holds.too_large(sender, refused, first.thing)
        elif refused.reason == "blocked" or refused.reason in CAPS:
            await self.holds.refused(sender, refused)
        else:
            _log.warning("gate_refuses", reason=refused.reason)
            await asyncio.sleep(_AWAY_S)

    def _health_of(self, carrier: SmsCarrier) -> CarrierHealth:
        settings = self.desk.settings
        return self.health.setdefault(carrier.name, CarrierHealth(settings.breaker_failures, settings.breaker_s))

    async def _wait_for_carrier(self, health: CarrierHealth) -> None:
        """Until it may be tried again, or what is being tried has come to something. Answers may lengthen it."""
        while (wait_s := health.not_before - monotonic()) > 0 and not self.is_over:
            self._note(health.reason, now_ms() + int(wait_s * 1000))
            await asyncio.sleep(min(wait_s, _AWAY_S))
        if health.room(monotonic()) == 0:
            await asyncio.sleep(_GLANCE_S)

    def _note(self, reason: str, opens_ms: int | None = None) -> None:
        self.desk.signals.note_gate("messages", self.lease.sender, self.lease.mode, reason, opens_ms)
