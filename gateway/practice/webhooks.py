"""Posting to the gateway as Twilio does: signed, with an idempotency token, within its time limits.

Source: Twilio, "Validating signatures" (HMAC-SHA1 over URL and sorted parameters) and "Webhooks: connection
overrides" (connect 5 s, 15 s in all, one retry, and only for a connection that could not be made).
"""

import asyncio
import time
import uuid
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlencode

import aiohttp
import twilio.request_validator
import yarl

from gateway.practice.faults import Faults

CONNECT_S, TOTAL_S, RETRIES = 5.0, 15.0, 1
BIGGEST_ANSWER = 4 * 1024 * 1024  # bytes; a minute of 16-bit audio at 8 kHz is below 1 MB


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: the HTTP status (0 if nothing came), the content type and the body."""

    status: int
    content_type: str = ""
    body: bytes = b""

    @property
    def ok(self) -> bool:
        """Whether the far side took it."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook that was sent, for `/practice/webhooks`: wall milliseconds, address, parameters, status."""

    at_ms: int
    url: str
    params: Mapping[str, str]
    status: int


class Webhooks:
    """Sends signed requests. `sent` keeps the last 5,000 and `tallies` counts all by outcome."""

    def __init__(self, auth_token: str, faults: Faults) -> None:
        """Sign with `auth_token`, the account's primary one."""
        self._validator = twilio.request_validator.RequestValidator(auth_token)
        self._faults = faults
        self._session: aiohttp.ClientSession | None = None
        self.sent: deque[Delivery] = deque(maxlen=5000)
        self.tallies: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        """Open the connection pool."""
        timeout = aiohttp.ClientTimeout(total=TOTAL_S, sock_connect=CONNECT_S)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=500))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        if self._session:
            await self._session.close()

    async def send(self, url: str, params: Mapping[str, str], *, method: str = "POST") -> Reply:
        """Deliver one webhook and return the answer; a failure is a Reply with status 0, never raised.

        With the `duplicate` switch on it goes out twice with the same token, with `mute` not at all.
        """
        if self._faults.mute:
            self.tallies["muted"] += 1
            return Reply(0)
        token = str(uuid.uuid4())
        reply = await self._with_retry(url, params, method, token)
        if self._faults.duplicate:
            await self._with_retry(url, params, method, token)
        return reply

    async def fetch(self, url: str) -> Reply:
        """GET audio, signed like a webhook."""
        return await self._with_retry(url, {}, "GET", str(uuid.uuid4()))

    async def _with_retry(self, url: str, params: Mapping[str, str], method: str, token: str) -> Reply:
        reply = Reply(0)
        for _ in range(1 + RETRIES):
            try:
                reply = await self._once(url, params, method, token)
            except aiohttp.ClientConnectorError:
                continue
            except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, ValueError):
                pass
            break
        self.tallies["ok" if reply.ok else "failed"] += 1
        self.sent.append(Delivery(time.time_ns() // 1_000_000, url, params, reply.status))
        return reply

    async def _once(self, url: str, params: Mapping[str, str], method: str, token: str) -> Reply:
        """Sign and send once. The URL goes out byte for byte as it was given, since that is what is signed."""
        if not self._session:
            raise ValueError("webhooks are not open")
        bare = url.partition("#")[0]
        if method == "GET" and params:
            bare += ("&" if "?" in bare else "?") + urlencode(params)
        form = dict(params) if method == "POST" else {}
        headers = {
            "X-Twilio-Signature": self._validator.compute_signature(bare, form),
            "I-Twilio-Idempotency-Token": token,
            "User-Agent": "TwilioProxy/1.1",
        }
        target = yarl.URL(bare, encoded=True)
        data = form if method == "POST" else None
        async with self._session.request(method, target, data=data, headers=headers, allow_redirects=False) as answer:
            body = await answer.content.read(BIGGEST_ANSWER)
            while not answer.content.at_eof() and len(body) < BIGGEST_ANSWER:
                body += await answer.content.read(BIGGEST_ANSWER - len(body))
            return Reply(answer.status, answer.content_type, body)
