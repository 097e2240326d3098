"""A far end in this event loop, a gateway's webhook side to talk to it, and Twilio's own client."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from gateway.practice.options import Options
from gateway.practice.server import Running, running

# Twilio's client (9.13) still uses what aiohttp 3.14 deprecates.
OLD_AUTH = "ignore:(BasicAuth|The 'auth' parameter) is deprecated:DeprecationWarning"
QUICK = Options(report_delay_s=0.01, reply_delay_s=0.01, speed=50.0, pause_ms=500)
SENDER = "+18005550199"


def key(token: str) -> dict[str, str]:
    """Return the header that names the account and gives `token`."""
    return {"Authorization": "Basic " + base64.b64encode(f"{QUICK.account_sid}:{token}".encode()).decode()}


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook as it was received, and whether Twilio's own validator accepts it."""

    path: str
    params: dict[str, str]
    token: str
    signed: bool


@dataclass(slots=True)
class Receiver:
    """The webhook side of a gateway: records, validates, and answers what a test puts into `answers`."""

    url: str = ""
    hooks: list[Hook] = field(default_factory=list)
    answers: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def handle(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        headers = request.headers
        validator = RequestValidator(QUICK.auth_token)
        signed = validator.validate(str(request.url), form, headers.get("X-Twilio-Signature", ""))
        hook = Hook(request.path, form | dict(request.query), headers.get("I-Twilio-Idempotency-Token", ""), signed)
        async with self.arrived:
            self.hooks.append(hook)
            self.arrived.notify_all()
        content_type, body = self.answers.get(request.path, ("text/xml", b"<Response/>"))
        return web.Response(body=body, content_type=content_type)

    async def wait(self, count: int, path: str = "") -> list[Hook]:
        """Return the first `count` webhooks (to `path`) once they have arrived."""
        async with asyncio.timeout(10), self.arrived:
            await self.arrived.wait_for(lambda: len(self.at(path)) >= count)
        return self.at(path)

    def at(self, path: str) -> list[Hook]:
        return [hook for hook in self.hooks if hook.path.startswith(path)]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A webhook side on a port of its own."""
    found = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", found.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


@dataclass(frozen=True, slots=True)
class FarEnd:
    """A running far end with ways to talk to it."""

    at: Running
    http: aiohttp.ClientSession

    @property
    def path(self) -> str:
        return f"{self.at.url}/2010-04-01/Accounts/{QUICK.account_sid}"

    async def post(self, resource: str, form: dict[str, str] | list[tuple[str, str]]) -> tuple[int, dict[str, Any]]:
        """POST a form with the right key and return status and JSON."""
        async with self.http.post(f"{self.path}/{resource}.json", data=form, headers=key(QUICK.auth_token)) as answer:
            return answer.status, await answer.json()

    async def practice(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        """Call an endpoint of the far end's own."""
        async with self.http.request(method, f"{self.at.url}/practice/{path}", json=body) as answer:
            return answer.status, await answer.json()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """Twilio's own client, pointed here."""
        async with _HereClient(self.at.url) as http:
            yield Client(QUICK.account_sid, QUICK.auth_token, http_client=http)


class _HereClient(AsyncTwilioHttpClient):  # type: ignore[misc]
    """Twilio's client that talks to the far end in place of api.twilio.com."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    async def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        return await super().request(method, url.replace("https://api.twilio.com", self._url), *args, **kwargs)


Start = Callable[..., Awaitable[FarEnd]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start far ends with changed options; they are stopped after the test."""
    open_contexts: list[Any] = []

    async def begin(**changes: Any) -> FarEnd:
        context = running(replace(QUICK, **changes))
        at = await context.__aenter__()
        http = aiohttp.ClientSession()
        open_contexts.append((context, http))
        return FarEnd(at, http)

    yield begin
    for context, http in open_contexts:
        await http.close()
        await context.__aexit__(None, None, None)


@pytest.fixture
async def far_end(start: Start) -> FarEnd:
    """A quick far end."""
    return await start()


async def eventually(found: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait until `found` gives something true and return it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := found():
            return value
        await asyncio.sleep(0.01)
    pytest.fail("it did not happen in time")
