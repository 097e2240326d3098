"""One sender's loop: read, decide, take limits, commit `sending`, write each text at its slot.

Order of things, for the promises: what is read is in the plan before opt-outs are looked at (P5); limits are debited
before the commit, the commit is on disk before the first byte (P1, P3); a write waits for its slot and for one period
after the actual time of segment k-N (P4).
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import SystemRandom
from typing import Final

import structlog

from gateway import steps
from gateway.carriers.base import SmsCarrier
from gateway.clock import monotonic, now_ms
from gateway.errors import RedisAway
from gateway.metrics import Metrics
from gateway.model.limit import Granted, Refused, Slot
from gateway.model.message import Message
from gateway.model.outcome import NotSent, Outcome, Throttled, Unknown
from gateway.model.sender import Sender
from gateway.settings import Sms
from gateway.sms.pipeline import Facts, Hold, Reject, Send, decide
from gateway.store import lives, opt_outs, tenants, usage
from gateway.store.database import Database, Tx
from gateway.store.records import to_record
from gateway.store.signals import Signals
from gateway.workers.counters import Counters
from gateway.workers.offer import Offer, now_us, sleep_until
from gateway.workers.plan import Plan, Planned
from gateway.workers.settlement import Result, Settlement

_HOLD_CHUNK: Final = 5_000  # rows a transaction
_FEWEST_ROWS: Final = 16
_MOST_ROWS: Final = 1_000
_NO_CARRIER_MS: Final = 60_000
_FIRST_BACKOFF_S: Final = 0.1  # Twilio on 20429: 100 ms x 2^n, ten per cent either way, 30 s at most
_LONGEST_BACKOFF_S: Final = 30.0
_MOST_DOUBLINGS: Final = 10  # further ones would change nothing, and in the end be no number any more
_AWAY_S: Final = 0.5
_CAPS: Final = {"cap_day", "cap_week", "cap_month"}
_dice = SystemRandom()
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class SenderLoop:
    """Runs while its sender has texts queued, then ends; the next look runs it again.

    What it has learned of the carrier outlives a run: a last text that is throttled waits as long as any other.
    """

    number: str
    mode: str
    database: Database
    signals: Signals
    counters: Counters
    carriers: Mapping[str, SmsCarrier]
    plan: Plan[Message]
    settlement: Settlement
    offers: set[asyncio.Task[None]]
    settings: Sms
    timeout_s: float
    metrics: Metrics
    failures: int = field(default=0, init=False)
    not_before: float = field(default=0.0, init=False)
    reach: int = field(default=_FEWEST_ROWS, init=False)  # rows read at a time: twice what the limits let through

    async def run(self) -> None:
        """Send until nothing is queued."""
        while True:
            await self._wait_for_carrier()
            readings = await self._read()
            if not readings:
                self._note("")
                return
            try:
                await self._step(readings)
            finally:
                self.plan.drop_uncommitted(readings)

    # --- one step

    async def _step(self, readings: list[Planned[Message]]) -> None:
        sender, opted_out = await self.database.read(lambda tx: self._facts(tx, readings))
        sends = await self._sort_out(readings, sender, opted_out)
        if sender is None or not sends:
            return
        carrier = self.carriers.get("practice" if self.mode == "test" else sender.carrier)
        if carrier is None:
            await self._hold_all("carrier_not_configured", now_ms() + _NO_CARRIER_MS)
            return
        limits = self.counters.of_sender(sender, self.mode)
        ahead_us = self.settings.commit_ahead_ms * 1000
        try:
            answer = await self.counters.take(limits, [each.thing.segments for each in sends], ahead_us=ahead_us)
        except RedisAway:
            self._note("redis_away")
            await asyncio.sleep(_AWAY_S)
            return
        if isinstance(answer, Refused):
            await self._refused(answer)
            return
        self.plan.redis_clock.observe(answer.now_us, now_us())
        self.reach = min(max(_FEWEST_ROWS, 2 * len(answer.slots)), _MOST_ROWS)
        committing = asyncio.create_task(self._commit_and_dispatch(sends, answer, carrier))
        try:
            await asyncio.shield(committing)
        except asyncio.CancelledError:
            await committing  # what is on its way to the disk gets there: the stop takes it back from the plan
            raise
        self._note("rate" if answer.then is not None and answer.then.reason == "rate" else "")
        lead_us = ahead_us // 2
        await sleep_until(self.plan.redis_clock.local(answer.last_us) - lead_us)

    async def _read(self) -> list[Planned[Message]]:
        rows = await self.database.read(lambda tx: lives.queued(tx, "messages", self.number, self.mode, self.reach))
        return self.plan.enter([to_record(Message, row) for row in rows])

    async def _facts(self, tx: Tx, readings: Sequence[Planned[Message]]) -> tuple[Sender | None, set[str]]:
        sender = await tenants.sender(tx, self.number)
        people = sorted({planned.thing.recipient for planned in readings})
        return sender, await opt_outs.among(tx, readings[0].thing.tenant_id, self.mode, self.number, people)

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
        if others:
            await self.database.write(lambda tx: self._act(tx, others))
            self.signals.wake("events")
        return sends

    async def _act(self, tx: Tx, others: Mapping[Hold | Reject, list[str]]) -> None:
        for decision, ids in others.items():
            match decision:
                case Hold(reason, until_ms):
                    await lives.move(tx, "messages", ids, "held", now_ms(), reason=reason, until_ms=until_ms)
                case Reject(status, reason):
                    await lives.move(tx, "messages", ids, status, now_ms(), reason=reason)

    async def _refused(self, refused: Refused) -> None:
        opens_us = refused.opens_at_us
        self._note(refused.reason, opens_us // 1000 if opens_us else None)
        if refused.reason in _CAPS and opens_us is not None:
            await self._hold_all(refused.reason, -(-opens_us // 1000))
        elif refused.reason == "blocked":
            await self._hold_all("sender_blocked", None)
        elif refused.reason == "rate" and opens_us is not None:
            wait_s = opens_us / 1e6 - now_ms() / 1e3
            await asyncio.sleep(min(max(wait_s - self.settings.commit_ahead_ms / 2000, 0.001), 1.0))
        else:
            _log.warning("gate_refuses", reason=refused.reason)
            await asyncio.sleep(_AWAY_S)

    async def _hold_all(self, reason: str, until_ms: int | None) -> None:
        async def hold(tx: Tx) -> int:
            return await lives.hold_queued(
                tx, "messages", self.number, self.mode, now_ms(), reason, until_ms, _HOLD_CHUNK
            )

        while await self.database.write(hold) == _HOLD_CHUNK:
            pass
        self.signals.wake("events")

    async def _commit_and_dispatch(
        self, sends: Sequence[Planned[Message]], granted: Granted, carrier: SmsCarrier
    ) -> None:
        answered = zip(sends, granted.slots, strict=False)
        pairs = [(planned, slot) for planned, slot in answered if isinstance(slot, Slot)]

        async def commit(tx: Tx) -> set[str]:
            if await usage.epoch(tx) != granted.epoch:
                return set()  # the counters were rebuilt meanwhile, without these
            await usage.add(tx, granted.debits, granted.seq)
            ids = [planned.thing.id for planned, _ in pairs]
            return set(await lives.move(tx, "messages", ids, "sending", now_ms()))

        steps.reached("sending:before")
        sending = await self.database.write(commit)
        steps.reached("sending:after")
        for planned, slot in pairs:
            if planned.thing.id in sending and self.plan.holds(planned):
                planned.committed = True
                clocks = [self.plan.clock(limit) for limit in slot.rates]
                offer = Offer(planned, slot, self.plan, clocks, self.metrics)
                task = asyncio.create_task(self._offer(offer, granted, carrier))
                self.offers.add(task)
                task.add_done_callback(self.offers.discard)

    # --- one offer

    async def _offer(self, offer: Offer, granted: Granted, carrier: SmsCarrier) -> None:
        outcome = await self._send(offer, carrier)
        recalled = not self.plan.take_out(offer.planned) and offer.written_ms is None
        self._learn(outcome)
        if offer.written_ms is not None:
            self.metrics.send_seconds.labels(carrier.name).observe(max(0, now_ms() - offer.written_ms) / 1000)
        if not recalled:  # who recalled it has settled it
            message, slot = offer.planned.thing, offer.slot
            result = Result(message, carrier.name, outcome, offer.written_ms, slot.debits, granted.epoch, granted.seq)
            self.settlement.put(result)

    async def _send(self, offer: Offer, carrier: SmsCarrier) -> Outcome:
        message = offer.planned.thing
        validity_s = self.settings.validity_s
        if message.expires_ms is not None:
            validity_s = min(validity_s, max(1, (message.expires_ms - now_ms()) // 1000))
        try:
            return await carrier.send(
                message, offer.ready, offer.on_written, timeout_s=self.timeout_s, validity_s=validity_s
            )
        except Exception as error:  # noqa: BLE001 - a carrier's bug must not become a second text
            _log.error("carrier_raised", carrier=carrier.name, error=repr(error))
            return Unknown("carrier_error")

    def _learn(self, outcome: Outcome) -> None:
        if not isinstance(outcome, Throttled | NotSent) or outcome == NotSent("taken_back"):
            self.failures = 0
            return
        if monotonic() >= self.not_before:  # what was on its way when the waiting began is the same trouble
            self.failures += 1
        doublings = min(max(self.failures - 1, 0), _MOST_DOUBLINGS)
        wait_s = min(_FIRST_BACKOFF_S * 2**doublings, _LONGEST_BACKOFF_S) * _dice.uniform(0.9, 1.1)
        if isinstance(outcome, Throttled) and outcome.retry_after_s is not None:
            wait_s = max(wait_s, outcome.retry_after_s)
        self.not_before = max(self.not_before, monotonic() + wait_s)
        reason = "carrier_throttled" if isinstance(outcome, Throttled) else "carrier_unreachable"
        self._note(reason, now_ms() + int(wait_s * 1000))

    # --- small things

    async def _wait_for_carrier(self) -> None:
        while monotonic() < self.not_before:  # answers that come meanwhile may lengthen it
            await sleep_until(int(self.not_before * 1_000_000))

    def _note(self, reason: str, opens_ms: int | None = None) -> None:
        self.signals.note_gate("messages", self.number, self.mode, reason, opens_ms)
