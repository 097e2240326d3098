"""What a SIP endpoint hears and speaks by: a UDP socket, a listener, and connections over TCP or TLS."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from gateway.errors.sip import BadSipCertificate, SipAddressTaken
from gateway.net.sip_stream import SipStream
from gateway.sip.hop import PORTS, Address, Hop, Transport

RECEIVE_BUFFER: Final = 1 << 20  # bytes: a burst of a thousand calls' messages must not be lost to the kernel
CONNECT_S: Final = 4.0  # as long as a silent address is waited for while there is another
MOST_WAITING: Final = 1_000  # messages that wait for one connection
MOST_STREAMS: Final = 256  # connections at once, theirs and ours
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tls:
    """How TLS is spoken with a trunk.

    name:             what its certificate must be made out to.
    ca_file:          the authorities it may be signed by; None: those of this machine.
    verify:           False takes any certificate, and so any impostor.
    certificate_file, key_file: ours; without them nobody can connect to us, calls come in over our own connection.
    """

    name: str
    ca_file: Path | None = None
    verify: bool = True
    certificate_file: Path | None = None
    key_file: Path | None = None

    def outgoing(self) -> ssl.SSLContext:
        """For connections that we open. Raises BadSipCertificate."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if not self.verify:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self._load(context)
        except (OSError, ssl.SSLError) as error:
            raise BadSipCertificate(str(error)) from error
        return context

    def incoming(self) -> ssl.SSLContext | None:
        """For connections that the trunk opens, None where we have no certificate. Raises BadSipCertificate."""
        if self.certificate_file is None:
            return None
        try:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._load(context)
        except (OSError, ssl.SSLError) as error:
            raise BadSipCertificate(str(error)) from error
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        if self.certificate_file is not None:
            context.load_cert_chain(self.certificate_file, self.key_file)


