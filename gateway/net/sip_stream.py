"""One SIP connection over TCP or TLS (RFC 3261, section 18; keep-alive by RFC 5626, section 4.4.1)."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

from gateway.errors.sip import BadSipMessage
from gateway.sip.framing import PING, PONG, Framer
from gateway.sip.hop import Hop

PING_S: Final = 30.0  # between our keep-alives on connections that we opened
PARTIAL_S: Final = 10.0  # how long a message may take from its first byte to its last
DEAF_S: Final = 10.0  # how long the far end's machine may leave unacknowledged what was written (RFC 5626, 4.4.1)
MOST_UNSENT: Final = 1 << 20  # bytes: a far end that does not read is left


class SipStream(asyncio.Protocol):
    """Cuts what comes into messages and hands them on with the hop they came from.

    hop:    the other end; None for a connection that somebody opened to us.
    also:   further hops whose messages went over it, since no connection to them came about.
    take:   called with each message. lost: called once, when the connection is gone.
    """

    def __init__(
        self,
        transport: str,
        hop: Hop | None,
        opened: Callable[["SipStream"], bool],
        take: Callable[[bytes, Hop], None],
        lost: Callable[["SipStream"], None],
    ) -> None:
        self.hop = hop or Hop("", 0)
        self.also: set[Hop] = set()
        self._kind = transport
        self._is_ours = hop is not None
        self._opened = opened
        self._take = take
        self._lost = lost
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._partial: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin; a stranger's connection is closed before a byte is read."""
        self._transport = transport
        if not self._is_ours:
            host, port = transport.get_extra_info("peername")[:2]
            self.hop = Hop(host, port, "TLS" if self._kind == "TLS" else "TCP")
        if not self._opened(self):
            transport.abort()
            return
        _give_up_after(transport.get_extra_info("socket"), DEAF_S)
        if self._is_ours:
            self._timer = asyncio.get_running_loop().call_later(PING_S, self._ping)

    def data_received(self, data: bytes) -> None:
        """Hand on every message that is whole; a stream that cannot be cut is closed."""
        try:
            messages = self._framer.feed(data)
        except BadSipMessage:
            self.abort()
            return
        if self._framer.pings:
            self._framer.pings = 0
            self.send(PONG)
        self._watch_partial()
        for message in messages:
            self._take(message, self.hop)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go."""
        del exc
        for timer in (self._timer, self._partial):
            if timer is not None:
                timer.cancel()
        self._transport = None
        self._lost(self)

    def send(self, data: bytes) -> None:
        """Write a message; a far end that reads nothing loses the connection."""
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > MOST_UNSENT:
            self.abort()

    def close(self) -> None:
        """Close once what was written is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _ping(self) -> None:
        self.send(PING)
        self._timer = asyncio.get_running_loop().call_later(PING_S, self._ping)

    def _watch_partial(self) -> None:
        """Give a message that has begun a while to end."""
        if not self._framer.is_partial:
            if self._partial is not None:
                self._partial.cancel()
                self._partial = None
        elif self._partial is None:
            self._partial = asyncio.get_running_loop().call_later(PARTIAL_S, self.abort)


def _give_up_after(connection: Any, seconds: float) -> None:
    """Have the kernel close a connection whose far end is gone without a word: by itself it tries for a quarter hour.

    Until then everything would be written into it, for it looks as good as ever (tcp(7), TCP_USER_TIMEOUT).
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
    if option is not None:
        connection.setsockopt(socket.IPPROTO_TCP, option, round(1000 * seconds))
