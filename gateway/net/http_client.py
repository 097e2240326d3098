"""The HTTP client carriers are reached with: it can wait with the connection in hand, and knows if a byte left."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Self

import aiohttp

_KEEPALIVE_S = 15  # shorter than any carrier's own, so that we close an idle connection before it does
_MAX_ANSWER = 1 << 20


class TakenBackError(Exception):
    """`ready` said no: nothing was written."""


@dataclass(slots=True)
class Attempt:
    """One request. `ready` is awaited with the connection in hand; `written` says whether a byte may have left."""

    ready: Callable[[], Awaitable[bool]] | None = None
    written: bool = field(default=False, init=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: str
    headers: Mapping[str, str]


class HttpClient:
    """A pool of connections to one or many hosts. Never retries, never follows a redirect."""

    def __init__(self, *, limit: int = 256) -> None:
        self._limit = limit
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(_connected)
        trace.on_connection_reuseconn.append(_connected)
        connector = aiohttp.TCPConnector(limit=self._limit, keepalive_timeout=_KEEPALIVE_S)
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
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=timeout_s, sock_read=timeout_s)
        async with self._session.request(
            method, url, timeout=timeout, allow_redirects=False, trace_request_ctx=attempt, **options
        ) as response:
            body = await response.content.read(_MAX_ANSWER)
            return Answer(response.status, body.decode(errors="replace"), response.headers)


async def _connected(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    attempt: Attempt = context.trace_request_ctx
    if attempt.ready is not None and not await attempt.ready():
        raise TakenBackError
    attempt.written = True