class SipSockets(asyncio.DatagramProtocol):
    """All sockets of one endpoint.

    receive:     called with each message and where it came from.
    unreachable: called with a hop to which no connection came about: what was to go there has not left.
    broken:      called with a hop whose connection is gone: nobody knows whether what was written last came over.
    trusts:      asked for the address of whoever connects to us; False closes the connection at once.
    """

    def __init__(
        self,
        receive: Callable[[bytes, Hop], None],
        unreachable: Callable[[Hop], None],
        broken: Callable[[Hop], None],
        trusts: Callable[[str], bool],
        tls: Tls | None = None,
    ) -> None:
        self._receive = receive
        self._unreachable = unreachable
        self._broken = broken
        self._trusts = trusts
        self._tls = tls
        self._outgoing: ssl.SSLContext | None = None
        self._bind: Address = ("", 0)
        self._udp: asyncio.DatagramTransport | None = None
        self._listener: asyncio.Server | None = None
        self._streams: dict[Hop, SipStream] = {}
        self._waiting: dict[Hop, list[bytes]] = {}  # by the hop that is being connected to
        self._connecting: set[asyncio.Task[None]] = set()
        self._gone = asyncio.Event()
        self._deaf = asyncio.Event()
        self.address: Address = ("", 0)
        self.unsent = 0  # messages that the network refused

    # --- life

    async def open(self, bind: Address, transport: Transport) -> None:
        """Bind. Raises SipAddressTaken, naming the address; BadSipCertificate."""
        self._bind = bind
        if self._tls is not None:
            self._outgoing = self._tls.outgoing()
        incoming = self._tls.incoming() if self._tls is not None else None
        if transport == "TLS" and incoming is None:
            self.address = (bind[0], bind[1] or PORTS["TLS"])
            return
        bound = _bound(bind, socket.SOCK_DGRAM if transport == "UDP" else socket.SOCK_STREAM)
        self.address = bound.getsockname()[:2]
        loop = asyncio.get_running_loop()
        if transport == "UDP":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            self._udp, _ = await loop.create_datagram_endpoint(lambda: self, sock=bound)
        else:
            self._listener = await loop.create_server(
                lambda: self._stream(transport, None),
                sock=bound,
                ssl=incoming,
                ssl_handshake_timeout=CONNECT_S if incoming else None,
            )

    async def close(self) -> None:
        """Close everything; returns when it is closed."""
        if self._udp is not None:
            self._udp.close()
            await self._deaf.wait()
        if self._listener is not None:
            self._listener.close()
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        for stream in list(self._streams.values()):
            stream.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):  # a far end that does not read does not keep us
                while self._streams:
                    self._gone.clear()
                    await self._gone.wait()
        for stream in list(self._streams.values()):
            stream.abort()
        self._udp = self._listener = None

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._streams)

    # --- out

    def send(self, data: bytes, hop: Hop) -> None:
        """Send a message; over a stream, connect first where there is no connection."""
        if hop.transport == "UDP":
            if self._udp is not None:
                self._udp.sendto(data, hop.address)
            else:
                self.unsent += 1
        elif hop in self._streams:
            self._streams[hop].send(data)
        elif hop in self._waiting and len(self._waiting[hop]) < MOST_WAITING:
            self._waiting[hop].append(data)
        elif hop in self._waiting or len(self._streams) + len(self._waiting) >= MOST_STREAMS:
            self.unsent += 1
        else:
            self._waiting[hop] = [data]
            task = asyncio.create_task(self._connect(hop))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _connect(self, hop: Hop) -> None:
        loop = asyncio.get_running_loop()
        secured = hop.transport == "TLS"
        ours = None if ip_address(self._bind[0]).is_unspecified else (self._bind[0], 0)
        try:
            async with asyncio.timeout(CONNECT_S):
                await loop.create_connection(
                    lambda: self._stream(hop.transport, hop),
                    *hop.address,
                    ssl=self._outgoing if secured else None,
                    server_hostname=self._tls.name if secured and self._tls is not None else None,
                    local_addr=ours,
                )
        except (OSError, TimeoutError) as error:
            waiting = self._waiting.pop(hop, [])
            if (known := self._other_to(hop)) is not None:
                known.also.add(hop)
                for data in waiting:
                    known.send(data)
                return
            log.warning("no %s connection to the SIP trunk: %s", hop.transport, error or "it takes too long")
            self.unsent += len(waiting)
            self._unreachable(hop)

    def _other_to(self, hop: Hop) -> SipStream | None:
        """Return a connection to the same machine: who calls us from behind a wall is reached by its own way in."""
        same = (hop.host, hop.transport)
        return next((stream for known, stream in self._streams.items() if (known.host, known.transport) == same), None)

    # --- in

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Hand a datagram on."""
        self._receive(data, Hop(addr[0], addr[1]))

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the UDP socket is closed."""
        del exc
        self._deaf.set()

    def error_received(self, exc: Exception) -> None:
        """Count what the network refused; the transactions' own time-outs deal with it."""
        del exc
        self.unsent += 1

    def _stream(self, transport: Transport, hop: Hop | None) -> SipStream:
        return SipStream(transport, hop, self._opened, self._receive, self._lost)

    def _opened(self, stream: SipStream) -> bool:
        """Keep a connection, and send what waited for it. False for a stranger, or where there are too many."""
        is_theirs = stream.hop not in self._waiting
        if is_theirs and (not self._trusts(stream.hop.host) or len(self._streams) >= MOST_STREAMS):
            return False
        self._streams[stream.hop] = stream
        for data in self._waiting.pop(stream.hop, ()):
            stream.send(data)
        return True

    def _lost(self, stream: SipStream) -> None:
        self._gone.set()
        if self._streams.get(stream.hop) is stream:
            del self._streams[stream.hop]
            for hop in (stream.hop, *stream.also):
                self._broken(hop)


def _bound(bind: Address, kind: socket.SocketKind) -> socket.socket:
    """Bind a socket. It is not left to the event loop: some do not tell why it cannot be done."""
    made = socket.socket(socket.AF_INET6 if ":" in bind[0] else socket.AF_INET, kind)
    try:
        if kind is socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(bind)
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise SipAddressTaken(*bind, error.strerror or str(error)) from error
    return made
