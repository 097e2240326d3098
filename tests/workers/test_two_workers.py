"""Several processes' worth of workers on one PostgreSQL: each text once, whoever has the lease; a stop reaches all."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.carriers.twilio import TwilioAccount, TwilioSms
from gateway.clock import monotonic, new_id, now_ms
from gateway.limits.gate import Gate
from gateway.limits.profiles import Profiles
from gateway.limits.server import connect
from gateway.metrics import Metrics
from gateway.model.job import Job
from gateway.model.message import Message
from gateway.model.opt_out import OptOut
from gateway.model.scope import Scope
from gateway.model.sender import Sender
from gateway.model.tenant import Tenant
from gateway.net.http_client import HttpClient
from gateway.practice.options import Options
from gateway.practice.server import Running, running
from gateway.settings import Sms
from gateway.store import jobs, opt_outs, scopes, tenants
from gateway.store.database import Database, Tx
from gateway.store.elsewhere import OtherProcesses
from gateway.store.records import to_row
from gateway.store.signals import Signals
from gateway.workers.counters import Counters
from gateway.workers.leases import Leases
from gateway.workers.sms_sender import SmsSender

ROOT = Path(__file__).parents[2]
LEASE_S = 1.5
SENDERS = [f"+1800555019{number}" for number in range(4)]


@dataclass
class Worker:
    """One process's worth. `freeze` is a SIGSTOP as the others see it: its beat stands still, it hears nothing."""

    database: Database
    signals: Signals
    leases: Leases
    others: OtherProcesses
    sender: SmsSender
    beating: asyncio.Task[None] | None = None
    sending: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.leases.begin()
        self.beating = asyncio.create_task(self.leases.run())
        self.sending = asyncio.create_task(self.sender.run())

    async def stop(self) -> None:
        await _ended(self.sending)
        await self.leases.end()
        await _ended(self.beating)

    async def freeze(self) -> None:
        await _ended(self.beating)
        self.signals.holder = -1  # deaf: it is not spoken to

    def holding(self) -> set[str]:
        return {loop.lease.sender for loop in self.sender.loops.values()}


