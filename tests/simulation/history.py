"""One history: a seed makes a world, what is sent in it and what befalls it; the judge looks at what came of it."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

from gateway.carriers.base import Incoming, Report
from gateway.clock import new_id, now_ms
from gateway.errors.limits import RedisAway
from gateway.errors.store import StoreUnavailable
from gateway.limits.gate import MARKER
from gateway.model.job import Job
from gateway.model.limit import Cap, Limit
from gateway.model.message import Message
from gateway.model.opt_out import OptOut
from gateway.model.tenant import Tenant
from gateway.store import scopes, tenants
from gateway.store.records import to_row
from gateway.store.tx import Tx
from tests.simulation import furniture
from tests.simulation.judge import EVERYBODY, Ledgers, Record, Span
from tests.simulation.patching import bury, patched
from tests.simulation.process import DiedError, Process
from tests.simulation.redis_model import Server
from tests.simulation.troubles import Troubles
from tests.simulation.virtual_loop import Hang, VirtualLoop
from tests.simulation.wire import Carrier
from tests.simulation.world import Clocks, Disk, Line, Outside, Redis, Store

STEPS: Final = (
    *("accept:before", "accept:after", "take:before", "take:after", "sending:before", "sending:after", "wire:before"),
    *("wire:after", "settle:before", "settle:after", "stop:before", "stop:after", "report:before", "report:after"),
    *("rebuild:before", "rebuild:after", "commit:before", "commit:after"),
)
# Instants at which windows end: days of all kinds, the clocks' changes, a week, a month; and one at which none does.
EDGES: Final = tuple(
    int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
    for text in (
        *("2026-03-08T08:00", "2026-03-09T07:00", "2026-11-01T07:00", "2026-11-02T08:00", "2026-02-01T08:00"),
        *("2026-06-14T07:00", "2026-05-05T18:00", "2026-05-05T18:00", "2026-12-31T08:00", "2026-05-06T02:30"),
    )
)
KINDS: Final = ("carrier", "reports", "redis", "network", "crash", "disk", "people", "jobs", "clock", "stop", "freeze")
_PACES: Final = (0.25, 0.25, 0.5, 1.0)  # most worlds are short: what befalls them does so within 2 s, 4 s or 8 s
_LONGEST_S: Final = 8.0
_GLANCE_S: Final = 0.25
_PATIENCE_S: Final = 240.0  # then everything must have come to rest
_BEGINS_S: Final = 1000.0
_NOT_STATES: Final = {"message.report", "message.unsettled", "message.resent"}


@dataclass
class History:
    """Made from its seed alone. `trace` is called with each thing that happens."""

    seed: int
    trace: Callable[[str], None] | None = None
    troubles: frozenset[str] = frozenset()
    record: Record = field(default_factory=Record)
    senders: dict[str, tuple[Limit, ...]] = field(default_factory=dict)
    shared: tuple[Limit, ...] = ()  # by all senders
    began: dict[str, str] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    texts: int = 0
    digest: str = ""  # what was written, and when

    def run(self, store: Store) -> list[str]:
        """Live it; returns what was wrong."""
        self._dice = dice = Random(f"{self.seed} world")
        self.troubles = frozenset(kind for kind in KINDS if dice.random() < (0.25 if kind == "clock" else 0.5))
        self._pace = dice.choice(_PACES)
        self._loop = loop = VirtualLoop(Random(f"{self.seed} loop"), _BEGINS_S)
        edge_us = dice.choice(EDGES) * 1_000_000
        self._clocks = Clocks(
            loop, edge_us - round((_BEGINS_S + dice.uniform(0, max(4.0, self._pace * _LONGEST_S))) * 1e6)
        )
        self._clocks.redis_us = self._redis_us = round(dice.uniform(-200_000, 200_000))
        self._store = store
        self._redis = Redis(Server(self._clocks.redis_wall_us), dice, troubled="network" in self.troubles)
        self._outside = Outside(loop)
        troubled = "carrier" in self.troubles
        self._carrier = Carrier(
            loop, Random(f"{self.seed} carrier"), self._clocks.true_us, self._outside.spawn, self._report, self.say,
            troubled, "reports" in self.troubles, "freeze" in self.troubles, self._pace,
        )  # fmt: skip
        self.alone = dice.random() < 0.5
        self._line = None if self.alone else Line(loop, store)
        self._replaced: set[int] = set()
        self._asking: set[str] = set()  # people and jobs of whom something is asked just now
        store.clear()
        with patched(self._clocks, Random(f"{self.seed} chance")):
            try:
                loop.run_until_complete(self._outside.spawn(self._live()))
                faults = list(self._judge())
            except Hang as hang:
                faults = [f"hang: {hang}"]
            finally:
                bury(loop, self.processes)
        self.texts = len(self._carrier.copies)
        self.digest = repr([(copy.message.id, copy.at_us, copy.fate) for copy in self._carrier.copies])
        return faults

    def say(self, text: str) -> None:
        """Into the trace."""
        if self.trace is not None:
            self.trace(f"{self._loop.now_s - _BEGINS_S:9.4f} {text}")

    # --- the course of things

    async def _live(self) -> None:
        await self._furnish()
        for _ in range(1 if self.alone else 2):
            self._begin_process()
        plans = sorted(self._plans(), key=lambda plan: plan[0])
        at_once = [self._outside.spawn(self._at(at_s * self._pace, what, work)) for at_s, what, work in plans]
        await asyncio.wait(at_once, timeout=_LONGEST_S * self._pace)
        self._heal()
        await self._rest()

    async def _at(self, at_s: float, what: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await asyncio.sleep(at_s)
        self.say(what)
        await work()

    async def _furnish(self) -> None:
        dice = self._dice
        senders, scope = furniture.senders(dice), furniture.shared(dice)
        for sender in senders:
            self.senders[sender.number] = furniture.limits_of(sender)
            self.say(f"sender {sender.number}: {sender.limits}")
        if scope is not None:
            self.shared = furniture.limits_of(scope)
            self.say(f"they share: {scope.limits}")

        async def work(tx: Tx) -> None:
            await tenants.add_tenant(tx, Tenant("acme", "Acme Water", 0))
            for each in senders:
                await tenants.put_sender(tx, each)
            if scope is not None:
                await scopes.put(tx, scope)

        await Disk(self._store, dice).commit(lambda: [_pending(work)])
        self.say(f"troubles: {sorted(self.troubles)}, {'one process' if self.alone else 'two processes'}")

    def _begin_process(self) -> None:
        number = len(self.processes)
        process = Process(
            number,
            self._loop,
            Disk(self._store, self._dice),
            self._redis,
            self._carrier,
            self._clocks,
            self._line,
            self.record.complaints.append,
        )
        self.processes.append(process)
        process.start()
        self.say(f"process {number} starts")

    @property
    def process(self) -> Process:
        """One that lives, if any does."""
        living = [process for process in self.processes if not process.dead]
        return self._dice.choice(living) if living else self.processes[-1]

    # --- what is sent, and what befalls

    def _plans(self) -> Iterator[tuple[float, str, Callable[[], Coroutine[Any, Any, None]]]]:
        dice = self._dice
        befalls = Troubles(dice, self._redis, self._store, self._clocks, self._carrier, self._line, self.say)
        for _ in range(dice.randint(1, 3)):
            yield dice.choice([0.2, dice.uniform(0, 4)]), "accept", self._accept
        if "people" in self.troubles:
            for _ in range(dice.randint(1, 5)):
                yield dice.uniform(0.2, 7), "somebody speaks", self._speak
        if "jobs" in self.troubles:
            for _ in range(dice.randint(1, 4)):
                yield dice.uniform(0.2, 7), "a job changes", self._change_job
        if "crash" in self.troubles:
            for _ in range(dice.randint(1, 3)):
                yield dice.uniform(0, 6), "doom", self._doom
        if "stop" in self.troubles:
            yield dice.uniform(0.5, 6), "clean stop", self._stop
        if "freeze" in self.troubles:
            for _ in range(dice.randint(1, 2)):
                yield dice.uniform(0.2, 6), "SIGSTOP", self._freeze
        if "redis" in self.troubles:
            for _ in range(dice.randint(1, 3)):
                name = dice.choice(["away", "silent", "flush", "restart", "restart empty", "stale", "evict"])
                yield dice.uniform(0, 7), f"redis: {name}", getattr(befalls, f"redis_{name.replace(' ', '_')}")
        if "disk" in self.troubles:
            yield dice.uniform(0, 7), "the disk", befalls.disk
        if "clock" in self.troubles:
            yield dice.uniform(0, 6), "the clocks", befalls.change_clocks
        if "carrier" in self.troubles and dice.random() < 0.3:
            yield dice.uniform(0, 6), "the carrier is down", befalls.carrier_away

    async def _accept(self) -> None:
        dice = self._dice
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
            await self.process.accept(job, rows)
        except (DiedError, StoreUnavailable) as error:
            self.say(f"  not acknowledged: {error!r}")
            return
        self.record.accepted |= {message.id for message in messages}
        self.say(f"  accepted from {sender}: {[(m.id[-6:], m.segments) for m in messages]}")
        if job is not None:
            self.jobs.append(job)

    def _message(self, sender: str, job: Job | None) -> Message:
        dice = self._dice
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
        return f"+1212555{self._dice.randrange(1200, 1206)}"

    async def _speak(self) -> None:
        dice = self._dice
        person, sender = self._person(), dice.choice(sorted(self.senders))
        words = dice.choice(["STOP", "STOP", "STOP", "START", "HELP", "by API"])
        if person in self._asking:  # who says two things at once cannot know which comes first
            return
        self._asking.add(person)
        self.say(f"  {person} to {sender}: {words}")
        if words == "START":
            for span in self.record.stops:
                if span.of in {f"{person} tenant", f"{person} {sender}"} and span.until_us is None:
                    span.until_us = self._clocks.true_us()
        for _ in range(dice.randint(1, 3)):
            try:
                if words == "by API":
                    scope = dice.choice(["tenant", sender])
                    await self.process.opt_out(OptOut("acme", "live", person, scope, "api", "asked", now_ms()))
                else:
                    scope = "tenant"
                    await self.process.take_text(Incoming(f"IN{dice.getrandbits(60)}", sender, person, words))
            except (DiedError, StoreUnavailable):
                await asyncio.sleep(dice.uniform(0.1, 1))
            else:
                if words in {"STOP", "by API"}:
                    self.record.stops.append(Span(words, f"{person} {scope}", self._clocks.true_us()))
                self.say("  acknowledged")
                break
        self._asking.discard(person)

    async def _change_job(self) -> None:
        dice = self._dice
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
                    span.until_us = self._clocks.true_us()
        try:
            moved = await self.process.change_job(job, status)
        except (DiedError, StoreUnavailable):
            return
        finally:
            self._asking.discard(job.id)
        if moved is not None and status != "running":
            self.record.jobs.append(Span(status, job.id, self._clocks.true_us()))
            self.say("  acknowledged")

    async def _report(self, report: Report) -> None:
        """What the carrier says; it tries again where nobody answers, a few times."""
        for _ in range(4):
            try:
                await self.process.report(report)
            except (DiedError, StoreUnavailable):
                await asyncio.sleep(1.0)
            else:
                self.say(f"report {report.message_id and report.message_id[-6:]} {report.status}")
                return

    # --- troubles

    async def _doom(self) -> None:
        dice, process = self._dice, self.process
        if dice.random() < 0.5:
            process.doomed_turns = dice.randrange(200)
        else:
            process.doomed_step = (dice.choice(STEPS), dice.randrange(4))
        await asyncio.wait([process.gone], timeout=5.0)
        process.kill()
        self.say(f"process {process.number} is dead ({process.doomed_turns}, {process.doomed_step})")
        await self._replace(process)

    async def _replace(self, process: Process) -> None:
        """One that has ended gets a successor: one only, however many ends it met."""
        await asyncio.sleep(self._dice.choice([0.05, 0.3, 2.0]))
        if process.number not in self._replaced:
            self._replaced.add(process.number)
            self._begin_process()

    async def _freeze(self) -> None:
        process = self.process
        if process.dead or process.backlog is not None:
            return
        process.backlog = []
        self.say(f"process {process.number} is stopped")
        await asyncio.sleep(self._dice.choice([0.3, 1.5, 3.0, 7.0]))
        if not process.dead:
            self._loop.resume(process)
            self.say(f"process {process.number} goes on")

    async def _stop(self) -> None:
        process = self.process
        await process.stop()
        self.say(f"process {process.number} has ended")
        await self._replace(process)

    # --- the end

    def _heal(self) -> None:
        self.say("all is well again")
        self._redis.away, self._store.down, self._store.slow_s = False, False, 0.0
        self._redis.wake()
        self._redis.troubled = False
        self._carrier.down = self._carrier.troubled = False
        self._clocks.host_us = 0
        if abs(self._clocks.redis_us) > 1_000_000:
            self._clocks.redis_us = self._redis_us

    async def _rest(self) -> None:
        process, until = self.process, self._loop.time() + _PATIENCE_S
        while self._loop.time() < until:
            await asyncio.sleep(_GLANCE_S)
            process = self.process
            if process.dead or not process.ready or len(self._outside.tasks) > 1:
                continue
            soon = now_ms() + 60_000
            if not self._store.query(
                "SELECT 1 FROM messages WHERE status IN ('queued', 'sending') "
                "OR (status = 'held' AND hold_until_ms < ? AND NOT EXISTS "
                "(SELECT 1 FROM jobs WHERE jobs.id = job_id AND jobs.status = 'paused')) LIMIT 1",
                soon,
            ):
                break
        try:
            await process.look_at_redis()
        except (DiedError, StoreUnavailable, RedisAway) as error:
            self.record.complaints.append(f"P1: nobody is there at the end: {error!r}")

    def _judge(self) -> Iterator[str]:
        rows = {
            row["id"]: {**dict(row), "began": self.began.get(row["id"], "queued")}
            for row in self._store.query("SELECT id, status, reason, copies FROM messages")
        }
        events = [
            (row["subject"], row["type"].partition(".")[2])
            for row in self._store.query("SELECT subject, type FROM events WHERE type LIKE 'message.%' ORDER BY seq")
            if row["type"] not in _NOT_STATES
        ]
        usage = {
            (row["limit_key"], row["window_us"]): row["used"] for row in self._store.query("SELECT * FROM limit_usage")
        }
        yield from (f"outside: {error!r}" for error in self._outside.failed)
        yield from Ledgers(
            self.record, rows, events, usage, self._carrier.copies, self._limits, self._debited()
        ).faults()

    @property
    def _limits(self) -> dict[str, tuple[Limit, ...]]:
        return {**self.senders, EVERYBODY: self.shared}

    def _debited(self) -> dict[tuple[str, int], int] | None:
        (row,) = self._store.query("SELECT epoch FROM limit_epoch")
        if self._redis.server.do_hget(MARKER, "epoch") != str(row["epoch"]):
            return None
        found: dict[tuple[str, int], int] = {}
        for cap in (limit for limits in self._limits.values() for limit in limits if isinstance(limit, Cap)):
            key = f"{{gateway}}:cap:{cap.key}"
            words = self._redis.server.do_hgetall(key)
            if not words and self._redis.server.do_hget(MARKER, f"c:{key}"):
                return None  # evicted: the next take will notice
            found |= {(cap.key, int(start)): int(used) for start, used in zip(words[::2], words[1::2], strict=True)}
        return found


def _pending(work: Any) -> Any:
    from gateway.store.tx import Pending

    return Pending(work, asyncio.get_running_loop().create_future())
