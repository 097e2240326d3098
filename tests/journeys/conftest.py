"""A gateway and a far end as processes of their own, and what a test does to them."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import psutil
import pytest
from twilio.request_validator import RequestValidator

from gateway.store import keys
from gateway.store.database import Database
from tests.peers.ports import free_port

HOME = Path(__file__).parents[2]
SENDER = "+18005550199"
TOKEN = "breaking-token"
Json = dict[str, Any]


def zone_of_noon() -> str:
    """A zone whose day does not end while a test runs."""
    zones = ("America/Los_Angeles", "Europe/Paris", "Asia/Tokyo")
    return next(zone for zone in zones if 3 <= datetime.now(UTC).astimezone(ZoneInfo(zone)).hour < 21)


@contextlib.contextmanager
def child(
    words: list[str], settings: dict[str, object], log: Path, home: Path = HOME
) -> Iterator[tuple[subprocess.Popen[bytes], Json]]:
    """A process of the command line, with the object of its first line; killed at the end if it still runs.

    home: the folder of the release that it runs.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    environ |= {f"GATEWAY_{name.replace('.', '__').upper()}": str(value) for name, value in settings.items()}
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", *words],
            cwd=home, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
    with process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, log.read_text()[-2000:]
            yield process, json.loads(line)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def far_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Json]:
    """The practice far end; each test resets it."""
    log = tmp_path_factory.mktemp("far-end") / "log"
    words = ["simulate", "--auth-token", TOKEN, "--report-delay-s", "0.05", "--reply-delay-s", "0.3"]
    with child(words, {}, log) as (_, ready):
        yield ready


