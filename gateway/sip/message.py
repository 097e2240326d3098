"""SIP requests and responses: bytes in, records out, and back (RFC 3261, section 7).

Far ends' bytes that are not UTF-8 survive the round trip (surrogateescape), since responses must echo them.
"""

import re
from dataclasses import dataclass

from gateway.errors.sip import BadSipMessage, UnsafeSipValue
from gateway.sip.headers import TOKEN, NameAddr, Via, parse_cseq, split_list
from gateway.sip.uri import scheme_of

MAX_BYTES = 32_768  # far above any real message; a larger datagram is garbage
MAX_HEADERS = 200
REQUEST_LINE = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]+) ([^\s<>\"]+) SIP/([0-9]+\.[0-9]+)\Z", re.IGNORECASE)
STATUS_LINE = re.compile(r"SIP/2\.0 ([1-6][0-9][0-9])(?: ([^\r\n]*))?\Z", re.IGNORECASE)
LISTS = frozenset({"Via", "Route", "Record-Route", "Contact", "Require", "Supported", "Allow", "Accept"})
ONCE = ("From", "To", "Call-ID", "CSeq")
COMPACT = {
    "i": "Call-ID", "m": "Contact", "e": "Content-Encoding", "l": "Content-Length", "c": "Content-Type",
    "f": "From", "s": "Subject", "k": "Supported", "t": "To", "v": "Via", "x": "Session-Expires", "r": "Refer-To",
    "b": "Referred-By", "o": "Event", "u": "Allow-Events",
}  # fmt: skip
IRREGULAR = {
    "call-id": "Call-ID", "cseq": "CSeq", "www-authenticate": "WWW-Authenticate", "rseq": "RSeq", "rack": "RAck",
    "min-se": "Min-SE",
}  # fmt: skip
OURS = frozenset({
    "Via", "From", "To", "Call-ID", "CSeq", "Contact", "Route", "Record-Route", "Max-Forwards", "Content-Length",
    "Content-Type", "Authorization", "Proxy-Authorization", "Allow", "Supported", "Require", "User-Agent", "RSeq",
    "RAck", "Session-Expires", "Min-SE",
})  # fmt: skip
REASONS = {
    100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 400: "Bad Request", 401: "Unauthorized",
    403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable",
    407: "Proxy Authentication Required", 408: "Request Timeout", 415: "Unsupported Media Type",
    416: "Unsupported URI Scheme", 420: "Bad Extension", 422: "Session Interval Too Small", 489: "Bad Event",
    480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 482: "Loop Detected", 486: "Busy Here",
    487: "Request Terminated", 488: "Not Acceptable Here", 491: "Request Pending", 500: "Server Internal Error",
    501: "Not Implemented", 503: "Service Unavailable", 504: "Server Time-out", 505: "Version Not Supported",
    600: "Busy Everywhere", 603: "Decline",
}  # fmt: skip

Header = tuple[str, str]
Headers = tuple[Header, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """What requests and responses share. Header names are in canonical form ("Call-ID", "X-Custom")."""

    headers: Headers
    body: bytes

    def get(self, name: str) -> str:
        """Return the first value of a header, "" where it is missing."""
        return next((value for key, value in self.headers if key == name), "")

    def values(self, name: str) -> list[str]:
        """Return all values of a header in order; list headers are split at their commas."""
        found = [value for key, value in self.headers if key == name]
        if name not in LISTS:
            return found
        return [part for value in found for part in split_list(value)]

    @property
    def via(self) -> Via:
        """The topmost Via. Raises BadSipMessage where there is none."""
        first = self.get("Via")
        if not first:
            raise BadSipMessage("no Via")
        return Via.parse(split_list(first)[0])

    @property
    def cseq(self) -> tuple[int, str]:
        """Number and method of the CSeq. Raises BadSipMessage."""
        return parse_cseq(self.get("CSeq"))

    @property
    def from_(self) -> NameAddr:
        """The From value. Raises BadSipMessage."""
        return NameAddr.parse(self.get("From"))

    @property
    def to(self) -> NameAddr:
        """The To value. Raises BadSipMessage."""
        return NameAddr.parse(self.get("To"))

    @property
    def contact(self) -> str:
        """The URI of the first Contact, as written; "" where there is none that SIP can reach. Raises BadSipMessage."""
        first = self.values("Contact")
        uri = NameAddr.parse(first[0]).uri if first and first[0] != "*" else ""
        return uri if uri and scheme_of(uri) in {"sip", "sips"} else ""

    @property
    def call_id(self) -> str:
        """The Call-ID."""
        return self.get("Call-ID")

    def _encode(self, start: str) -> bytes:
        lines = [start, *(f"{name}: {value}" for name, value in self.headers), f"Content-Length: {len(self.body)}"]
        if any("\r" in line or "\n" in line for line in lines):
            raise UnsafeSipValue("a line break inside a SIP header")
        return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + self.body


@dataclass(frozen=True, slots=True)
class Request(Message):
    """A SIP request. `uri` is the Request-URI as written."""

    method: str
    uri: str

    def encode(self) -> bytes:
        """Write the request. Raises UnsafeSipValue if any part holds a line break."""
        return self._encode(f"{self.method} {self.uri} SIP/2.0")

    def respond(self, status: int, to_tag: str = "", headers: Headers = (), body: bytes = b"") -> "Response":
        """Build a response (section 8.2.6). `to_tag` is added to To where the request had none."""
        to = self.get("To")
        if to_tag and not self.to.tag:  # a response without a tag of ours repeats To unread
            to = f"{to};tag={to_tag}"
        echoed = (*(("Via", via) for via in self.values("Via")), ("From", self.get("From")), ("To", to))
        same = (("Call-ID", self.call_id), ("CSeq", self.get("CSeq")))
        return Response((*echoed, *same, *headers), body, status, REASONS.get(status, "Refused"))


@dataclass(frozen=True, slots=True)
class Response(Message):
    """A SIP response; `status` is 100 to 699."""

    status: int
    reason: str

    def encode(self) -> bytes:
        """Write the response. Raises UnsafeSipValue if any part holds a line break."""
        return self._encode(f"SIP/2.0 {self.status} {self.reason}")


def parse(data: bytes) -> Request | Response:
    """Parse one datagram. What the headers mean is not looked at: see `check`.

    Bytes after the body that Content-Length announces are dropped (section 18.3).
    Raises: BadSipMessage.
    """
    if len(data) > MAX_BYTES:
        raise BadSipMessage("a message that is too long", 513)
    head, end, rest = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if not end:
        raise BadSipMessage("headers that never end")
    start, *lines = re.sub(r"\r\n[ \t]+", " ", head.decode("utf-8", "surrogateescape")).split("\r\n")
    headers = _parse_headers(lines)
    body = _cut_body(headers, rest)
    kept = tuple(header for header in headers if header[0] != "Content-Length")
    if start[:4].upper() == "SIP/":
        return _parse_response(start, kept, body)
    return _parse_request(start, kept, body)


def _parse_request(start: str, headers: Headers, body: bytes) -> Request:
    match = REQUEST_LINE.match(start)
    if match is None:
        raise BadSipMessage("an unreadable request line")
    if match[3] != "2.0":
        raise BadSipMessage("not SIP/2.0", 505)
    return Request(headers, body, match[1], match[2])


def _parse_response(start: str, headers: Headers, body: bytes) -> Response:
    match = STATUS_LINE.match(start)
    if match is None:
        raise BadSipMessage("an unreadable status line")
    return Response(headers, body, int(match[1]), match[2] or "")


def _parse_headers(lines: list[str]) -> Headers:
    if len(lines) > MAX_HEADERS:
        raise BadSipMessage("too many headers", 513)
    return tuple(_parse_header(line) for line in lines)


def _parse_header(line: str) -> Header:
    name, colon, value = line.partition(":")
    name = name.rstrip(" \t")
    if not colon or not TOKEN.match(name) or "\r" in value or "\n" in value:
        raise BadSipMessage("a line that is no header")
    return canonical(name), value.strip()


def canonical(name: str) -> str:
    """Return a header's name in the one spelling used here: compact forms long, each word capital."""
    lower = name.lower()
    return COMPACT.get(lower) or IRREGULAR.get(lower) or lower.title()


def _cut_body(headers: Headers, rest: bytes) -> bytes:
    lengths = {value for name, value in headers if name == "Content-Length"}
    if not lengths:
        return rest
    length = lengths.pop()
    if lengths or not re.fullmatch(r"[0-9]{1,6}", length) or int(length) > len(rest):
        raise BadSipMessage("a Content-Length that does not fit the body")
    return rest[: int(length)]


def check(message: Request | Response) -> None:
    """Check what every message must carry (section 8.1.1), each value in its own grammar.

    Raises: BadSipMessage; `answer` is the status to refuse a request with.
    """
    for name in ONCE:
        if len(message.values(name)) != 1 or not message.get(name):
            raise BadSipMessage(f"{name} must stand there exactly once")
    for via in message.values("Via") or [""]:
        Via.parse(via)
    for name in ("Contact", "Route", "Record-Route"):
        for value in message.values(name):
            if not (value == "*" and name == "Contact"):
                NameAddr.parse(value)
    for name in ("From", "To"):
        NameAddr.parse(message.get(name))
    _, method = message.cseq
    if isinstance(message, Request):
        _check_request(message, method)


def _check_request(request: Request, method: str) -> None:
    if method != request.method:
        raise BadSipMessage("CSeq and request line name different methods")
    if "?" in request.uri.rpartition("@")[2]:  # a question mark in the user part is fine
        raise BadSipMessage("a Request-URI with headers in it")
    hops = request.get("Max-Forwards") or "70"
    if not re.fullmatch(r"[0-9]{1,9}", hops) or int(hops) > 255:
        raise BadSipMessage("Max-Forwards is not 0 to 255")
    if scheme_of(request.uri) not in {"sip", "sips", "tel"}:
        raise BadSipMessage("a Request-URI of another scheme", 416)


def own_headers(headers: Headers) -> Headers:
    """Check headers that a caller wants added. Raises UnsafeSipValue: bad name, control character, or one of ours."""
    for name, value in headers:
        if not TOKEN.match(name) or canonical(name) in OURS:
            raise UnsafeSipValue(f"the header {name[:40]!r} cannot be set")
        refuse_controls(value)
    return tuple((canonical(name), value) for name, value in headers)


def readable(text: str) -> str:
    """Return a far end's text as clean Unicode, for logs and events: bytes that were no UTF-8 become U+FFFD."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def refuse_controls(value: str) -> str:
    """Return a value that may stand in a header. Raises UnsafeSipValue where it holds control characters."""
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", value):
        raise UnsafeSipValue("a control character in a value for a SIP header")
    return value
