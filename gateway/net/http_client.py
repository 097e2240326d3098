"""The HTTP client carriers are reached with: it can wait with the connection in hand, and knows if a byte left.

It is our own (decision 0007): a general client hides the moment at which a request is handed to the socket, and costs
several times what a text costs us otherwise.
"""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Self
from urllib.parse import urlencode

import aiohappyeyeballs
from yarl import URL

from gateway.net.http_connection import Answer, BrokenAnswerError, Connection

__all__ = ["Answer", "Attempt", "BrokenAnswerError", "HttpClient", "PrivateAddressError", "TakenBackError", "is_public"]

_KEEPALIVE_S: Final = 15.0  # shorter than any carrier's own, so that we close an idle connection before it does
_NAMES_S: Final = 10.0  # how long a host's addresses are believed
_RACE_S: Final = 0.25  # RFC 8305: how long one address may take before the next is tried beside it
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last four bytes are an IPv4 address
# RFC 4291, section 2.5.5.1 (IPv4-compatible); RFC 8215 (a network's own translator)
_LOCAL: Final = (ipaddress.IPv6Network("::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_FORM: Final = "application/x-www-form-urlencoded"


class TakenBackError(Exception):
    """`ready` said no: nothing was written."""


class PrivateAddressError(Exception):
    """The host is, or resolves to, an address that only this network can reach."""


@dataclass(slots=True)
class Attempt:
    """One request.

    ready:      awaited with the connection in hand.
    on_written: called as the whole request was handed to the socket, in the same turn of the loop as `ready` ended.
    written:    whether a byte may have left.
    """

    ready: Callable[[], Awaitable[bool]] | None = None
    on_written: Callable[[], None] | None = None
    written: bool = field(default=False, init=False)


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a URL leads. `host` may be looked up; `named` is what the Host header says."""

    tls: bool
    host: str
    port: int
    named: str
    path: str

    @property
    def key(self) -> tuple[bool, str, int]:
        return self.tls, self.host, self.port


class HttpClient:
    """A pool of connections to one or many hosts. Never retries, never follows a redirect, knows no proxy.

    limit:       requests at once.
    public_only: refuse hosts that are, or resolve to, private addresses: for URLs that somebody else chose.
    """

    def __init__(self, *, limit: int = 256, public_only: bool = False) -> None:
        self._free = asyncio.Semaphore(limit)
        self._public_only = public_only
        self._idle: defaultdict[tuple[bool, str, int], list[Connection]] = defaultdict(list)
        self._open: set[Connection] = set()
        self._names: dict[tuple[str, int], tuple[float, list[aiohappyeyeballs.AddrInfoType]]] = {}
        self._tls: ssl.SSLContext | None = None
        self._sweeping: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in tuple(self._open):
            connection.close()
        await asyncio.sleep(0)  # the transports end in the next turn

    async def request(
        self,
        method: str,
        url: str,
        attempt: Attempt,
        *,
        timeout_s: float,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make one request.

        timeout_s: from the moment the connection is ready and `attempt.ready` has let it go; connecting has as long.
        data:      a body, or the fields of a form.
        Raises:    TakenBackError, PrivateAddressError, OSError, TimeoutError, and ValueError for a URL or a header that
                   is none; `attempt.written` tells if a byte may have left.
        """
        target = _target(url)
        request = _request(method, target, params or {}, data, headers or {})
        async with self._free:
            connection = self._kept(target) or await self._connect(target, timeout_s)
            try:
                return await self._exchange(connection, request, attempt, timeout_s)
            finally:
                self._keep(target, connection)

    @staticmethod
    async def _exchange(connection: Connection, request: bytes, attempt: Attempt, timeout_s: float) -> Answer:
        if attempt.ready is not None and not await attempt.ready():
            raise TakenBackError
        if connection.lost:
            raise BrokenAnswerError("closed before anything was written")
        attempt.written = True
        answering = connection.offer(request, timeout_s)
        if attempt.on_written is not None:
            attempt.on_written()
        return await answering

    # --- connections

    def _kept(self, target: _Target) -> Connection | None:
        idle = self._idle[target.key]
        oldest = asyncio.get_running_loop().time() - _KEEPALIVE_S
        while idle:
            connection = idle.pop()
            if not connection.lost and connection.idle_since > oldest:
                return connection
            connection.close()
        return None

    def _keep(self, target: _Target, connection: Connection) -> None:
        if connection.busy:  # an answer that nobody waits for must not be the next one's
            connection.close()
        if connection.lost:
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle[target.key].append(connection)
        if self._sweeping is None:
            self._sweeping = loop.call_later(_KEEPALIVE_S, self._sweep)

    def _sweep(self) -> None:
        """Close what was idle for too long."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - _KEEPALIVE_S
        for key, idle in tuple(self._idle.items()):
            stale = [each for each in idle if each.lost or each.idle_since <= oldest]
            self._idle[key] = [each for each in idle if each not in stale]
            for connection in stale:
                connection.close()
            if not self._idle[key]:
                del self._idle[key]
        self._sweeping = loop.call_later(_KEEPALIVE_S, self._sweep) if self._idle else None

    async def _connect(self, target: _Target, timeout_s: float) -> Connection:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout_s):
            addresses = await self._addresses(target.host, target.port)
            sock = await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=_RACE_S)
            try:
                _, connection = await loop.create_connection(
                    lambda: Connection(self._open.discard),
                    sock=sock,
                    ssl=self._context() if target.tls else None,
                    server_hostname=target.host if target.tls else None,
                )
            except BaseException:
                sock.close()
                raise
        self._open.add(connection)
        return connection

    async def _addresses(self, host: str, port: int) -> list[aiohappyeyeballs.AddrInfoType]:
        loop = asyncio.get_running_loop()
        until, found = self._names.get((host, port), (0.0, []))
        if until < loop.time():
            found = list(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            self._names = {key: known for key, known in self._names.items() if known[0] >= loop.time()}
            self._names[host, port] = (loop.time() + _NAMES_S, found)
        if self._public_only:
            for *_, address in found:
                _refuse_private(str(address[0]))
        return found

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls


@lru_cache(maxsize=1024)
def _target(text: str) -> _Target:
    url = URL(text)
    if url.scheme not in {"http", "https"} or not url.raw_host or url.port is None:
        raise ValueError("not the URL of a host")
    return _Target(url.scheme == "https", url.raw_host, url.port, url.host_port_subcomponent or "", url.raw_path_qs)


def _request(
    method: str,
    target: _Target,
    params: Mapping[str, object],
    data: Mapping[str, object] | bytes,
    headers: Mapping[str, str],
) -> bytes:
    """The whole request as bytes. Raises ValueError where a header would become two."""
    body = data if isinstance(data, bytes) else urlencode(data, doseq=True).encode()
    path = target.path
    if params:
        path += ("&" if "?" in path else "?") + urlencode(params, doseq=True)
    told = {"Host": target.named, "User-Agent": "campaign-gateway", "Accept": "*/*"}
    if not isinstance(data, bytes):
        told["Content-Type"] = _FORM
    told |= headers
    if body or method not in {"GET", "DELETE"}:
        told["Content-Length"] = str(len(body))
    head = f"{method} {path} HTTP/1.1\r\n" + "".join([f"{name}: {value}\r\n" for name, value in told.items()])
    if head.count("\r") != len(told) + 1 or head.count("\n") != len(told) + 1 or "\0" in head:
        raise ValueError("a header has a line end in it")
    return f"{head}\r\n".encode("latin-1") + body


def _refuse_private(host: str) -> None:
    with contextlib.suppress(ValueError):
        if not is_public(ipaddress.ip_address(host)):
            raise PrivateAddressError(host)


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is one host's anywhere on the internet: also what a translator or a tunnel makes of it."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.is_site_local or any(address in network for network in _LOCAL):
            return False
        behind = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF) if address in _NAT64 else address.sixtofour
        if behind is not None:
            return is_public(behind)
    return address.is_global and not address.is_multicast
