"""One gateway process of the simulation: the real loops, store functions, gate and scripts, wired as the app does."""

import asyncio
import contextlib
import contextvars
from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, cast

from redis.asyncio import Redis as RedisClient

from gateway import steps
from gateway.carriers import reports
from gateway.carriers.base import Incoming, Report
from gateway.carriers.inbound import InboundTexts
from gateway.clock import now_ms
from gateway.errors import GatewayError
from gateway.errors.limits import RedisAway
from gateway.errors.store import StoreUnavailable
from gateway.limits.gate import Gate
from gateway.limits.profiles import Profiles
from gateway.metrics import Metrics
from gateway.model.job import Job
from gateway.model.opt_out import OptOut
from gateway.settings import Settings, Sms
from gateway.sms import keywords
from gateway.store import jobs, opt_outs, usage
from gateway.store.bus import Bus
from gateway.store.database import Database, Tx
from gateway.store.elsewhere import OtherProcesses
from gateway.store.signals import Signals
from gateway.workers.counters import Counters
from gateway.workers.housekeeper import Housekeeper
from gateway.workers.leases import Leases
from gateway.workers.loops import ended, kept_alive
from gateway.workers.reconciler import Reconciler
from gateway.workers.sms_sender import SmsSender
from tests.simulation.redis_client import ModelRedis
from tests.simulation.virtual_loop import Killed, VirtualLoop, process_of
from tests.simulation.wire import Carrier, Road
from tests.simulation.world import Clocks, Disk, Ear, Line, Redis

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 2.0


class DiedError(Exception):
    """The process that was asked died before it answered."""


@lru_cache
def profiles() -> Profiles:
    return Profiles.load(ROOT / "config/limits.toml")


@lru_cache
def _words() -> keywords.Keywords:
    return keywords.load((ROOT / "config/keywords.toml").read_text())


@lru_cache
def _metrics() -> Metrics:
    return Metrics()


@lru_cache
def _settings() -> Settings:
    return Settings(sms=Sms(ask_every_s=3, ask_window_s=4))