async def _ended(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@dataclass
class Fleet:
    workers: list[Worker]
    far_end: Running

    @property
    def database(self) -> Database:
        return self.workers[-1].database

    async def queue(self, count: int, *senders: str, **more: Any) -> list[str]:
        """Queue so many texts from each sender, to numbers of their own."""
        messages = [
            Message(
                id=new_id("msg"), tenant_id="acme", mode="live", sender=sender, body="Your bill is due",
                recipient=f"+1212555{1000 + 100 * place + number}", encoding="gsm7", segments=1, created_ms=now_ms(),
                **more,
            )
            for place, sender in enumerate(senders)
            for number in range(count)
        ]  # fmt: skip
        await self.database.write(lambda tx: tx.many("messages_insert", [to_row(message) for message in messages]))
        return [message.id for message in messages]

    async def states(self) -> Counter[str]:
        """How many texts are in each state, in one look: ninety would take longer than what is looked at."""
        rows = await self.database.read(lambda tx: tx.rows("audit_states"))
        return Counter({row["status"]: row["n"] for row in rows})

    def arrived(self) -> list[str]:
        return [text.to for text in self.far_end.parts.ledger.arrivals if text.channel == "text"]

    async def until(self, check: Any, timeout_s: float = 15.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not await check():
                await asyncio.sleep(0.02)


@pytest.fixture
async def fleet(postgres_url: str, valkey_url: str) -> AsyncIterator[Fleet]:
    async with contextlib.AsyncExitStack() as stack:
        redis = connect(valkey_url)
        stack.push_async_callback(redis.aclose)
        await redis.flushall()
        far_end = await stack.enter_async_context(running(Options(report_delay_s=60)))
        http = await stack.enter_async_context(HttpClient())
        options = far_end.parts.options
        account = TwilioAccount("twilio", options.account_sid, options.auth_token, far_end.url, "http://127.0.0.1:1/x")
        profiles = Profiles.load(ROOT / "config/limits.toml")
        workers: list[Worker] = []
        for _ in range(2):
            database = await stack.enter_async_context(Database.open(postgres_url))
            assert database.bus is not None
            signals, gate = Signals(), Gate(redis)
            counters = Counters(gate, database, profiles, Metrics())
            others = OtherProcesses(database, signals, database.bus, lease_s=LEASE_S, patience_s=0.5)
            await others.start()
            stack.push_async_callback(others.stop)
            leases = Leases(database, signals, alone=False, lease_s=LEASE_S, beat_s=0.2)
            roads = {"twilio": TwilioSms(account, http)}
            texts = SmsSender(database, signals, counters, gate, leases, roads, Sms(), 2.0, Metrics())
            workers.append(Worker(database, signals, leases, others, texts))
        await workers[0].database.write(lambda tx: tenants.add_tenant(tx, Tenant("acme", "Acme Water", 1)))
        for number in SENDERS:
            sender = Sender(number, "acme", "toll_free", limits={"rate": "40/s"})
            await workers[0].database.write(lambda tx, sender=sender: tenants.put_sender(tx, sender))  # type: ignore[misc]
        fleet = Fleet(workers, far_end)
        yield fleet
        for worker in workers:
            await worker.stop()


async def test_two_workers_share_the_senders_and_each_text_is_written_once(fleet: Fleet) -> None:
    for worker in fleet.workers:
        await worker.start()
    ids = await fleet.queue(90, *SENDERS)

    async def shared() -> bool:
        return all(worker.holding() for worker in fleet.workers)

    async def all_sent() -> bool:
        return (await fleet.states())["sent"] == len(ids)

    await fleet.until(shared)
    assert not fleet.workers[0].holding() & fleet.workers[1].holding()
    await fleet.until(all_sent)
    assert len(fleet.arrived()) == len(set(fleet.arrived())) == 360


async def test_of_a_cap_that_comes_while_two_processes_send_not_one_too_many_leaves(fleet: Fleet) -> None:
    for worker in fleet.workers:
        await worker.start()
    ids = await fleet.queue(40, *SENDERS)

    async def in_the_middle() -> bool:
        return all(worker.holding() for worker in fleet.workers) and len(fleet.arrived()) >= 40

    async def all_stand() -> bool:
        states = await fleet.states()
        return states["sent"] + states["held"] == len(ids)

    await fleet.until(in_the_middle)

    async def cap(tx: Tx) -> int:
        left = sum(row["n"] for row in await tx.rows("audit_states") if row["status"] != "queued")
        limits = {"daily": left + 20, "unit": "message", "zones": ["America/Los_Angeles"]}
        await scopes.put(tx, Scope("acme", "tenant", "acme", "open", limits=limits))
        return left + 20

    most = await fleet.database.write(cap)
    await fleet.until(all_stand)

    assert len(fleet.arrived()) == min(most, len(ids))
    row = await fleet.database.read(lambda tx: tx.rows("audit_usage"))
    assert [each["used"] for each in row if each["limit_key"].startswith("tenant:acme:day")] == [len(fleet.arrived())]


async def test_a_worker_that_is_drained_hands_its_senders_over_and_loses_nothing(fleet: Fleet) -> None:
    first, second = fleet.workers
    ids = await fleet.queue(60, *SENDERS)
    await first.start()

    async def some_sent() -> bool:
        return (await fleet.states())["sent"] > 20

    async def all_sent() -> bool:
        return (await fleet.states())["sent"] == len(ids)

    await fleet.until(some_sent)
    await second.start()
    await first.stop()
    await fleet.until(all_sent)
    assert len(fleet.arrived()) == len(set(fleet.arrived())) == 240


async def test_who_stands_still_loses_its_senders_and_writes_nothing_more(fleet: Fleet) -> None:
    """What it may have left in the middle of rests unknown; what it knows not to have written it queues again."""
    first, second = fleet.workers
    ids = await fleet.queue(90, SENDERS[0])
    await first.start()

    async def some_sent() -> bool:
        return (await fleet.states())["sent"] > 5

    async def taken_over() -> bool:
        return second.holding() == {SENDERS[0]}

    async def all_settled() -> bool:
        states = await fleet.states()
        return states["sent"] + states["unknown"] == len(ids)

    await fleet.until(some_sent)
    await first.freeze()
    await second.start()
    await fleet.until(taken_over)
    written = len(fleet.arrived())
    assert written < 90
    await fleet.until(all_settled)

    assert len(fleet.arrived()) == len(set(fleet.arrived()))
    assert (await fleet.states())["sent"] == len(fleet.arrived())
    assert first.holding() == set() or not first.leases.holds(next(iter(first.sender.loops.values())).lease)


@pytest.mark.parametrize("frozen", [False, True], ids=["answers", "stands still"])
async def test_a_stop_told_to_one_process_is_obeyed_by_the_other_before_it_is_acknowledged(
    fleet: Fleet, frozen: bool
) -> None:
    first, second = fleet.workers
    limits = {"rate": "2/s"}
    await fleet.database.write(
        lambda tx: tenants.put_sender(tx, Sender(SENDERS[0], "acme", "toll_free", limits=limits))
    )
    await fleet.queue(30, SENDERS[0])
    await first.start()

    async def some_sent() -> bool:
        return len(fleet.arrived()) >= 2

    await fleet.until(some_sent)
    if frozen:
        await first.freeze()
    plan = first.sender.desk.plan
    for _ in range(1 if frozen else 5):

        async def committed() -> bool:
            return any(planned.committed for planned in plan.unwritten.values())

        await fleet.until(committed)
        person = next(planned.thing.recipient for planned in plan.unwritten.values() if planned.committed)
        began = monotonic()
        said = OptOut("acme", "live", person, "tenant", "api", "", now_ms())
        cancelled = await opt_outs.stop_with_recall(second.database, second.signals, said)
        took_s = monotonic() - began
        await asyncio.sleep(0.03)  # what was written before the answer gets to the far end
        before = fleet.arrived().count(person)
        assert not frozen or took_s > LEASE_S * 0.9
        await asyncio.sleep(0.4)  # its slot comes and goes

        assert fleet.arrived().count(person) == before
        assert len(cancelled) == 1 - before


async def test_a_pause_told_to_one_process_takes_back_what_the_other_has_committed(fleet: Fleet) -> None:
    first, second = fleet.workers
    job = Job("job_1", "acme", "live", "sms", SENDERS[0], {})
    await fleet.database.write(lambda tx: jobs.accept(tx, job))
    await fleet.queue(60, SENDERS[0], job_id="job_1")
    await first.start()

    async def some_sent() -> bool:
        return len(fleet.arrived()) >= 3

    await fleet.until(some_sent)
    await jobs.change_with_recall(second.database, second.signals, job, "paused", now_ms())
    at_pause = len(fleet.arrived())
    await asyncio.sleep(0.5)

    assert len(fleet.arrived()) - at_pause <= 1  # one may be on its way between the socket and the far end
    states = await fleet.states()
    assert states["sending"] == states["queued"] == 0
    assert states["held"] >= 60 - at_pause - 1
