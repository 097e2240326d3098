"""Callbacks reach the engine signed, at least once, and are tried again until they are taken or given up."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.clock import now_ms
from gateway.metrics import Metrics
from gateway.model.event import Event
from gateway.model.tenant import Tenant
from gateway.net.http_client import HttpClient
from gateway.settings import Callbacks
from gateway.store import events, tenants
from gateway.store.database import Database
from gateway.store.signals import Signals
from gateway.workers.callback_sender import CallbackSender
from gateway.workers.callback_shares import CONNECTIONS, FEWEST, MOST, Shares

SECRET = "s3cret"


class Engine:
    """A campaign engine's end: keeps what it is told, and answers as it is told to."""

    def __init__(self, *statuses: int, hangs: bool = False) -> None:
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.statuses = list(statuses)
        self.hangs = hangs
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.taken.append((dict(request.headers), await request.read()))
        if self.hangs:
            await asyncio.Event().wait()
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)


@asynccontextmanager
async def listening(engine: Engine) -> AsyncIterator[Engine]:
    app = web.Application()
    app.router.add_post("/told", engine.take)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    engine.url = f"http://127.0.0.1:{runner.addresses[0][1]}/told"
    yield engine
    await runner.cleanup()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database.open(tmp_path / "gateway.db", migrate=True) as database:
        await database.write(lambda tx: tenants.add_tenant(tx, Tenant("acme", "Acme", 1)))
        yield database


@asynccontextmanager
async def delivering(database: Database, *, private: bool = True, **settings: Any) -> AsyncIterator[None]:
    wanted = Callbacks(
        **{"first_retry_s": 0.05, "max_retry_s": 0.2, "timeout_s": 1, "allow_private": private, **settings}
    )
    async with HttpClient(public_only=not private) as http:
        task = asyncio.create_task(CallbackSender(database, Signals(), http, wanted, SECRET, Metrics()).run())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def happen(database: Database, url: str, number: int = 1, tenant: str = "acme") -> None:
    event = Event("job.completed", tenant, "live", f"job_{number}", now_ms(), {"n": number}, callback_url=url)
    await database.write(lambda tx: events.add(tx, event))


async def until(check: Any) -> Any:
    async with asyncio.timeout(10):
        while not (found := await check()):
            await asyncio.sleep(0.02)
        return found


async def row(database: Database) -> Any:
    (found,) = await database.read(lambda tx: events.numbered(tx, list(range(1, 10))))
    return found


async def test_a_callback_is_signed_over_its_time_and_its_body(database: Database) -> None:
    async with listening(Engine()) as engine, delivering(database):
        await happen(database, engine.url)

        async def done() -> Any:
            return (await row(database))["callback_done_ms"]

        await until(done)

    ((headers, body),) = engine.taken
    stamp, given = (part.split("=")[1] for part in headers["Gateway-Signature"].split(","))
    assert hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest() == given
    assert headers["Gateway-Event"] == "1"


async def test_an_engine_that_stumbles_is_told_again_and_once_it_took_it_no_more(database: Database) -> None:
    async with listening(Engine(500, 503, 302)) as engine, delivering(database):
        await happen(database, engine.url)

        async def done() -> Any:
            return (await row(database))["callback_done_ms"]

        await until(done)

    assert len(engine.taken) == 4
    assert (await row(database))["callback_attempts"] == 4