class Process:
    """Runs until it is stopped or killed.

    doomed_step: at which named step it dies, and after how many of them; doomed_turns: after how many turns.
    """

    def __init__(
        self,
        number: int,
        loop: VirtualLoop,
        disk: Disk,
        redis: Redis,
        carrier: Carrier,
        clocks: Clocks,
        line: Line | None,
        complain: Callable[[str], None],
    ) -> None:
        self._complain = complain
        self.number = number
        self.backlog: list[Any] | None = None
        self.dead = False
        self.ready = False
        self.doomed_turns: int | None = None
        self.doomed_step: tuple[str, int] | None = None
        self._loop = loop
        self._clocks = clocks
        self._road = Road(carrier, number)
        self._database = Database(disk)
        self._signals = Signals()
        self._line = line
        self._gate = Gate(
            cast("RedisClient", ModelRedis(redis.server, redis.link)),
            timeout_s=0.5,
            wall_us=lambda: clocks.time_ns() // 1000,
        )
        self._counters = Counters(self._gate, self._database, profiles(), _metrics())
        self._inbound = InboundTexts(self._database, self._signals, _words())
        self._context = contextvars.copy_context()
        self._context.run(process_of.set, self)
        self._asked: list[asyncio.Future[Any]] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self._main: asyncio.Task[None] | None = None
        self.gone: asyncio.Future[None] = loop.create_future()

    # --- its life

    def start(self) -> None:
        """Begin."""
        self._main = self._spawn(self._run())

    async def stop(self) -> None:
        """SIGTERM: returns when it has ended, or was killed meanwhile."""
        if self.dead or self._main is None:
            return
        self._main.cancel()
        ended = self._loop.create_future()
        self._asked.append(ended)
        self._main.add_done_callback(lambda _done: ended.done() or ended.set_result(None))
        with contextlib.suppress(DiedError):
            await ended
        self.kill()

    def kill(self) -> None:
        """Kill -9: nothing of it runs any more."""
        self.dead = True
        self.backlog = None
        if not self.gone.done():
            self.gone.set_result(None)
        for asked in self._asked:
            if not asked.done():
                asked.set_exception(DiedError())
                asked.exception()

    def stepped(self) -> None:
        """One turn of its. See Mortal."""
        if self.doomed_turns is not None:
            self.doomed_turns -= 1
            if self.doomed_turns < 0:
                self.kill()

    def reached(self, step: str) -> None:
        """It came to a named step."""
        if self.dead or self.doomed_step is None or self.doomed_step[0] != step:
            return
        self.doomed_step = (step, self.doomed_step[1] - 1)
        if self.doomed_step[1] < 0:
            self.kill()
            raise Killed

    def _spawn(self, coroutine: Any) -> asyncio.Task[Any]:
        task = self._loop.create_task(coroutine, context=self._context)
        self.tasks.append(task)
        return task

    async def _run(self) -> None:
        """As `gateway.app` does."""
        async with contextlib.AsyncExitStack() as stack:
            writer = asyncio.create_task(self._database._write_loop())
            stack.callback(writer.cancel)
            if self._line is not None:
                others = OtherProcesses(self._database, self._signals, cast("Bus", Ear(self._line)))
                await others.start()
                stack.push_async_callback(others.stop)
            await self._begin()
            metrics, settings, roads = _metrics(), _settings(), {"twilio": self._road}
            leases = Leases(self._database, self._signals, alone=self._line is None)
            texts = SmsSender(
                self._database,
                self._signals,
                self._counters,
                self._gate,
                leases,
                roads,
                settings.sms,
                TIMEOUT_S,
                metrics,
            )
            await self._insist(leases.begin)
            stack.push_async_callback(leases.end)
            housekeeper = Housekeeper(self._database, self._signals, settings, metrics)
            asking = Reconciler(self._database, self._signals, roads, settings.sms, TIMEOUT_S, metrics)
            for loop in (leases.run, housekeeper.run, texts.run, asking.run):
                task = asyncio.create_task(kept_alive(loop.__qualname__, partial(self._watched, loop)))
                stack.push_async_callback(ended, task)
            self.ready = True
            await asyncio.Event().wait()

    async def _watched(self, loop: Callable[[], Awaitable[None]]) -> None:
        """A loop that fails is begun again; one that fails for a reason of its own has a fault."""
        try:
            await loop()
        except GatewayError:
            raise
        except Exception as error:
            self._complain(f"a loop of process {self.number} failed: {error!r}")
            raise

    async def _begin(self) -> None:
        self._gate.adopt(await self._insist(lambda: self._database.read(usage.epoch)))
        with contextlib.suppress(RedisAway, StoreUnavailable):
            await self._counters.begin()

    async def _insist(self, what: Callable[[], Awaitable[Any]]) -> Any:
        """Whoever supervises a process starts it again when it cannot open its database."""
        while True:
            try:
                return await what()
            except StoreUnavailable:
                await asyncio.sleep(0.5)

    # --- what is asked of it from outside: each returns when it is acknowledged

    async def ask(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Run a request in it. Raises DiedError, or what the request raised."""
        if self.dead or not self.ready:
            raise DiedError
        answered: asyncio.Future[Any] = self._loop.create_future()

        async def request() -> None:
            try:
                result = await work()
            except Exception as error:  # noqa: BLE001 - it is the asker's
                if not answered.done():
                    answered.set_exception(error)
            else:
                if not answered.done():
                    answered.set_result(result)

        self._asked.append(answered)
        self._spawn(request())
        return await answered

    async def accept(self, job: Job | None, rows: list[dict[str, Any]]) -> None:
        """`POST /v1/messages` or `/v1/jobs`."""

        async def work(tx: Tx) -> None:
            if job is not None:
                await jobs.accept(tx, job)
            await tx.many("messages_insert", rows)

        async def request() -> None:
            steps.reached("accept:before")
            await self._database.write(work)
            steps.reached("accept:after")
            self._signals.wake("messages")

        await self.ask(request)

    async def take_text(self, text: Incoming) -> None:
        """A person's text comes in by the carrier's webhook."""
        await self.ask(lambda: self._inbound.take("twilio", "live", text, now_ms()))

    async def opt_out(self, said: OptOut) -> list[str]:
        """`PUT /v1/opt-outs/{number}`."""
        cancelled: list[str] = await self.ask(lambda: opt_outs.stop_with_recall(self._database, self._signals, said))
        return cancelled

    async def change_job(self, job: Job, status: str) -> Job | None:
        """`POST /v1/jobs/{id}/pause|resume|cancel`."""

        async def request() -> Job | None:
            if status == "running":
                moved = await self._database.write(lambda tx: jobs.change(tx, job, status, now_ms()))
            else:
                moved = await jobs.change_with_recall(self._database, self._signals, job, status, now_ms())
            await jobs.settle(self._database, job.id)
            self._signals.wake("messages")
            return moved

        changed: Job | None = await self.ask(request)
        return changed

    async def report(self, report: Report) -> None:
        """A delivery report comes in by the carrier's webhook."""
        token = f"{report.carrier_id}:{report.status}"

        async def once(tx: Tx) -> None:
            now = now_ms()
            if await tx.run("webhooks_insert", carrier="twilio", token=token, answer="", at_ms=now):
                await reports.apply(tx, "twilio", "live", report, now)

        async def request() -> None:
            steps.reached("report:before")
            await self._database.write(once)
            steps.reached("report:after")

        await self.ask(request)

    async def look_at_redis(self) -> None:
        """As the next grant would: whether Redis has forgotten anything."""
        await self.ask(self._counters.begin)

    def gates(self) -> Any:
        """What its loops noted for `why`."""
        return self._signals.gates
