"""Values of SIP headers: lists, parameters, Via, name-addr and CSeq (RFC 3261, sections 7.3 and 20)."""

import re
from dataclasses import dataclass

from gateway.errors.sip import BadSipMessage
from gateway.sip.uri import scheme_of

TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+\Z")
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
DISPLAY = re.compile(r"[A-Za-z0-9\-.!%*_+`'~\s\x80-\U0010ffff]*\Z")
SENT_PROTOCOL = re.compile(r"SIP\s*/\s*2\.0\s*/\s*([A-Za-z0-9\-.!%*_+`'~]+)\s+(.*)\Z", re.DOTALL | re.IGNORECASE)
SENT_BY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+)\s*(?::\s*([0-9]{1,5}))?\Z")
CSEQ = re.compile(r"([0-9]{1,10})\s+([A-Za-z0-9\-.!%*_+`'~]+)\Z")
BRANCH_COOKIE = "z9hG4bK"  # section 8.1.1.7

Params = tuple[tuple[str, str | None], ...]


def split_list(value: str, separator: str = ",") -> list[str]:
    """Split at `separator`, but never inside quotes or angle brackets. Raises BadSipMessage if a quote stays open."""
    if separator not in value:
        return [value.strip()]
    parts, start, index, depth = [], 0, 0, 0
    while index < len(value):
        character = value[index]
        if character == '"':
            index = _end_of_quote(value, index)
            continue
        if character in "<>":
            depth = int(character == "<")
        elif character == separator and not depth:
            parts.append(value[start:index].strip())
            start = index + 1
        index += 1
    return [*parts, value[start:].strip()]


def _end_of_quote(value: str, start: int) -> int:
    """Return the index just after the quoted string that begins at `start`."""
    match = QUOTED.match(value, start)
    if match is None:
        raise BadSipMessage("a quoted string that never ends")
    return match.end()


def unquote_string(text: str) -> str:
    """Take the quotes and the backslashes off a quoted string; other text comes back as it is."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)


def parse_params(text: str) -> Params:
    """Parse ``;name=value;flag``. Names come back in lower case, values as written. Raises BadSipMessage."""
    if not text.strip():
        return ()
    first, *rest = split_list(text, ";")
    if first:
        raise BadSipMessage("parameters that do not begin with a semicolon")
    return tuple(_parse_param(part) for part in rest)


def _parse_param(part: str) -> tuple[str, str | None]:
    name, equals, value = (piece.strip() for piece in part.partition("="))
    if not TOKEN.match(name) or (equals and not value):
        raise BadSipMessage("a parameter without a name or value")
    return name.lower(), value if equals else None


def write_params(params: Params) -> str:
    """Write parameters back, each with its semicolon."""
    return "".join(f";{name}" if value is None else f";{name}={value}" for name, value in params)


def find_param(params: Params, name: str) -> str | None:
    """Return the first value of a parameter: its text, "" for a bare flag, None where it is missing."""
    return next((value or "" for key, value in params if key == name), None)


@dataclass(frozen=True, slots=True)
class Via:
    """One hop of the way back (section 20.42). `host` keeps the brackets of IPv6."""

    transport: str
    host: str
    port: int | None
    params: Params

    def __str__(self) -> str:
        """Write the hop as it stands in a header."""
        port = f":{self.port}" if self.port is not None else ""
        return f"SIP/2.0/{self.transport} {self.host}{port}{write_params(self.params)}"

    @property
    def branch(self) -> str:
        """The transaction's name, "" where a far end of RFC 2543 gave none."""
        return find_param(self.params, "branch") or ""

    @classmethod
    def parse(cls, text: str) -> "Via":
        """Parse one Via value. Raises BadSipMessage."""
        protocol = SENT_PROTOCOL.match(text.strip())
        if protocol is None:
            raise BadSipMessage("a Via that is not SIP/2.0")
        sent_by, semicolon, params = protocol[2].partition(";")
        match = SENT_BY.match(sent_by.strip())
        if match is None or (match[2] and not 0 < int(match[2]) <= 0xFFFF):
            raise BadSipMessage("a Via without a readable sent-by")
        return cls(protocol[1].upper(), match[1], int(match[2]) if match[2] else None, parse_params(semicolon + params))

    def seen_from(self, host: str, port: int) -> "Via":
        """Note where the request really came from (RFC 3261, 18.2.1; RFC 3581, section 4)."""
        kept = tuple(param for param in self.params if param[0] not in {"received", "rport"})
        asked = find_param(self.params, "rport") is not None
        noted: Params = (("received", host),) if asked or self.host.strip("[]") != host else ()
        if asked:
            noted = (*noted, ("rport", str(port)))
        return Via(self.transport, self.host, self.port, kept + noted)


@dataclass(frozen=True, slots=True)
class NameAddr:
    """A From, To, Contact, Route or Record-Route value (section 20.10). `uri` is kept as written."""

    display: str
    uri: str
    params: Params = ()

    def __str__(self) -> str:
        """Write the value, the display name quoted, the URI in angle brackets."""
        name = re.sub(r'(["\\\\])', r"\\\1", self.display)
        display = f'"{name}" ' if name else ""
        return f"{display}<{self.uri}>{write_params(self.params)}"

    @property
    def tag(self) -> str:
        """The dialog tag, "" where there is none yet."""
        return find_param(self.params, "tag") or ""

    @classmethod
    def parse(cls, text: str) -> "NameAddr":
        """Parse one value, with or without angle brackets. Raises BadSipMessage."""
        text = text.strip()
        end = _end_of_quote(text, 0) if text.startswith('"') else text.find("<")
        if end < 0:
            return cls._parse_bare(text)
        display, rest = text[:end].strip(), text[end:].strip()
        uri, closed, params = rest[1:].partition(">")
        if not rest.startswith("<") or not closed or (display[:1] != '"' and not DISPLAY.match(display)):
            raise BadSipMessage("a name-addr without its angle brackets, or with a name that needs quotes")
        return cls(unquote_string(display), checked_uri(uri), parse_params(params))

    @classmethod
    def _parse_bare(cls, text: str) -> "NameAddr":
        """Parse an addr-spec: what follows the first semicolon belongs to the header, not to the URI (20.10)."""
        uri, semicolon, params = text.partition(";")
        uri = uri.strip()
        if "?" in uri or "," in uri:
            raise BadSipMessage("a URI that needs angle brackets")
        return cls("", checked_uri(uri), parse_params(semicolon + params))


def checked_uri(uri: str) -> str:
    """Return a URI that may stand in angle brackets or a request line. Raises BadSipMessage."""
    if re.search(r"[\s<>\"\x00-\x1f]", uri):
        raise BadSipMessage("white space or quotes inside a URI")
    scheme_of(uri)
    return uri


def parse_cseq(text: str) -> tuple[int, str]:
    """Return number and method of a CSeq; the number is below 2**31 (section 8.1.1.5). Raises BadSipMessage."""
    match = CSEQ.match(text.strip())
    if match is None or int(match[1]) >= 1 << 31:
        raise BadSipMessage("a CSeq that is not a number below 2**31 and a method")
    return int(match[1]), match[2]
