"""The calling half of a gateway against real far ends: real database, real Valkey, real SIP, RTP and webhooks."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway import settings
from gateway.api.carrier_webhooks import Signed
from gateway.api.voice_webhooks import AudioFiles, VoiceWebhooks
from gateway.carriers.audio_urls import AudioUrls
from gateway.carriers.inbound_calls import InboundCalls
from gateway.carriers.sip_trunk import SipTrunk
from gateway.carriers.twilio import TwilioAccount
from gateway.carriers.twilio_voice import TwilioVoice
from gateway.carriers.voice_base import Road, TrunkRoad, WebhookRoad
from gateway.carriers.voice_turns import VoiceTurns
from gateway.clock import new_id, now_ms
from gateway.errors import GatewayError
from gateway.limits.gate import Gate
from gateway.limits.profiles import Profiles
from gateway.limits.server import connect
from gateway.metrics import Metrics
from gateway.model.call import Call
from gateway.model.sender import Sender
from gateway.model.tenant import Tenant
from gateway.net.http_client import HttpClient
from gateway.net.rtp_engine import RtpEngine
from gateway.practice.options import Options
from gateway.practice.server import Running, running
from gateway.speech.prompts import Prompts
from gateway.store import dialplans, events, tenants
from gateway.store.calls import Plans
from gateway.store.database import Database, Tx
from gateway.store.records import to_record, to_row
from gateway.store.signals import Signals
from gateway.workers.call_runner import CallRunner
from gateway.workers.counters import Counters
from gateway.workers.leases import Leases
from tests.peers.ports import free_port

SENDER = "+18005550199"
ROOT = Path(__file__).parents[2]
PLAN = """
name: bill
language: en-US
start: greet
variables: {name: {default: "Ana"}}
nodes:
  greet: {say: "Hello {{ name }}, this is City Water.", next: ask}
  ask:
    menu:
      prompt: {say: "Press 1 to confirm, 2 for the date, or 9 to be removed."}
      choices: {"1": confirm, "2": when, "9": remove}
      timeout: 2s
      attempts: 2
      otherwise: bye
  confirm: {outcome: confirmed, next: bye}
  when: {say: "It is due on Friday.", next: bye}
  remove: {opt_out: tenant, then: hangup}
  bye: {say: "Goodbye.", then: hangup}
"""


@pytest.fixture(scope="session")
def speech_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where spoken texts are kept, so that the tests say each only once."""
    return tmp_path_factory.mktemp("speech")


