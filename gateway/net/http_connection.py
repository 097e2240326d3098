"""One HTTP/1.1 connection of a client: a request at a time goes out, its answer is read by llhttp (`httptools`)."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import httptools

_MAX_ANSWER = 1 << 20
_MAX_BYTES = 2 << 20  # of a whole answer as it stands on the wire: headers without end would fill the memory


class BrokenAnswerError(ConnectionError):
    """The connection ended, or what came was no HTTP, before the answer was whole."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Names of headers are in lower case; a body longer than 1 MiB is cut there."""

    status: int
    body: str
    headers: Mapping[str, str]


class Connection(asyncio.Protocol):
    """Made by `create_connection`. `lost` tells that it is of no more use; `ended` is called as that becomes so."""

    def __init__(self, ended: Callable[["Connection"], None]) -> None:
        self.lost = False
        self.idle_since = 0.0  # for the pool that keeps it
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._answering: asyncio.Future[Answer] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._read = 0  # bytes of the answer that is coming
        self._until_closed = False  # the body has no length of its own

    @property
    def busy(self) -> bool:
        """Whether an answer is still to come."""
        return self._answering is not None

    def offer(self, request: bytes, timeout_s: float) -> asyncio.Future[Answer]:
        """Hand a whole request to the socket now. The answer may be awaited; the next request comes after it.

        timeout_s: from now to the last byte of the answer.
        The future fails with BrokenAnswerError or TimeoutError; the connection is then lost.
        """
        answering = self._loop.create_future()
        self._answering, self._read = answering, 0
        self._timer = self._loop.call_later(timeout_s, self._fail, TimeoutError("no answer in time"))
        self._transport.write(request)
        return answering

    def close(self) -> None:
        """Drop the connection, whatever is under way."""
        self._fail(BrokenAnswerError("closed"))

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 - as asyncio says
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without saying so

    def data_received(self, data: bytes) -> None:  # noqa: D102 - as asyncio says
        if self._answering is None:
            self.close()  # nobody asked: an answer to this would be taken for the next one's
            return
        self._read += len(data)
        if self._read > _MAX_BYTES:
            self._fail(BrokenAnswerError("the answer has no end"))
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, ValueError) as error:
            self._fail(BrokenAnswerError(type(error).__name__))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102 - as asyncio says
        if self._until_closed and exc is None:
            self._finish(reusable=False)
        self._fail(BrokenAnswerError("the connection was closed before the answer was whole"))

    # --- the parser's side

    def on_message_begin(self) -> None:
        """An answer begins: one that nobody asked for, behind the one before, would be taken for the next one's."""
        if self._answering is None:
            self._end()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, in order; of a repeated one the last counts."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Note how the body will end."""
        self._until_closed = not {"content-length", "transfer-encoding"} & self._headers.keys()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body += body
        if len(self._body) > _MAX_ANSWER:
            del self._body[_MAX_ANSWER:]
            self._finish(reusable=False)

    def on_message_complete(self) -> None:
        """A whole answer, or one of those (1xx) that only announce it."""
        if self._parser.get_status_code() < 200:
            self._headers, self._body, self._until_closed = {}, bytearray(), False
            return
        self._finish(reusable=self._parser.should_keep_alive())

    def _finish(self, *, reusable: bool) -> None:
        answering, headers, body = self._answering, self._headers, self._body
        self._answering, self._headers, self._body, self._until_closed = None, {}, bytearray(), False
        if self._timer is not None:
            self._timer.cancel()
        if not reusable:
            self._end()
        if answering is not None and not answering.done():
            status = self._parser.get_status_code()
            answering.set_result(Answer(status, body.decode(errors="replace"), headers))

    def _fail(self, error: Exception) -> None:
        answering, self._answering = self._answering, None
        if self._timer is not None:
            self._timer.cancel()
        self._end()
        if answering is not None and not answering.done():
            answering.set_exception(error)

    def _end(self) -> None:
        if not self.lost:
            self.lost = True
            self._transport.abort()
            self._ended(self)