async def test_an_engine_that_never_answers_is_given_up_and_the_event_stays(database: Database) -> None:
    async with delivering(database, attempts=3):
        await happen(database, "http://127.0.0.1:9/told")

        async def given_up() -> Any:
            found = await row(database)
            return found["callback_due_ms"] is None and found

        found = await until(given_up)

    assert found["callback_attempts"] == 3
    assert found["callback_done_ms"] is None
    assert found["callback_error"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1", "0x7f.1"])
async def test_a_callback_never_reaches_into_our_own_network(database: Database, host: str) -> None:
    async with listening(Engine()) as engine, delivering(database, private=False, attempts=1):
        await happen(database, engine.url.replace("127.0.0.1", host))

        async def given_up() -> Any:
            found = await row(database)
            return found["callback_due_ms"] is None and found

        found = await until(given_up)

    assert found["callback_error"] == "private_address"
    assert engine.taken == []


async def test_one_dead_engine_does_not_delay_another(database: Database) -> None:
    async with listening(Engine()) as engine, delivering(database, first_retry_s=30, max_retry_s=30):
        await happen(database, "http://127.0.0.1:9/told", 1)
        await happen(database, engine.url, 2)

        async def told() -> Any:
            return engine.taken

        await until(told)


async def test_an_event_that_cannot_be_told_keeps_no_other_back(database: Database) -> None:
    """Nested deeper than what writes JSON goes: the loop of all tenants' callbacks began again and again with it."""
    nested: dict[str, Any] = {}
    for _ in range(253):  # the deepest that is kept
        nested = {"in": nested}
    async with listening(Engine()) as engine:
        await database.write(
            lambda tx: events.add(tx, Event("t", "acme", "live", "job_1", 1, nested, callback_url=engine.url))
        )
        await happen(database, engine.url, 2)
        async with delivering(database, attempts=1):

            async def both() -> Any:
                broken, other = await database.read(lambda tx: events.numbered(tx, [1, 2]))
                return broken["callback_error"] and other["callback_done_ms"] and broken

            broken = await until(both)

    assert (broken["callback_error"], broken["callback_due_ms"]) == ("internal", None)


async def test_an_engine_that_hangs_does_not_delay_another_tenants(database: Database) -> None:
    """Hundreds of events wait for an engine that takes connections and never answers."""
    await database.write(lambda tx: tenants.add_tenant(tx, Tenant("metro", "Metro", 1)))
    async with listening(Engine(hangs=True)) as hanging, listening(Engine()) as engine:
        for number in range(300):
            await happen(database, hanging.url, number)
        async with delivering(database, timeout_s=30):
            await happen(database, engine.url, 1, "metro")

            async def told() -> Any:
                return engine.taken

            await until(told)
    assert len(hanging.taken) <= 4


async def test_many_tenants_whose_engines_hang_leave_connections_for_the_others(database: Database) -> None:
    """Each has more events than it gets connections, and all of theirs are due before."""
    away = [f"away{number}" for number in range(12)]
    for name in (*away, "metro"):
        await database.write(lambda tx, name=name: tenants.add_tenant(tx, Tenant(name, name, 1)))
    async with listening(Engine(hangs=True)) as hanging, listening(Engine()) as engine:
        told = [
            Event("job.completed", name, "live", f"job_{number}", now_ms(), {}, callback_url=hanging.url)
            for name in away
            for number in range(40)
        ]
        await database.write(lambda tx: events.add(tx, *told))
        async with delivering(database, timeout_s=30):

            async def all_hang() -> bool:
                return len(hanging.taken) == len(away) * FEWEST

            await until(all_hang)
            await happen(database, engine.url, 1, "metro")

            async def came() -> Any:
                return engine.taken

            await until(came)


def test_an_engine_that_answers_has_more_connections_and_one_that_falls_silent_fewer() -> None:
    shares = Shares()
    for _ in range(9):
        shares.answered("acme")
    assert shares.of("acme", 0, CONNECTIONS) == MOST
    for _ in range(9):
        shares.hung("acme")
    assert shares.of("acme", 0, CONNECTIONS) == FEWEST


def test_tenants_that_come_one_after_the_other_with_all_they_may_have_leave_one_for_the_last_of_many() -> None:
    shares, free = Shares(), CONNECTIONS
    held = []
    while free:
        name = f"tenant{len(held)}"
        for _ in range(9):
            shares.answered(name)
        held.append(shares.of(name, 0, free))
        free -= held[-1]
        assert shares.of(name, held[-1], free) == held[-1]

    assert held == [32] * 7 + [16, 8, 4, 2, 1, 1]


async def test_processes_that_share_a_database_deliver_each_event_once(postgres_url: str) -> None:
    async with Database.open(postgres_url) as one, Database.open(postgres_url) as two, listening(Engine()) as engine:
        await one.write(lambda tx: tenants.add_tenant(tx, Tenant("acme", "Acme", 1)))
        for number in range(60):
            await happen(one, engine.url, number)
        async with delivering(one), delivering(two):

            async def all_done() -> bool:
                return not await one.read(lambda tx: tx.value("events_callbacks_waiting"))

            await until(all_done)

    numbers = [headers["Gateway-Event"] for headers, _ in engine.taken]
    assert len(numbers) == len(set(numbers)) == 60


async def test_what_a_stopped_sender_had_under_way_is_due_again_at_once(database: Database) -> None:
    async with listening(Engine(hangs=True)) as engine:
        async with delivering(database):
            await happen(database, engine.url)

            async def came() -> Any:
                return engine.taken

            await until(came)

        assert (await row(database))["callback_due_ms"] <= now_ms()


async def test_a_broadcast_with_nothing_to_tell_is_looked_at_twenty_times_a_second(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its commits wakes the callbacks, in every process; nearly all of its events are nobody's."""
    signals, looks = Signals(), list[int]()
    due = events.due

    async def counted(tx: Any, *which: Any) -> Any:
        looks.append(now_ms())
        return await due(tx, *which)

    monkeypatch.setattr(events, "due", counted)
    async with HttpClient() as http:
        sender = CallbackSender(database, signals, http, Callbacks(), SECRET, Metrics())
        task = asyncio.create_task(sender.run())
        for _ in range(100):
            await asyncio.sleep(0.005)
            signals.wake("events")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert len(looks) >= 2
    assert all(later - earlier >= 45 for earlier, later in pairwise(looks))
