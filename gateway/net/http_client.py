"""The HTTP client carriers are reached with: it can wait with the connection in hand, and knows if a byte left."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import ResolveResult

_KEEPALIVE_S = 15  # shorter than any carrier's own, so that we close an idle connection before it does
_MAX_ANSWER = 1 << 20


class TakenBackError(Exception):
    """`ready` said no: nothing was written."""


class PrivateAddressError(Exception):
    """The host is, or resolves to, an address that only this network can reach."""


@dataclass(slots=True)
class Attempt:
    """One request.

    ready:      awaited with the connection in hand.
    on_written: called as the body is handed to the socket, a turn or more of the loop later.
    written:    whether a byte may have left.
    """

    ready: Callable[[], Awaitable[bool]] | None = None
    on_written: Callable[[], None] | None = None
    written: bool = field(default=False, init=False)
    begun: Callable[[], None] | None = field(default=None, init=False)  # the client's own: the time-out runs from here


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: str
    headers: Mapping[str, str]


class HttpClient:
    """A pool of connections to one or many hosts. Never retries, never follows a redirect.

    limit:       connections at once.
    public_only: refuse hosts that are, or resolve to, private addresses: for URLs that somebody else chose.
    """

    def __init__(self, *, limit: int = 256, public_only: bool = False) -> None:
        self._limit = limit
        self._public_only = public_only
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(_connected)
        trace.on_connection_reuseconn.append(_connected)
        trace.on_request_chunk_sent.append(_wrote)
        resolver = _PublicResolver() if self._public_only else aiohttp.ThreadedResolver()
        connector = aiohttp.TCPConnector(limit=self._limit, keepalive_timeout=_KEEPALIVE_S, resolver=resolver)
        self._session = aiohttp.ClientSession(
            connector=connector,
            trace_configs=[trace],
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_exception: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def request(self, method: str, url: str, attempt: Attempt, *, timeout_s: float, **options: Any) -> Answer:
        """Make one request.

        timeout_s: from the moment the connection is ready and `attempt.ready` has let it go; connecting has as long.
        Raises:    TakenBackError, aiohttp.ClientError, TimeoutError; `attempt.written` tells if a byte may have left.
        """
        if self._session is None:
            raise RuntimeError("not open")
        if self._public_only:
            _refuse_private(urlsplit(url).hostname or "")  # a literal address is never resolved
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=timeout_s, sock_read=timeout_s)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None) as whole:  # a time-out a read alone lets an answer trickle for ever
            attempt.begun = lambda: whole.reschedule(loop.time() + timeout_s)
            async with self._session.request(
                method, url, timeout=timeout, allow_redirects=False, trace_request_ctx=attempt, **options
            ) as response:
                body = await _read(response.content)
                return Answer(response.status, body.decode(errors="replace"), response.headers)


async def _read(content: aiohttp.StreamReader) -> bytes:
    """The whole body, up to the most that is taken; one `read` gives only what has come by now."""
    body = bytearray()
    while len(body) < _MAX_ANSWER and (piece := await content.read(_MAX_ANSWER - len(body))):
        body += piece
    return bytes(body)


async def _connected(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    attempt: Attempt = context.trace_request_ctx
    if attempt.ready is not None and not await attempt.ready():
        raise TakenBackError
    attempt.written = True
    if attempt.begun is not None:
        attempt.begun()


async def _wrote(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    attempt: Attempt = context.trace_request_ctx
    if attempt.on_written is not None:
        attempt.on_written()


class _PublicResolver(aiohttp.ThreadedResolver):
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        for each in found:
            _refuse_private(each["host"])
        return found


def _refuse_private(host: str) -> None:
    with contextlib.suppress(ValueError):
        if not ipaddress.ip_address(host).is_global:
            raise PrivateAddressError(host)