@dataclass
class Stage:
    """A gateway that may be killed and begun again on the same data, and the far end it sends to."""

    folder: Path
    far_url: str
    port: int
    settings: dict[str, object]
    key: str
    http: aiohttp.ClientSession
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where the gateway listens, before and after a restart."""
        return f"http://127.0.0.1:{self.port}"

    @staticmethod
    def free_port() -> int:
        """A port where nobody listens yet."""
        return free_port()

    @property
    def log(self) -> Path:
        """What all lives of the gateway logged."""
        return self.folder / "gateway.log"

    async def start(self) -> None:
        """Begin the gateway, the first time or again."""
        words = ["serve", "--port", str(self.port), "--data-dir", str(self.folder / "data")]
        self.process, _ = await asyncio.to_thread(self.stack.enter_context, child(words, self.settings, self.log))

    async def kill(self) -> None:
        """Kill -9: it gets no chance to put anything in order."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """A clean stop; returns the exit code."""
        return await self._end(signal.SIGTERM)

    async def _end(self, signum: int) -> int:
        assert self.process is not None
        self.process.send_signal(signum)
        return await asyncio.to_thread(self.process.wait, 30)

    def valkey(self) -> psutil.Process:
        """The embedded Valkey's process."""
        assert self.process is not None
        (found,) = psutil.Process(self.process.pid).children()
        return found

    async def ask(
        self, method: str, path: str, body: object = None, *, key: str = "", **headers: str
    ) -> tuple[int, Any]:
        """One request to the API: status and JSON."""
        headers = {"Authorization": f"Bearer {key or self.key}"} | headers
        async with self.http.request(method, self.url + path, json=body, headers=headers) as answer:
            return answer.status, json.loads(await answer.read() or b"null")

    async def must(self, method: str, path: str, body: object = None, *, key: str = "") -> Any:
        """One request that has to succeed; its JSON."""
        status, found = await self.ask(method, path, body, key=key)
        assert status < 300, found
        return found

    async def sender(self, number: str = SENDER, *, key: str = "", **limits: object) -> None:
        """A sender whose keywords we answer, with these limits."""
        body = {"status": "verified", "keyword_replies": "gateway", "limits": {"zones": [zone_of_noon()], **limits}}
        await self.must("PUT", f"/v1/senders/{number}", body, key=key)

    async def job(self, numbers: list[str], **more: object) -> str:
        """A job of one text to each of these; its id."""
        recipients = [{"to": number} for number in numbers]
        body = {"channel": "sms", "from": SENDER, "message": {"body": "Your water is off"}, "recipients": recipients}
        accepted: Json = await self.must("POST", "/v1/jobs", body | more)
        assert accepted["accepted"] == len(numbers)
        return str(accepted["id"])

    async def practice(self, method: str, path: str, body: object = None) -> Any:
        """One request to the far end's own endpoints."""
        async with self.http.request(method, f"{self.far_url}/practice/{path}", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def arrivals(self, outcome: str = "") -> list[Json]:
        """The texts that reached the far end, in order."""
        found = await self.practice(
            "GET", "ledger?limit=100000&channel=text" + (f"&outcome={outcome}" if outcome else "")
        )
        return list(found["arrivals"])

    async def arrived(self, number: int) -> None:
        """Wait until the far end has accepted so many."""
        await self.until(lambda: self._has_arrived(number))

    async def _has_arrived(self, number: int) -> bool:
        return int((await self.practice("GET", "counts"))["messages_received"]) >= number

    async def until(self, check: Callable[[], Awaitable[Any]], timeout_s: float = 15) -> Any:
        """Look again and again until a look says yes."""
        async with asyncio.timeout(timeout_s):
            while not (found := await check()):
                await asyncio.sleep(0.02)
            return found

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """What the database on disk says, whether or not the gateway runs."""
        with contextlib.closing(sqlite3.connect(self.folder / "data" / "gateway.db")) as database:
            database.row_factory = sqlite3.Row
            return database.execute(sql, values).fetchall()

    def states(self) -> Counter[str]:
        """How many texts are in each state."""
        return Counter(
            {row["status"]: row["n"] for row in self.rows("SELECT status, COUNT(*) n FROM messages GROUP BY 1")}
        )

    async def settled(self, *, but: tuple[str, ...] = (), timeout_s: float = 15) -> Counter[str]:
        """Wait until no text waits or is under way, save those in a state of `but`."""

        async def check() -> Counter[str]:
            states = self.states()
            return states if not {"queued", "held", "sending", "sent"} - set(but) & states.keys() else Counter()

        found: Counter[str] = await self.until(check, timeout_s)
        return found

    async def webhook(self, path: str, form: dict[str, str], *, token: str = TOKEN) -> int:
        """Post a webhook as the carrier signs it; the status."""
        url = self.url + path
        headers = {"X-Twilio-Signature": RequestValidator(token).compute_signature(url, form)}
        async with self.http.post(url, data=form, headers=headers) as answer:
            return answer.status

    async def report(self, message_id: str, sid: str, status: str) -> int:
        """Post a delivery report of one text."""
        return await self.webhook(
            f"/carriers/twilio/status?id={message_id}", {"MessageSid": sid, "MessageStatus": status}
        )

    async def text_in(self, person: str, body: str, sid: str, *, sender: str = SENDER) -> int:
        """Post a text from a person."""
        return await self.webhook(
            "/carriers/twilio/inbound", {"MessageSid": sid, "From": person, "To": sender, "Body": body}
        )

    async def reports_for_all(self) -> None:
        """Report every accepted text delivered: what a real carrier repeats, and this far end told a dead gateway."""
        for each in await self.arrivals("accepted"):
            message_id = each["status_callback"].partition("?id=")[2]
            assert await self.report(message_id, each["sid"], "delivered") == 204


@pytest.fixture
async def stage(tmp_path: Path, far_end: Json) -> AsyncIterator[Stage]:
    (tmp_path / "data").mkdir()
    async with Database.open(tmp_path / "data" / "gateway.db", migrate=True) as database:
        issued = await database.write(lambda tx: keys.issue(tx, "city-water", label="test"))
    settings: dict[str, object] = {
        "twilio.account_sid": far_end["account_sid"],
        "twilio.auth_token": TOKEN,
        "twilio.base_url": far_end["url"],
        "twilio.timeout_s": 2,
        "sms.breaker_failures": 1000,  # a carrier in trouble is asked on: the breaker has tests of its own
        "logs.level": "warning",
        "callbacks.allow_private": True,
        "callbacks.first_retry_s": 0.2,
        "callbacks.max_retry_s": 0.5,
    }
    async with aiohttp.ClientSession() as http:
        stage = Stage(tmp_path, far_end["url"], free_port(), settings, issued.secret, http)
        await stage.practice("POST", "reset")
        await stage.practice(
            "PUT", f"senders/{SENDER}", {"rate": "200/s", "inbound_url": f"{stage.url}/carriers/twilio/inbound"}
        )
        with stage.stack:
            await stage.start()
            await stage.sender(rate="200/s")
            yield stage
