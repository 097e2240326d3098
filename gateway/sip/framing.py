"""Cutting a stream into SIP messages by their Content-Length (RFC 3261, 18.3), and its keep-alive (RFC 5626, 4.4.1)."""

import re

from gateway.errors.sip import BadSipMessage
from gateway.sip.message import MAX_BYTES

PING = b"\r\n\r\n"
PONG = b"\r\n"
LENGTH = re.compile(rb"^(?:content-length|l)[ \t]*:[ \t\r\n]*([0-9]{1,6})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


class Framer:
    """What came over one connection and is not a whole message yet: never more than one message's worth.

    pings: keep-alives that came and want an answer each; whoever answers them sets it back.
    """

    def __init__(self) -> None:
        self.pings = 0
        self._buffer = bytearray()
        self._scanned = 0  # up to here there is no end of the headers
        self._whole: int | None = None  # bytes of the message whose headers are complete

    @property
    def is_partial(self) -> bool:
        """True while a message has begun and not ended."""
        return bool(self._buffer.strip(b"\r\n"))

    def feed(self, data: bytes) -> list[bytes]:
        """Take what came, return the messages that are whole now.

        Raises: BadSipMessage where the stream cannot be cut any more (no Content-Length, or too long): close it.
        """
        self._buffer += data
        messages = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    def _next(self) -> bytes | None:
        if self._whole is None:
            self._skip_keepalives()
            self._whole = self._measure()
        if self._whole is None or len(self._buffer) < self._whole:
            return None
        message = bytes(self._buffer[: self._whole])
        del self._buffer[: self._whole]
        self._whole, self._scanned = None, 0
        return message

    def _skip_keepalives(self) -> None:
        if self._scanned:
            return
        while self._buffer.startswith(PING):
            self.pings += 1
            del self._buffer[: len(PING)]
        if self._buffer.startswith(PONG) and len(self._buffer) > len(PONG) and not PING.startswith(self._buffer):
            del self._buffer[: len(PONG)]

    def _measure(self) -> int | None:
        """Return how many bytes the message at the front has, None while its headers are not complete."""
        end = self._buffer.find(b"\r\n\r\n", max(0, self._scanned - 3))
        if end < 0 or (end == 0 and not self._buffer.strip(b"\r\n")):
            self._scanned = len(self._buffer) if self.is_partial else 0
            if len(self._buffer) > MAX_BYTES:
                raise BadSipMessage("headers that never end", 513)
            return None
        lengths = set(LENGTH.findall(bytes(self._buffer[: end + 2])))
        if len(lengths) != 1:
            raise BadSipMessage("a message on a stream without one Content-Length")
        whole = end + 4 + int(lengths.pop())
        if whole > MAX_BYTES:
            raise BadSipMessage("a message that is too long", 513)
        return whole
