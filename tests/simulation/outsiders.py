"""What comes to the gateway from outside: texts and jobs of an engine, words of people, reports of the carrier."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from gateway.carriers.base import Incoming, Report
from gateway.clock import new_id, now_ms
from gateway.errors.store import StoreUnavailable
from gateway.model.job import Job
from gateway.model.limit import Limit
from gateway.model.message import Message
from gateway.model.opt_out import OptOut
from gateway.store.records import to_row
from tests.simulation.judge import Record, Span
from tests.simulation.process import DiedError, Process
from tests.simulation.world import Clocks


@dataclass(slots=True)
class Outsiders:
    """Those of one history. They write into `record` what was acknowledged; `process` is one that is asked.

    began: the state in which each text was handed over.
    """

    dice: Random
    clocks: Clocks
    record: Record
    senders: Mapping[str, Sequence[Limit]]
    process: Callable[[], Process]
    say: Callable[[str], None]
    began: dict[str, str] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    _asking: set[str] = field(default_factory=set)  # people and jobs of whom something is asked just now

    async def accept(self) -> None:
        dice = self.dice
        sender = dice.choice(sorted(self.senders))
        job = (
            Job(new_id("job"), "acme", "live", "sms", sender, {}, on_unknown=dice.choice(["rest", "rest", "resend"]))
            if dice.random() < 0.6
            else None
        )
        messages = [self._message(sender, job) for _ in range(dice.randint(1, 6))]
        rows = [to_row(message) for message in messages]
        self.began |= {message.id: message.status for message in messages}
        try:
            await self.process().accept(job, rows)
        except (DiedError, StoreUnavailable) as error:
            self.say(f"  not acknowledged: {error!r}")
            return
        self.record.accepted |= {message.id for message in messages}
        self.say(f"  accepted from {sender}: {[(m.id[-6:], m.segments) for m in messages]}")
        if job is not None:
            self.jobs.append(job)

    def _message(self, sender: str, job: Job | None) -> Message:
        dice = self.dice
        scheduled = dice.random() < 0.1
        now = now_ms()
        return Message(
            id=new_id("msg"),
            tenant_id="acme",
            mode="live",
            sender=sender,
            recipient=self._person(),
            body=f"Your bill is due {dice.randrange(3)}",
            encoding="gsm7",
            segments=dice.choice([1, 1, 1, 2, 3]),
            job_id=job.id if job is not None else None,
            priority=dice.choice([0, 0, 0, 5]),
            status="held" if scheduled else "queued",
            reason="scheduled" if scheduled else "",
            hold_until_ms=now + dice.randint(1, 5000) if scheduled else None,
            expires_ms=now + dice.randint(500, 20_000) if dice.random() < 0.1 else None,
            created_ms=now,
            updated_ms=now,
        )

    def _person(self) -> str:
        return f"+1212555{self.dice.randrange(1200, 1206)}"

    async def speak(self) -> None:
        dice = self.dice
        person, sender = self._person(), dice.choice(sorted(self.senders))
        words = dice.choice(["STOP", "STOP", "STOP", "START", "HELP", "by API"])
        if person in self._asking:  # who says two things at once cannot know which comes first
            return
        self._asking.add(person)
        self.say(f"  {person} to {sender}: {words}")
        if words == "START":
            for span in self.record.stops:
                if span.of in {f"{person} tenant", f"{person} {sender}"} and span.until_us is None:
                    span.until_us = self.clocks.true_us()
        for _ in range(dice.randint(1, 3)):
            try:
                if words == "by API":
                    scope = dice.choice(["tenant", sender])
                    await self.process().opt_out(OptOut("acme", "live", person, scope, "api", "asked", now_ms()))
                else:
                    scope = "tenant"
                    await self.process().take_text(Incoming(f"IN{dice.getrandbits(60)}", sender, person, words))
            except (DiedError, StoreUnavailable):
                await asyncio.sleep(dice.uniform(0.1, 1))
            else:
                if words in {"STOP", "by API"}:
                    self.record.stops.append(Span(words, f"{person} {scope}", self.clocks.true_us()))
                self.say("  acknowledged")
                break
        self._asking.discard(person)

    async def change_job(self) -> None:
        dice = self.dice
        if not self.jobs:
            return
        job = dice.choice(self.jobs)
        if dice.random() < 0.4:
            await self._ask_of_job(job, dice.choice(["paused", "paused", "running", "cancelled"]))
            return
        for _ in range(dice.randint(1, 3)):  # somebody cannot decide: what was taken back is read again at once
            await self._ask_of_job(job, "paused")
            await asyncio.sleep(dice.choice([0.0, 0.01, 0.1]))
            await self._ask_of_job(job, "running")
            await asyncio.sleep(dice.choice([0.0, 0.05, 0.3]))

    async def _ask_of_job(self, job: Job, status: str) -> None:
        if job.id in self._asking:
            return
        self._asking.add(job.id)
        self.say(f"  {job.id[-6:]}: {status}")
        if status == "running":
            for span in self.record.jobs:
                if span.of == job.id and span.what == "paused" and span.until_us is None:
                    span.until_us = self.clocks.true_us()
        try:
            moved = await self.process().change_job(job, status)
        except (DiedError, StoreUnavailable):
            return
        finally:
            self._asking.discard(job.id)
        if moved is not None and status != "running":
            self.record.jobs.append(Span(status, job.id, self.clocks.true_us()))
            self.say("  acknowledged")

    async def report(self, report: Report) -> None:
        """What the carrier says; it tries again where nobody answers, a few times."""
        for _ in range(4):
            try:
                await self.process().report(report)
            except (DiedError, StoreUnavailable):
                await asyncio.sleep(1.0)
            else:
                self.say(f"report {report.message_id and report.message_id[-6:]} {report.status}")
                return
