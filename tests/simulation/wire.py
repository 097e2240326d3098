"""The simulated carrier: it takes, refuses, throttles, hangs, breaks, answers late, and reports in any order.

It keeps its own ledger of what was written to it and when, by a clock that nobody steps. What it does once it has a
text goes on when the gateway that wrote it is dead.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from gateway.carriers.base import Incoming, Listed, Ready, Report, Written
from gateway.errors.carriers import CarrierListUnread
from gateway.model.message import Message
from gateway.model.outcome import Accepted, NotSent, Outcome, Refused, Throttled, Unknown
from tests.simulation.virtual_loop import VirtualLoop

# What befalls an offer, with how often in a troubled history. "well" takes the rest.
TROUBLES = {
    "no_connection": 0.04,
    "slow_connection": 0.06,
    "breaks_at_once": 0.03,
    "throttled": 0.06,
    "refused": 0.05,
    "http_500": 0.03,
    "http_500_taken": 0.03,
    "silent": 0.03,
    "silent_taken": 0.04,
    "answer_lost": 0.03,
    "answers_late": 0.06,
}
_ENDS = (("delivered", ""), ("delivered", ""), ("delivered", ""), ("undelivered", "30003"), ("failed", "30007"))


@dataclass(slots=True)
class Copy:
    """One write of one text.

    counted: the carrier processed it, that is, did not turn it away unlooked at. has: it is on the way to a person.
    """

    message: Message
    at_us: int
    fate: str
    counted: bool = True
    process: int = 0
    has: bool = False


@dataclass(slots=True)
class Carrier:
    """The far end of all processes. `report` brings a delivery report to whoever answers webhooks."""

    loop: VirtualLoop
    dice: Random
    true_us: Callable[[], int]
    spawn: Callable[[Any], Any]
    report: Callable[[Report], Any]
    say: Callable[[str], None]
    troubled: bool
    slow: bool
    starved: bool  # those who write to it are kept from their core now and then
    pace: float  # of its later reports
    copies: list[Copy] = field(default_factory=list)
    has: list[tuple[Message, Listed]] = field(default_factory=list)
    down: bool = False
    taken: int = 0

    def fate(self) -> str:
        """What befalls the next offer."""
        if self.down:
            return "no_connection"
        if not self.troubled:
            return "well"
        at = self.dice.random()
        for name, share in TROUBLES.items():
            at -= share
            if at < 0:
                return name
        return "well"

    def starve(self) -> None:
        """Let time pass between a writer's look at its clock and its write, as it does on a core that others use."""
        if self.starved and self.dice.random() < 0.2:
            self.loop.now_s += self.dice.choice([0.002, 0.02, 0.1, 0.4, 0.9])

    async def process(self, copy: Copy, answer: "asyncio.Future[Outcome]") -> None:
        """What the carrier does with what arrived, whether or not anybody waits for the answer."""
        dice = self.dice
        await asyncio.sleep(dice.uniform(0.001, 0.05) if copy.fate != "answers_late" else dice.uniform(0.5, 1.9))
        outcome: Outcome | None
        match copy.fate:
            case "throttled":
                outcome = Throttled("20429", dice.choice([None, None, 1.0]))
            case "refused":
                outcome = Refused("21211", "invalid_number")
            case "http_500" | "http_500_taken":
                outcome = Unknown("http_500")
            case "answer_lost":
                outcome = Unknown("connection_broken")
            case "silent" | "silent_taken":
                outcome = None
            case _:
                outcome = Accepted(f"SM{self.taken + 1}")
        if copy.fate in {"well", "answers_late", "http_500_taken", "answer_lost", "silent_taken", "slow_connection"}:
            self.taken += 1
            copy.has = True
            self.has.append(
                (
                    copy.message,
                    Listed(copy.message.body, self.true_us() // 1000, Report(None, f"SM{self.taken}", "sent")),
                )
            )
            self.spawn(self._reports(copy.message.id, f"SM{self.taken}"))
            if self.dice.random() < 0.1:  # a report overtakes the answer
                await asyncio.sleep(0.3)
        if outcome is not None and not answer.done():
            answer.set_result(outcome)

    async def _reports(self, message_id: str, sid: str) -> None:
        dice = self.dice
        status, code = dice.choice(_ENDS)
        reason = "unreachable" if code else ""
        told = [Report(message_id, sid, "sent"), Report(message_id, sid, status, reason, code)]
        if self.slow:
            if dice.random() < 0.3:
                told.reverse()
            if dice.random() < 0.2:
                told.append(told[dice.randrange(2)])
            if dice.random() < 0.15:
                told.pop(dice.randrange(len(told)))
            if dice.random() < 0.1:
                told.append(Report(message_id, sid, "undelivered", "unreachable", "30003"))
        for report in told:
            await asyncio.sleep(dice.uniform(0.0, 0.4) if dice.random() < 0.8 else self.pace * dice.uniform(1, 8))
            await self.report(report)


@dataclass(slots=True)
class Road:
    """A `SmsCarrier`: one process's way to the carrier."""

    carrier: Carrier
    process: int
    name: str = "twilio"
    secrets: frozenset[str] = frozenset()

    async def send(
        self, message: Message, ready: Ready, on_written: Written, *, timeout_s: float, validity_s: int | None
    ) -> Outcome:
        """Offer one message, once: see SmsCarrier."""
        far, dice = self.carrier, self.carrier.dice
        fate = far.fate()
        if fate == "slow_connection":
            await asyncio.sleep(dice.choice([0.05, 0.2, 0.6, 2.5, 3.5]))
        elif dice.random() < 0.7:
            await asyncio.sleep(dice.uniform(0.0, 0.003))
        if fate == "no_connection":
            return NotSent("connection_refused")
        if not await ready():
            return NotSent("taken_back")
        far.starve()
        on_written()
        if fate == "breaks_at_once":
            return Unknown("connection_broken")
        copy = Copy(message, far.true_us(), fate, fate != "throttled", self.process)
        far.copies.append(copy)
        far.say(f"wire {message.id[-6:]} {message.sender[-2:]} x{message.segments} from {self.process}: {fate}")
        answer: asyncio.Future[Outcome] = far.loop.create_future()
        far.spawn(far.process(copy, answer))
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            return Unknown("timeout")

    async def listed(self, sender: str, recipient: str, since_ms: int, *, timeout_s: float) -> list[Listed]:
        """What the carrier has: see ListingCarrier."""
        await asyncio.sleep(self.carrier.dice.uniform(0.01, 0.2))
        if self.carrier.down:
            raise CarrierListUnread("twilio", "down")
        pairs = reversed(self.carrier.has)
        return [
            each
            for message, each in pairs
            if (message.sender, message.recipient) == (sender, recipient) and each.created_ms >= since_ms
        ]

    def read_report(self, form: Any, query: Any) -> Report:
        """Reports come translated."""
        raise NotImplementedError

    def read_incoming(self, form: Any) -> Incoming:
        """Texts come translated."""
        raise NotImplementedError
