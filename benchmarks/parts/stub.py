"""A far end that costs next to nothing: it answers as a carrier does, and keeps a ledger of what reached it.

    python benchmarks/parts/stub.py [--reports] [--token practice] [--silent-every N | --broken-every N] [--slow-ms MS]
                                    [--slow-from NUMBER]

A POST that ends in `Messages.json` is answered 201 as Twilio does; any other path but these two is a plain carrier's
and gets `200 Sent.` (Kannel's generic HTTP carrier). `GET /counts` tells how many texts came, `GET /ledger` each of
them: [number, seconds since the epoch at which its last byte was here]. With `--reports` every text whose form has a
StatusCallback is reported `delivered` there, signed with `--token`, 64 at once at most. `--silent-every N`: every Nth
text is kept and never answered; `--broken-every N`: its connection is closed instead. `--slow-ms` delays each answer,
or those to one sender (`--slow-from`). One JSON line with the URL when it listens. Nothing is stored.
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import re
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

import uvloop

ACCOUNT: Final = "AC00000000000000000000000000000001"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TO: Final = re.compile(rb"(?:^|[?&])to=([^& ]*)", re.IGNORECASE)
_REPORTERS: Final = 64
_CREATED: Final = {
    "account_sid": ACCOUNT,
    "api_version": "2010-04-01",
    "body": "",
    "date_created": "Thu, 01 Jan 2026 00:00:00 +0000",
    "date_sent": None,
    "date_updated": "Thu, 01 Jan 2026 00:00:00 +0000",
    "direction": "outbound-api",
    "error_code": None,
    "error_message": None,
    "from": "+18005550199",
    "messaging_service_sid": None,
    "num_media": "0",
    "num_segments": "1",
    "price": None,
    "price_unit": "USD",
    "sid": "SM@@",
    "status": "queued",
    "subresource_uris": {"media": f"/2010-04-01/Accounts/{ACCOUNT}/Messages/SM@@/Media.json"},
    "to": "",
    "uri": f"/2010-04-01/Accounts/{ACCOUNT}/Messages/SM@@.json",
}
_ANSWER: Final = json.dumps(_CREATED).encode()


def _response(status: bytes, kind: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (status, kind, len(body))
    return head + body


class Ledger:
    """What came, in order, and what is still to be reported."""

    def __init__(self, *, reports: bool, silent_every: int, broken_every: int, slow_s: float, slow_from: str) -> None:
        self.texts: list[tuple[str, float]] = []
        self.reports = reports
        self.silent_every = silent_every
        self.broken_every = broken_every
        self.slow_s = slow_s
        self.slow_from = urlencode({"From": slow_from}).encode() if slow_from else b""
        self.to_report: deque[tuple[str, str]] = deque()
        self.woken = asyncio.Event()

    def take(self, line: bytes, body: bytes) -> bytes | None:
        """Note a text and give its answer. None: it gets none; nothing: its connection breaks."""
        found = _TO.search(body) or _TO.search(line)
        self.texts.append((unquote_plus(found[1].decode()) if found else "", time.time()))
        number = len(self.texts)
        if self.silent_every and number % self.silent_every == 0:
            return None
        if self.broken_every and number % self.broken_every == 0:
            return b""
        if b"Messages.json" not in line:
            return _response(b"200 OK", b"text/plain", b"Sent.")
        sid = f"{number:032x}"
        if self.reports and b"StatusCallback=" in body:
            self.to_report.append((dict(parse_qsl(body.decode()))["StatusCallback"], f"SM{sid}"))
            self.woken.set()
        return _response(b"201 Created", b"application/json", _ANSWER.replace(b"@@", sid.encode()))

    def tell(self, path: bytes) -> bytes:
        """Answer a question about the ledger."""
        told: Any = {"received": len(self.texts)} if path == b"/counts" else self.texts
        return _response(b"200 OK", b"application/json", json.dumps(told).encode())


class Connection(asyncio.Protocol):
    """One client: requests one after the other, bodies of a known length."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._got = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._got += data
        while (end := self._got.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._got, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._got) < whole:
                return
            line, body = self._got[: self._got.find(b"\r\n")], self._got[end + 4 : whole]
            self._got = self._got[whole:]
            path = line.split(b" ", 2)[1]
            asked = path in {b"/counts", b"/ledger"}
            answer = self._ledger.tell(path) if asked else self._ledger.take(line, body)
            if answer == b"":
                self._transport.close()
            elif answer is not None and self._ledger.slow_s and not asked and self._ledger.slow_from in body:
                asyncio.get_running_loop().call_later(self._ledger.slow_s, self._transport.write, answer)
            elif answer is not None:
                self._transport.write(answer)


class Reporter(asyncio.Protocol):
    """One connection to whoever wants to be told: one report at a time, the next when its answer came."""

    def __init__(self, ready: Callable[["Reporter"], None]) -> None:
        self._ready = ready
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        assert data.startswith((b"HTTP/1.1 2", b"HTTP/1.1 4")), data[:100]
        self._ready(self)


def report(url: str, sid: str, token: str) -> bytes:
    """A signed StatusCallback, as bytes."""
    form = {"MessageSid": sid, "SmsSid": sid, "MessageStatus": "delivered", "SmsStatus": "delivered"}
    form |= {"AccountSid": ACCOUNT, "ApiVersion": "2010-04-01"}
    signed = url + "".join(name + form[name] for name in sorted(form))
    signature = base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()
    parts, body = urlsplit(url), urlencode(form)
    head = (
        f"POST {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nX-Twilio-Signature: {signature}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


async def send_reports(ledger: Ledger, token: str) -> None:
    """Report what was taken, for ever."""
    free: asyncio.Queue[Reporter] = asyncio.Queue()
    opened = 0
    while True:
        while not ledger.to_report:
            ledger.woken.clear()
            await ledger.woken.wait()
        url, sid = ledger.to_report.popleft()
        if free.empty() and opened < _REPORTERS:
            opened += 1
            parts = urlsplit(url)
            _, reporter = await asyncio.get_running_loop().create_connection(
                lambda: Reporter(free.put_nowait), parts.hostname, parts.port
            )
        else:
            reporter = await free.get()
        reporter.transport.write(report(url, sid, token))


async def main(
    *, reports: bool, token: str, silent_every: int, broken_every: int, slow_ms: float, slow_from: str
) -> None:
    ledger = Ledger(
        reports=reports,
        silent_every=silent_every,
        broken_every=broken_every,
        slow_s=slow_ms / 1000,
        slow_from=slow_from,
    )
    server = await asyncio.get_running_loop().create_server(lambda: Connection(ledger), "127.0.0.1", 0, backlog=1024)
    reporting = asyncio.create_task(send_reports(ledger, token))
    print(json.dumps({"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "account": ACCOUNT}), flush=True)
    await reporting


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", action="store_true", help="send a delivery report for each text")
    parser.add_argument("--token", default="practice", help="what reports are signed with")
    parser.add_argument("--silent-every", type=int, default=0, metavar="N", help="never answer every Nth text")
    parser.add_argument("--broken-every", type=int, default=0, metavar="N", help="hang up on every Nth text")
    parser.add_argument("--slow-ms", type=float, default=0.0, metavar="MS", help="answer so much later")
    parser.add_argument("--slow-from", default="", metavar="NUMBER", help="only what this sender sends")
    uvloop.run(main(**vars(parser.parse_args())))
