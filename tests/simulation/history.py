"""One history: a seed makes a world, what is sent in it and what befalls it; the judge looks at what came of it."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

from gateway.clock import now_ms
from gateway.errors.limits import RedisAway
from gateway.errors.store import StoreUnavailable
from gateway.limits.gate import MARKER
from gateway.model.left import Ask
from gateway.model.limit import Cap, Limit
from gateway.model.tenant import Tenant
from gateway.store import left, scopes, tenants
from gateway.store.sqlite import queries
from gateway.store.tx import Tx
from tests.simulation import furniture
from tests.simulation.judge import EVERYBODY, Ledgers, Record
from tests.simulation.outsiders import Outsiders
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
_LATE: Final = 0.15  # of all worlds: a limit comes while texts leave
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
    before: int = 0  # segments that had left when that came
    processes: list[Process] = field(default_factory=list)
    texts: int = 0
    digest: str = ""  # what was written, and when

    def run(self, store: Store) -> list[str]:
        """Live it; returns what was wrong."""
        self._dice = dice = Random(f"{self.seed} world")
        self._chance = Random(f"{self.seed} limits")
        self.troubles = frozenset(kind for kind in KINDS if dice.random() < (0.25 if kind == "clock" else 0.5))
        # what left is counted by its stamps: of a clock that was moved they say nothing
        self._comes_late = self._chance.random() < _LATE and "clock" not in self.troubles
        self._pace = dice.choice(_PACES)
        self._loop = loop = VirtualLoop(Random(f"{self.seed} loop"), _BEGINS_S)
        edge_us = dice.choice(EDGES) * 1_000_000
        self._clocks = Clocks(
            loop, edge_us - round((_BEGINS_S + dice.uniform(0, max(4.0, self._pace * _LONGEST_S))) * 1e6)
        )
        self._is_healed = False
        self._clocks.redis_us = self._redis_us = round(dice.uniform(-200_000, 200_000))
        self._store = store
        self._redis = Redis(Server(self._clocks.redis_wall_us), dice, troubled="network" in self.troubles)
        self._outside = Outside(loop)
        self._asked = Outsiders(dice, self._clocks, self.record, self.senders, lambda: self.process, self.say)
        troubled = "carrier" in self.troubles
        self._carrier = Carrier(
            loop, Random(f"{self.seed} carrier"), self._clocks.true_us, self._outside.spawn, self._asked.report, self.say,
            troubled, "reports" in self.troubles, "freeze" in self.troubles, self._pace,
        )  # fmt: skip
        self.alone = dice.random() < 0.5
        self._line = None if self.alone else Line(loop, store)
        self._replaced: set[int] = set()
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
        if self._is_healed:  # whoever was stopped held its turn up until now
            return
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
            yield dice.choice([0.2, dice.uniform(0, 4)]), "accept", self._asked.accept
        if self._comes_late:
            yield self._chance.uniform(0.3, 5), "a limit comes", self._limit
        if "people" in self.troubles:
            for _ in range(dice.randint(1, 5)):
                yield dice.uniform(0.2, 7), "somebody speaks", self._asked.speak
        if "jobs" in self.troubles:
            for _ in range(dice.randint(1, 4)):
                yield dice.uniform(0.2, 7), "a job changes", self._asked.change_job
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

    async def _limit(self) -> None:
        """What they share comes, or comes anew, in the middle of its windows: by any process, or by an operator."""
        scope = furniture.late(self._chance)

        async def work(tx: Tx) -> None:
            await scopes.put(tx, scope)
            every = Ask(
                "tenant:acme", "live", calls=False, each=False, part_us=1, near_us=0, since_us=0, until_us=2**60
            )
            self.before = sum(each.segments for each in await left.counted(tx, every))

        try:
            await Disk(self._store, self._chance).commit(lambda: [_pending(work)])
        except StoreUnavailable:
            return
        self.shared = furniture.limits_of(scope)
        self.say(f"they share from now on: {scope.limits}, and {self.before} left before")

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
        self._is_healed = True
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
            row["id"]: {**dict(row), "began": self._asked.began.get(row["id"], "queued")}
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
        counted = {row["limit_key"]: row["since_us"] for row in self._store.query(queries()["counted_now"])}
        yield from (f"outside: {error!r}" for error in self._outside.failed)
        yield from Ledgers(
            self.record, rows, events, usage, self._carrier.copies, self._limits, self._debited(), counted, self.before
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
