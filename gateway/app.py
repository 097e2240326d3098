"""The wiring: every door, road, loop and face of one gateway process, opened in order and closed in reverse."""

import asyncio
import contextlib
import hmac
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from aiohttp import web

from gateway import logs
from gateway.api.server import Doors, build
from gateway.app_process import leave_loaded_alone, listen, locked, own_secret, raise_file_limit
from gateway.app_roads import RoadBuilder, Roads
from gateway.carriers.line_quality import observer
from gateway.errors.limits import RedisAway
from gateway.limits.gate import Gate
from gateway.limits.profiles import Profiles
from gateway.limits.valkey import EmbeddedValkey
from gateway.metrics import Metrics
from gateway.net.http_client import HttpClient
from gateway.settings import Settings
from gateway.settings_urls import with_credentials
from gateway.speech.prompts import Prompts
from gateway.store import usage
from gateway.store.calls import Plans
from gateway.store.database import Database
from gateway.store.elsewhere import OtherProcesses
from gateway.store.signals import Signals, Things
from gateway.workers.call_runner import CallRunner
from gateway.workers.callback_sender import CallbackSender
from gateway.workers.callback_shares import CONNECTIONS
from gateway.workers.counters import Counters
from gateway.workers.housekeeper import Housekeeper
from gateway.workers.leases import Leases
from gateway.workers.loops import ended, kept_alive
from gateway.workers.reconciler import Reconciler
from gateway.workers.sms_sender import SmsSender

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway that listens: where, and its settings."""

    host: str
    port: int
    settings: Settings

    @property
    def url(self) -> str:
        """Where this machine reaches it."""
        return f"http://{self.host}:{self.port}"


@dataclass(slots=True)
class Parts:
    """What is open so far; each step below takes what it needs from here and adds its own."""

    settings: Settings
    stack: contextlib.AsyncExitStack
    database: Database
    signals: Signals
    metrics: Metrics
    gate: Gate
    counters: Counters
    profiles: Profiles
    prompts: Prompts
    leases: Leases
    own_url: str


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """Run a gateway inside this event loop.

    Raises: DataDirInUse, PortTaken, StoreUnavailable, ValkeyDown, BadLimits, BadKeywords: before anything listens.
    """
    async with contextlib.AsyncExitStack() as stack:
        listening = stack.enter_context(listen(settings.http.host, settings.http.port))
        host, port = listening.getsockname()[:2]
        parts = await _open(settings, stack, f"http://{host}:{port}")
        roads = await _build_roads(parts)
        await _serve(parts, listening, roads)
        await _start_loops(parts, roads)
        _log.info("listening", host=host, port=port, public_url=settings.public_url or parts.own_url)
        yield Running(host, port, settings)
        _log.info("stopping")


async def serve(settings: Settings, *, ready: Callable[[Running], None]) -> None:
    """Run until SIGTERM or SIGINT; `ready` is called once it listens."""
    logs.setup(settings.logs.level, settings.logs.format, secrets=settings.secrets())
    raise_file_limit()
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    async with running(settings) as gateway:
        leave_loaded_alone()
        ready(gateway)
        await stop.wait()


async def _open(settings: Settings, stack: contextlib.AsyncExitStack, own_url: str) -> Parts:
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not settings.database.is_shared:
        stack.enter_context(locked(settings.data_dir))
    profiles = Profiles.load(settings.folders.limits)
    database = await stack.enter_async_context(Database.open(settings.database_at, migrate=True))
    epoch = await database.read(usage.epoch)
    url = await _redis_url(settings, stack)
    gate = Gate.connect(url, epoch=epoch, guard=settings.limits.guard, timeout_s=settings.redis.timeout_ms / 1000)
    stack.push_async_callback(gate.aclose)
    metrics = Metrics()
    alone = not settings.database.is_shared
    counters = Counters(gate, database, profiles, metrics, settings.limits.unknown_network, alone=alone)
    if {"sms", "voice"} & set(settings.roles):
        try:
            await counters.begin()
        except RedisAway as error:
            _log.error("redis_away", error=str(error))  # requests are taken and wait; nothing is sent until it is back
    prompts = Prompts(settings.folders.audio / "prompts", settings.data_dir / "audio")
    stack.push_async_callback(prompts.close)
    signals = Signals()
    if database.bus is not None:
        others = OtherProcesses(database, signals, database.bus)
        await others.start()
        stack.push_async_callback(others.stop)
    roles: dict[str, Things] = {"sms": "messages", "voice": "calls"}
    things = [roles[role] for role in settings.roles if role in roles]
    leases = Leases(database, signals, alone=database.bus is None, things=things)
    return Parts(settings, stack, database, signals, metrics, gate, counters, profiles, prompts, leases, own_url)


async def _redis_url(settings: Settings, stack: contextlib.AsyncExitStack) -> str:
    if settings.redis.url:
        return with_credentials(settings.redis.url, settings.redis.username, settings.redis.password)
    valkey = EmbeddedValkey(settings.data_dir / "valkey")
    stack.push_async_callback(valkey.stop)
    url = await valkey.start()
    kept = asyncio.create_task(valkey.keep_running(), name="valkey")
    stack.push_async_callback(partial(ended, kept))
    return url


async def _build_roads(parts: Parts) -> Roads:
    ours = parts.settings.public_url or parts.own_url
    key = _audio_key(parts.settings)
    plans, ends = Plans(parts.database), parts.metrics.media_ends
    builder = RoadBuilder(
        parts.settings,
        parts.stack,
        parts.database,
        parts.signals,
        parts.prompts,
        plans,
        ours,
        key,
        lambda why: ends.labels(why).inc(),
    )
    return await builder.build()


async def _serve(parts: Parts, listening: socket.socket, roads: Roads) -> None:
    doors = Doors(
        settings=parts.settings,
        database=parts.database,
        signals=parts.signals,
        gate=parts.gate,
        prompts=parts.prompts,
        metrics=parts.metrics,
        profiles=parts.profiles,
        ready=roads.missing,
        webhooks=tuple(roads.routes),
    )
    shutdown_s = parts.settings.http.shutdown_s
    runner = web.AppRunner(build(doors), access_log=None, shutdown_timeout=shutdown_s, auto_decompress=False)
    await runner.setup()
    parts.stack.push_async_callback(runner.cleanup)
    await web.SockSite(runner, listening).start()


def _sms_loop(parts: Parts, roads: Roads) -> SmsSender:
    settings = parts.settings
    return SmsSender(
        parts.database,
        parts.signals,
        parts.counters,
        parts.gate,
        parts.leases,
        roads.sms,
        settings.sms,
        settings.twilio.timeout_s,
        parts.metrics,
    )


def _voice_loop(parts: Parts, roads: Roads) -> CallRunner:
    shutdown_s = parts.settings.http.shutdown_s
    plans = Plans(parts.database)
    return CallRunner(
        parts.database,
        parts.signals,
        parts.counters,
        parts.prompts,
        plans,
        roads.voice,
        roads.turns,
        shutdown_s,
        parts.leases,
        parts.settings.launch.longest_prompt_s,
    )


async def _callback_loop(parts: Parts) -> CallbackSender:
    settings = parts.settings.callbacks
    http = await parts.stack.enter_async_context(HttpClient(limit=CONNECTIONS, public_only=not settings.allow_private))
    secret = settings.secret.get_secret_value() or own_secret(parts.settings.data_dir / "callback.secret")
    return CallbackSender(parts.database, parts.signals, http, settings, secret, parts.metrics)


def _housekeeper(parts: Parts) -> Housekeeper:
    return Housekeeper(parts.database, parts.signals, parts.settings, parts.metrics)


def _reconciler(parts: Parts, roads: Roads) -> Reconciler:
    settings = parts.settings
    return Reconciler(parts.database, parts.signals, roads.sms, settings.sms, settings.twilio.timeout_s, parts.metrics)


async def _start_loops(parts: Parts, roads: Roads) -> None:
    roles = parts.settings.roles
    loops: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {}
    if "callbacks" in roles:
        loops["callbacks"] = (await _callback_loop(parts)).run
    if "housekeeper" in roles:
        housekeeper, asking = _housekeeper(parts), _reconciler(parts, roads)
        loops["housekeeper"] = partial(parts.database.alone, "housekeeper", housekeeper.run)
        loops["unknown"] = partial(parts.database.alone, "unknown", asking.run)
    if {"sms", "voice"} & set(roles):
        await parts.leases.begin()
        parts.stack.push_async_callback(parts.leases.end)
        loops["leases"] = parts.leases.run
    if "sms" in roles:
        loops["texts"] = _sms_loop(parts, roads).run
    if "voice" in roles:
        calls = _voice_loop(parts, roads)
        await calls.recover()
        for mode, trunk, road in roads.trunks:
            await trunk.start(calls.answering(road, mode), observer(parts.metrics.line, trunk.name))
            parts.metrics.ignored.watch(trunk.name, trunk.ignored, partial(getattr, trunk, "trouble"))
        loops["calls"] = calls.run
    for name, loop in loops.items():
        task = asyncio.create_task(kept_alive(name, loop), name=name)
        parts.stack.push_async_callback(partial(ended, task))


def _audio_key(settings: Settings) -> bytes:
    """What the addresses of audio are signed with: the same in all processes that share a database."""
    if settings.database.is_shared:
        return hmac.digest(settings.callbacks.secret.get_secret_value().encode(), b"audio", "sha256")
    return own_secret(settings.data_dir / "audio.secret").encode()