@dataclass
class Calling:
    """The pieces, and what a test does with them."""

    database: Database
    signals: Signals
    counters: Counters
    prompts: Prompts
    far_end: Running
    roads: dict[tuple[str, str], Road]
    trunk: SipTrunk
    rtp: RtpEngine
    media_ends: list[str]
    turns: VoiceTurns
    url: str
    shutdown_s: float = 0.5
    longest_prompt_s: float = 120
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self) -> CallRunner:
        leases = Leases(self.database, self.signals, alone=True)
        await leases.begin()
        runner = CallRunner(
            self.database, self.signals, self.counters, self.prompts, Plans(self.database), self.roads, [self.turns],
            self.shutdown_s, leases, self.longest_prompt_s,
        )  # fmt: skip
        await runner.recover()
        road = self.roads["live", "main"]
        assert isinstance(road, TrunkRoad)
        await self.trunk.start(runner.answering(road, "live"))
        self.tasks.append(asyncio.create_task(runner.run()))
        return runner

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()

    async def queue(self, *endings: str, area: str = "+1212555", **more: Any) -> list[str]:
        """Queue one call to each number that ends so; returns the ids."""
        fixed = {"tenant_id": "acme", "mode": "live", "sender": SENDER, "dialplan": "bill", "dialplan_version": 1}
        fixed |= {"variables": {"name": "Ana"}, "created_ms": now_ms()}
        people = [{"recipient": area + ending, **fixed, **more} for ending in endings]
        calls = [Call(id=new_id("call"), **person) for person in people]
        await self.database.write(lambda tx: tx.many("calls_insert", [to_row(call) for call in calls]))
        self.signals.wake("calls")
        return [call.id for call in calls]

    async def sender(self, **changes: Any) -> None:
        row = await self.database.read(lambda tx: tenants.sender(tx, SENDER))
        sender = row or Sender(SENDER, "acme", "toll_free", voice="main")
        await self.database.write(lambda tx: tenants.put_sender(tx, replace(sender, **changes)))

    async def publish(self, source: str, name: str) -> None:
        await self.database.write(lambda tx: dialplans.publish(tx, "acme", name, source, now_ms()))

    async def call(self, call_id: str) -> Call:
        row = await self.database.read(lambda tx: tx.row("calls_one", id=call_id))
        assert row is not None
        return to_record(Call, row)

    async def events(self, call_id: str) -> list[str]:
        """The types of a call's events, oldest first."""
        found = await self.database.read(lambda tx: events.after(tx, "acme", "live", 0, 99, subject=call_id))
        return [event["type"] for event in found]

    async def until(self, check: Callable[[Tx], Awaitable[Any]], timeout_s: float = 15.0) -> Any:
        """Wait until a look at the database says yes."""
        async with asyncio.timeout(timeout_s):
            while not (found := await self.database.read(check)):
                await asyncio.sleep(0.02)
            return found

    async def until_status(self, call_id: str, *statuses: str, timeout_s: float = 15.0) -> Call:
        async def check(tx: Tx) -> Any:
            row = await tx.row("calls_one", id=call_id)
            return row if row is not None and row["status"] in statuses else None

        return to_record(Call, await self.until(check, timeout_s))

    async def until_true(self, check: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Wait until a look at the far end says yes."""
        async with asyncio.timeout(timeout_s):
            while not check():
                await asyncio.sleep(0.02)

    async def until_gate(self, reason: str) -> None:
        """Wait until `why` would name this."""
        gate = ("calls", SENDER, "live")
        await self.until_true(lambda: self.signals.gates.get(gate, ("", None))[0] == reason)

    def trunk_to(self, port: int, **more: Any) -> settings.Trunk:
        return trunk_to(port, **more)

    def free_port(self) -> int:
        return free_port()

    def heard(self) -> list[dict[str, Any]]:
        """What the far end's phone knows of its calls, oldest first."""
        return self.far_end.parts.phone.calls()


@web.middleware
async def refusing(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Any:
    """As the gateway's own middleware does: our errors become answers."""
    try:
        return await handler(request)
    except GatewayError as error:
        return web.Response(status=error.status, text=error.slug)


def trunk_to(port: int, **more: Any) -> settings.Trunk:
    """A trunk on loopback. It is asked nothing by OPTIONS: a SIPp scenario ends at what it did not expect."""
    fixed = {"host": "127.0.0.1", "port": port, "local_host": "127.0.0.1", "advertised_ip": "127.0.0.1"}
    fixed |= {"options_interval_s": 0}
    return settings.Trunk(**{**fixed, **more})


@pytest.fixture
async def calling(tmp_path: Path, valkey_url: str, speech_cache: Path) -> AsyncIterator[Calling]:
    redis = connect(valkey_url)
    await redis.flushall()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(redis.aclose)
        database = await stack.enter_async_context(Database.open(tmp_path / "gateway.db", migrate=True))
        counters = Counters(Gate(redis), database, Profiles.load(ROOT / "config/limits.toml"), Metrics())
        await database.write(lambda tx: tenants.add_tenant(tx, Tenant("acme", "Acme Water", now_ms())))
        prompts = Prompts(ROOT / "audio/prompts", speech_cache)
        stack.push_async_callback(prompts.close)
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        sip_port = free_port()
        options = Options(pause_ms=500, gateway_sip=f"127.0.0.1:{sip_port}", voice_url=f"{url}/carriers/twilio/voice")
        far_end = await stack.enter_async_context(running(options))
        media_ends: list[str] = []
        rtp = RtpEngine("127.0.0.1", None, on_end=media_ends.append)
        await rtp.start()
        stack.push_async_callback(rtp.stop)
        trunk = SipTrunk("main", trunk_to(far_end.sip_port, local_port=sip_port), rtp)
        stack.push_async_callback(trunk.stop)
        http = await stack.enter_async_context(HttpClient())
        account = TwilioAccount(
            "twilio", options.account_sid, options.auth_token, far_end.url, f"{url}/carriers/twilio"
        )
        twilio, urls, plans, signals = (
            TwilioVoice(account, http),
            AudioUrls(url, b"key", 600),
            Plans(database),
            Signals(),
        )
        inbound = InboundCalls(database, plans)
        turns = VoiceTurns(twilio, "live", database, signals, prompts, plans, inbound, urls)
        app = web.Application(middlewares=[refusing])
        app.add_routes(VoiceWebhooks(turns, Signed(options.auth_token, url)).routes())
        app.add_routes(AudioFiles(prompts, urls).routes())
        site = web.AppRunner(app, access_log=None)
        await site.setup()
        stack.push_async_callback(site.cleanup)
        await web.SockSite(site, listening).start()
        roads: dict[tuple[str, str], Road] = {
            ("live", "main"): TrunkRoad(trunk, 20.0, 10, 2),
            ("live", "twilio"): WebhookRoad(twilio, 20.0, 10, 5, timeout_s=2.0),
        }
        calling = Calling(database, signals, counters, prompts, far_end, roads, trunk, rtp, media_ends, turns, url)
        await calling.sender()
        await calling.publish(PLAN, "bill")
        yield calling
        await calling.stop()
