"""A whole sending half of the gateway against the practice far end: real database, real Valkey, real sockets."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.api.carrier_webhooks import Signed, SmsWebhooks
from gateway.api.server import Doors, build
from gateway.carriers.inbound import InboundTexts
from gateway.carriers.report_desk import ReportDesk
from gateway.carriers.twilio import TwilioAccount, TwilioSms
from gateway.clock import new_id, now_ms
from gateway.limits.gate import Gate
from gateway.limits.profiles import Profiles
from gateway.limits.server import connect
from gateway.metrics import Metrics
from gateway.model.message import Message
from gateway.model.sender import Sender
from gateway.model.tenant import Tenant
from gateway.net.http_client import HttpClient
from gateway.practice.options import Options
from gateway.practice.server import Running, running
from gateway.settings import Settings, Sms
from gateway.sms import keywords
from gateway.speech.prompts import Prompts
from gateway.store import tenants
from gateway.store.database import Database, Tx
from gateway.store.records import to_record, to_row
from gateway.store.signals import Signals
from gateway.workers.counters import Counters
from gateway.workers.leases import Leases
from gateway.workers.sms_sender import SmsSender

SENDER = "+18005550199"
ROOT = Path(__file__).parents[2]


@dataclass
class Sending:
    """The pieces, and what a test does with them."""

    database: Database
    signals: Signals
    gate: Gate
    counters: Counters
    carrier: TwilioSms
    far_end: Running
    sms: Sms
    url: str
    leases: Leases
    http: HttpClient
    timeout_s: float = 2.0
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> SmsSender:
        worker = SmsSender(
            self.database, self.signals, self.counters, self.gate, self.leases, {"twilio": self.carrier}, self.sms,
            self.timeout_s,
            Metrics(),
        )  # fmt: skip
        self.tasks.append(asyncio.create_task(worker.run()))
        return worker

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()

    async def cut(self) -> None:
        """Stop, and break the connections on which a carrier hangs: a clean stop waits for its answers."""
        stopping = asyncio.create_task(self.stop())
        await asyncio.sleep(0)
        await self.http.__aexit__()
        await stopping

    async def queue(self, *endings: str, segments: int = 1, body: str = "", **more: Any) -> list[str]:
        """Queue one text to each number that ends so, with words of its own or `body`; returns the ids."""
        messages = [
            Message(
                id=new_id("msg"), tenant_id="acme", mode="live", recipient=f"+1212555{ending}",
                body=body or f"Your bill is due {number}", encoding="gsm7", segments=segments, created_ms=now_ms(),
                **{"sender": SENDER, **more},
            )
            for number, ending in enumerate(endings)
        ]  # fmt: skip
        await self.database.write(lambda tx: tx.many("messages_insert", [to_row(message) for message in messages]))
        self.signals.wake("messages")
        return [message.id for message in messages]

    async def sender(self, number: str = SENDER, **changes: Any) -> None:
        row = await self.database.read(lambda tx: tenants.sender(tx, number))
        sender = row or Sender(number, "acme", "toll_free", keyword_replies="gateway")
        await self.database.write(lambda tx: tenants.put_sender(tx, replace(sender, **changes)))

    async def message(self, message_id: str) -> Message:
        row = await self.database.read(lambda tx: tx.row("messages_one", id=message_id))
        assert row is not None
        return to_record(Message, row)

    async def until(self, check: Callable[[Tx], Awaitable[Any]], timeout_s: float = 10.0) -> Any:
        """Wait until a look at the database says yes."""
        async with asyncio.timeout(timeout_s):
            while not (found := await self.database.read(check)):
                await asyncio.sleep(0.02)
            return found

    async def until_status(self, message_id: str, *statuses: str, timeout_s: float = 10.0) -> Message:
        async def check(tx: Tx) -> Any:
            row = await tx.row("messages_one", id=message_id)
            return row if row is not None and row["status"] in statuses else None

        return to_record(Message, await self.until(check, timeout_s))

    def arrived(self) -> list[str]:
        """The numbers that the far end was asked to text, in order of arrival."""
        return [text.to for text in self.far_end.parts.ledger.arrivals if text.channel == "text"]


@pytest.fixture
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """The database: SQLite, or PostgreSQL for a test that is parametrised with it."""
    if getattr(request, "param", "sqlite") == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return tmp_path / "gateway.db"


@pytest.fixture
async def sending(tmp_path: Path, where: Path | str, valkey_url: str) -> AsyncIterator[Sending]:
    redis = connect(valkey_url)
    await redis.flushall()
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.open(where, migrate=True))
        http = await stack.enter_async_context(HttpClient())
        signals = Signals()
        gate = Gate(redis)
        profiles = Profiles.load(ROOT / "config/limits.toml")
        counters = Counters(gate, database, profiles, Metrics())
        await database.write(lambda tx: tenants.add_tenant(tx, Tenant("acme", "Acme Water", now_ms())))
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        far_end = await stack.enter_async_context(
            running(Options(inbound_url=f"{url}/carriers/twilio/inbound", report_delay_s=0.02, reply_delay_s=0.1))
        )
        options = far_end.parts.options
        account = TwilioAccount(
            "twilio", options.account_sid, options.auth_token, far_end.url, f"{url}/carriers/twilio"
        )
        carrier = TwilioSms(account, http)
        words = keywords.load((ROOT / "config/keywords.toml").read_text())
        inbound, reports = InboundTexts(database, signals, words), ReportDesk(database, "twilio", "live")
        webhooks = SmsWebhooks(carrier, "live", Signed(options.auth_token, url), inbound, reports, signals)
        prompts = Prompts(tmp_path, tmp_path / "audio")
        doors = Doors(
            Settings(), database, signals, gate, prompts, Metrics(), profiles, webhooks=tuple(webhooks.routes())
        )
        runner = web.AppRunner(build(doors), access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, listening).start()
        leases = Leases(database, signals, alone=True)
        await leases.begin()
        sending = Sending(database, signals, gate, counters, carrier, far_end, Sms(), url, leases, http)
        await sending.sender(limits={"rate": "50/s"})
        yield sending
        await sending.stop()
    await redis.aclose()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session
