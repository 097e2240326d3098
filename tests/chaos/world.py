"""One small world: a gateway or two, a Valkey, a database, a far end; and a look at each of them."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random, choice
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit
from zoneinfo import ZoneInfo

import aiohttp
import orjson
from twilio.request_validator import RequestValidator

from gateway.audit_read import read_arrivals
from gateway.errors.store import StoreUnavailable
from gateway.model.tenant import OPERATORS, SCOPES
from gateway.store import keys
from gateway.store.database import Database
from tests.chaos.processes import Child, FarEnd, Gateway, Valkey
from tests.chaos.relay import Relay, Server, relay_to
from tests.peers.ports import free_port
from tests.peers.postgres import PostgresServer

SENDER = "+18005550199"
TRUNK = "main"
TOKEN = "chaos-token"
TENANT = "city-water"
CALLBACK_SECRET = "chaos-callbacks-are-signed-with-this"
RESTING = {"queued", "sending"}
Door = Literal["redis", "database"]


def zone_of_noon(at_s: float) -> str:
    """A zone whose day does not end while a trial runs."""
    zones = ("America/Los_Angeles", "Europe/Paris", "Asia/Tokyo")
    moment = datetime.fromtimestamp(at_s, UTC)
    return next(zone for zone in zones if 3 <= moment.astimezone(ZoneInfo(zone)).hour < 21)


@dataclass
class World:
    """All that a fault can be done to. `shift_s`: how far every clock of it is from ours."""

    folder: Path
    dice: Random
    where: Path | str  # a SQLite file, or the URL of a PostgreSQL database
    shift_s: int
    http: aiohttp.ClientSession
    valkey: Valkey
    far_end: FarEnd
    gateways: list[Gateway]
    database: Database
    key: str
    server: PostgresServer | None
    rings: bool  # there is a trunk to the far end's phone
    relays: list[Relay]  # the network of the first gateway
    notes: list[str] = field(default_factory=list)

    @property
    def gateway(self) -> Gateway:
        """The first one."""
        return self.gateways[0]

    def any_url(self) -> str:
        """Where a request goes: to any of the gateways."""
        return choice(self.gateways).url  # not by the trial's dice, whose throws would depend on how often was asked

    def now_ms(self) -> int:
        """The world's wall clock."""
        return time.time_ns() // 1_000_000 + self.shift_s * 1000

    # --- asking

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """One request to the API; a text is YAML, anything else JSON. Raises aiohttp.ClientError, TimeoutError."""
        headers = {"Authorization": f"Bearer {self.key}"} | headers
        if isinstance(body, str):
            headers["Content-Type"] = "application/yaml"
        how: dict[str, Any] = {"data": body} if isinstance(body, str) else {"json": body}
        async with (
            asyncio.timeout(8),
            self.http.request(method, self.any_url() + path, headers=headers, **how) as answer,
        ):
            return answer.status, orjson.loads(await answer.read() or b"null")

    async def sure(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        """Ask again and again until it is answered in the 200s. Raises TimeoutError, AssertionError for a 4xx."""
        async with asyncio.timeout(90):
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError):
                    status, found = await self.ask(method, path, body, **headers)
                    if status < 300:
                        return found
                    assert status >= 500, (status, found)
                await asyncio.sleep(0.05)

    async def webhook(self, path: str, form: Mapping[str, str]) -> None:
        """Post a webhook as the carrier signs it, until it is answered."""
        async with asyncio.timeout(90):
            while True:
                url = self.any_url() + path
                headers = {"X-Twilio-Signature": RequestValidator(TOKEN).compute_signature(url, dict(form))}
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with asyncio.timeout(8), self.http.post(url, data=form, headers=headers) as answer:
                        if answer.status < 300:
                            return
                        assert answer.status >= 500, (answer.status, await answer.text())
                await asyncio.sleep(0.05)

    async def sender(self, **limits: object) -> None:
        """The sender's limits; absent caps are none."""
        zones = limits.pop("zones", None) or [zone_of_noon(self.now_ms() / 1000)]
        body = {"status": "verified", "keyword_replies": "gateway", "limits": {"zones": zones, **limits}}
        if self.rings:
            body["voice"] = TRUNK
        await self.sure("PUT", f"/v1/senders/{SENDER}", body)

    async def carrier(self, **switches: object) -> None:
        """Turn switches of the far end."""
        async with self.http.put(f"{self.far_end.url}/practice/faults", json=switches) as answer:
            assert answer.status == 200, await answer.text()

    # --- looking

    def arrived(self) -> int:
        """How many requests to send a text have reached the far end."""
        return len(read_arrivals(self.far_end.ledger)) if self.far_end.ledger.exists() else 0

    def rung(self) -> int:
        """How many INVITEs have reached the far end's phone."""
        return len(self.invited())

    def invited(self) -> list[str]:
        """Whom they asked for, in order."""
        lines = self.far_end.ledger.read_bytes().splitlines() if self.far_end.ledger.exists() else []
        return [orjson.loads(line)["to"] for line in lines if b'"channel":"sip"' in line]

    async def states(self) -> Counter[str]:
        """How many texts are in each state."""
        rows = await self.database.read(lambda tx: tx.rows("audit_states"))
        return Counter({row["status"]: row["n"] for row in rows})

    async def until(self, check: Callable[[], Awaitable[Any]], timeout_s: float) -> bool:
        """Look again and again until a look says yes. False: it never did."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, StoreUnavailable):
                if await check():
                    return True
            await asyncio.sleep(0.05)
        return False

    async def has_arrived(self, number: int, timeout_s: float = 20) -> bool:
        """Wait until so many texts have reached the far end."""

        async def check() -> bool:
            return self.arrived() >= number

        return await self.until(check, timeout_s)

    async def has_rung(self, number: int, timeout_s: float = 30) -> bool:
        """Wait until so many INVITEs have reached the far end's phone."""

        async def check() -> bool:
            return self.rung() >= number

        return await self.until(check, timeout_s)

    def note(self, what: str) -> None:
        """Write down what was done, for whoever reads a failing trial."""
        self.notes.append(f"{time.monotonic() - self._began:6.2f} s  {what}")

    _began: float = field(default_factory=time.monotonic)


