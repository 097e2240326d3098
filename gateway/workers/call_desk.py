"""What all loops of calls share in one process."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from random import SystemRandom
from typing import Any, Final, Protocol

from gateway import phone
from gateway.campaign import hours
from gateway.carriers.voice_base import Road, TrunkRoad
from gateway.model.call import Call
from gateway.model.limit import Limit, Slot
from gateway.model.sender import Sender
from gateway.sms.pipeline import Hold, Reject, Send
from gateway.speech.prompts import Prompts
from gateway.store.calls import Plans
from gateway.store.criteria import numbers_of
from gateway.store.database import Database
from gateway.store.signals import Signals
from gateway.voice import engine
from gateway.voice.state import State
from gateway.workers.call_audio import CallAudio
from gateway.workers.channels import Channels
from gateway.workers.counters import Counters
from gateway.workers.launch import Launches
from gateway.workers.leases import Leases
from gateway.workers.plan import Plan
from gateway.workers.slots import now_us

_FIRST_BACKOFF_S: Final = 0.5
_LONGEST_BACKOFF_S: Final = 30.0
_dice = SystemRandom()


@dataclass(slots=True)
class Backoff:
    """How long one road is left alone after it took no calls. Times are monotonic seconds."""

    failures: int = 0
    not_before: float = 0.0

    def failed(self, now: float) -> None:
        """It took no call: wait twice as long as last time."""
        wait_s = min(_FIRST_BACKOFF_S * 2**self.failures, _LONGEST_BACKOFF_S) * _dice.uniform(0.9, 1.1)
        self.failures = min(self.failures + 1, 10)
        self.not_before = max(self.not_before, now + wait_s)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call that could be dialled now: its engine, not begun, and its audio."""

    state: State
    audio: CallAudio


class UnderWay(Protocol):
    """A call over a trunk, as the desk knows it."""

    def end(self, reason: str) -> None:
        """End the call from our side, whatever its state."""


@dataclass(slots=True)
class Desk:
    """Shared by the loops.

    roads:    by (mode, what a sender's `voice` says).
    plan:     calls read or committed whose first byte has not left.
    sessions: calls over trunks that are under way, by call id.
    elsewhere: calls that the carrier holds; their reports end them.
    launches: broadcasts before their first call.
    tasks:    one a call that is being dialled or is up.
    backoffs: by (mode, voice), as roads.
    """

    database: Database
    signals: Signals
    counters: Counters
    prompts: Prompts
    roads: Mapping[tuple[str, str], Road]
    plans: Plans
    channels: Channels
    leases: Leases
    launches: Launches
    plan: Plan[Call]
    sessions: dict[str, UnderWay] = field(default_factory=dict)
    elsewhere: set[str] = field(default_factory=set)
    is_closing: bool = False  # no new calls: the gateway stops
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    backoffs: defaultdict[tuple[str, str], Backoff] = field(default_factory=lambda: defaultdict(Backoff))

    def limits_of(self, road: Road, mode: str) -> tuple[Limit, ...]:
        """What a road's calls are limited by: calls per second, and calls at once."""
        name = road.carrier.name if isinstance(road, TrunkRoad) else f"{road.carrier.name}/api"
        return self.counters.of_trunk(name, mode, {"rate": rate_of(road.calls_per_second), "channels": road.channels})

    def wrote(self, slot: Slot) -> None:
        """A call leaves in this slot, now: all that share its rates keep their distance, other processes too."""
        at_us = now_us()
        for limit in slot.rates:
            self.plan.clock(limit).wrote(at_us)
        late_us = at_us - self.plan.redis_clock.local(slot.at_us)
        self.counters.wrote(slot, slot.at_us + late_us + self.plan.redis_clock.doubt_us)

    async def prepare(self, call: Call) -> Prepared:
        """Read a call's plan and render what it can need.

        Raises: UnknownDialplan, BadDialplan, BadVariables; what `CallAudio.prepare` raises; PromptTooLong where the
                values of one person of a broadcast are, which the look before its first call did not see.
        """
        _, plan = await self.plans.get(call.tenant_id, call.dialplan, call.dialplan_version)
        state = engine.start(plan, call.variables)
        audio = CallAudio(self.prompts.of(call.tenant_id))
        await audio.prepare(state)
        if call.job_id is not None:
            audio.check(state, longest_s=self.launches.longest_s)
        return Prepared(state, audio)


def rate_of(per_second: float) -> str:
    """Write a setting as a limit reads it, to four figures: of more, a rate would have too many units in its period."""
    return f"{float(f'{per_second:.4g}'):.4f}".rstrip("0").rstrip(".") + "/s"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known when a sender's calls are looked at.

    opted_out: numbers of people who said stop. hours: of jobs that may not call at any time, by id: see `Job.hours`.
    """

    sender: Sender | None
    opted_out: AbstractSet[str]
    hours: Mapping[str, Mapping[str, Any]]


def decide(call: Call, facts: Facts, now_ms: int) -> Send | Hold | Reject:
    """Decide on one call. Whether a sender may send texts does not matter here: calls are limited by the trunk."""
    sender = facts.sender
    if call.expires_ms is not None and call.expires_ms <= now_ms:
        return Reject("expired", "expired")
    if not facts.opted_out.isdisjoint(numbers_of(call)):
        return Reject("suppressed", "opted_out")
    if sender is None:
        return Hold("sender_unknown", None)
    if sender.status == "blocked":
        return Hold("sender_blocked", None)
    opens_ms = _opens_ms(call, facts.hours.get(call.job_id or ""), now_ms)
    return Send() if opens_ms == now_ms else Hold("quiet_hours", opens_ms)


def _opens_ms(call: Call, of_job: Mapping[str, Any] | None, now_ms: int) -> int | None:
    """When the job may call this person, from now on; None: at no time, since their zones have no common hour."""
    if of_job is None:
        return now_ms
    zones = [of_job["zone"]] if of_job["zone"] else phone.zones(call.recipient)
    return hours.opens_ms(hours.read(of_job["from"], of_job["to"], of_job["days"]), zones, now_ms)