@contextlib.asynccontextmanager
async def world(
    folder: Path,
    dice: Random,
    *,
    server: PostgresServer | None = None,
    shift_s: int = 0,
    workers: int = 1,
    rings: bool = False,
    relayed: Sequence[Door] = (),
) -> AsyncIterator[World]:
    """Start everything but the gateways.

    server:  where its database is made; None: a SQLite file.
    shift_s: seconds by which every clock of the world is off.
    workers: gateways on that database.
    rings:   each of them has a trunk to the far end's phone.
    relayed: what the first of them reaches over a network that may go silent; the database is PostgreSQL then.
    """
    clock = folder / "clock" if shift_s else None
    if clock is not None:
        clock.write_text(f"{shift_s:+}\n")
    async with contextlib.AsyncExitStack() as stack:
        valkey, far_end = Valkey(folder, clock), FarEnd(folder, TOKEN, clock)
        where: Path | str = folder / "gateway.db"
        if server is not None:
            where = await asyncio.to_thread(server.database)
        settings = _settings(where, valkey, far_end, ask_every_s=dice.choice((1, 60)))
        gateways = [
            Gateway(folder, f"gateway-{number}", settings | (_trunk(far_end) if rings else {}))
            for number in range(workers)
        ]
        relays = [await stack.enter_async_context(relay_to(_server_of(door, where, valkey))) for door in relayed]
        for door, relay in zip(relayed, relays, strict=True):
            gateways[0].settings = {**gateways[0].settings, **_over(door, relay, settings)}
        for child in (*gateways, far_end, valkey):
            stack.push_async_callback(_ended, child)
        for gateway in gateways:
            gateway.data.mkdir()
            if shift_s:
                gateway.clock.write_text(f"{shift_s:+}\n")
        await asyncio.gather(valkey.start(), far_end.start())
        database = await stack.enter_async_context(Database.open(where, migrate=True))
        issued = await database.write(lambda tx: keys.issue(tx, TENANT, scopes=SCOPES | OPERATORS, label="chaos"))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield World(
            folder,
            dice,
            where,
            shift_s,
            http,
            valkey,
            far_end,
            gateways,
            database,
            issued.secret,
            server,
            rings,
            relays,
        )


def _server_of(door: Door, where: Path | str, valkey: Valkey) -> Server:
    """What opens a connection to that server itself."""
    if door == "redis":
        return lambda: asyncio.open_unix_connection(valkey.socket)
    return lambda: asyncio.open_connection("127.0.0.1", urlsplit(str(where)).port)


def _over(door: Door, relay: Relay, settings: Mapping[str, object]) -> dict[str, object]:
    """The setting of a gateway that goes by that relay."""
    if door == "redis":
        return {"redis.url": f"redis://127.0.0.1:{relay.port}"}
    parts = urlsplit(str(settings["database.url"]))
    return {"database.url": urlunsplit(parts._replace(netloc=f"127.0.0.1:{relay.port}"))}


def _settings(where: Path | str, valkey: Valkey, far_end: FarEnd, *, ask_every_s: int) -> dict[str, object]:
    parts = urlsplit(str(where))
    database: dict[str, object] = {"database.url": f"sqlite:///{where}"}
    if isinstance(where, str):
        plain = parts._replace(netloc=parts.netloc.rpartition("@")[2])
        database = {"database.url": urlunsplit(plain), "database.username": parts.username}
    return {
        **database,
        "redis.url": valkey.url,
        "twilio.account_sid": far_end.account,
        "twilio.auth_token": TOKEN,
        "twilio.base_url": far_end.url,
        "twilio.timeout_s": 2,
        "sms.ask_every_s": ask_every_s,
        "sms.ask_window_s": 2,
        "logs.level": "warning",
        "callbacks.allow_private": True,
        "callbacks.secret": CALLBACK_SECRET,
        "callbacks.first_retry_s": 0.2,
        "callbacks.max_retry_s": 0.5,
    }


def _trunk(far_end: FarEnd) -> dict[str, object]:
    """A trunk of its own for one gateway, which has the same port in every life."""
    return {
        "sip.port": free_port(),
        f"trunks.{TRUNK}.host": "127.0.0.1",
        f"trunks.{TRUNK}.port": far_end.sip_port,
        f"trunks.{TRUNK}.calls_per_second": 8,
        f"trunks.{TRUNK}.channels": 12,
        f"trunks.{TRUNK}.ring_timeout_s": 10,
    }


async def _ended(child: Child) -> None:
    if child.alive:
        await child.end()
