"""SIP URIs (RFC 3261, section 19.1). Far ends' URIs stay text until a part of them is needed."""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from gateway.errors.sip import BadSipMessage

USER_SAFE = "-_.!~*'()&=+$,;?/"  # section 25.1: mark and user-unreserved
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*\Z")
HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]\s;?@<>\"]+)(?::([0-9]{1,5}))?\Z")


@dataclass(frozen=True, slots=True)
class SipUri:
    """A ``sip:`` or ``sips:`` URI in parts. `user` is unescaped, `host` keeps the brackets of IPv6."""

    user: str
    host: str
    port: int | None = None
    params: tuple[str, ...] = ()
    scheme: str = "sip"

    def __str__(self) -> str:
        """Write the URI, the user part escaped: nothing in it can end the URI or the header line."""
        user = f"{quote(self.user, safe=USER_SAFE)}@" if self.user else ""
        port = f":{self.port}" if self.port is not None else ""
        params = "".join(f";{param}" for param in self.params)
        return f"{self.scheme}:{user}{self.host}{port}{params}"

    @property
    def loose(self) -> bool:
        """True where a Route entry asks for loose routing (``;lr``)."""
        return any(param.partition("=")[0].strip().lower() == "lr" for param in self.params)

    def param(self, name: str) -> str:
        """Return the value of a parameter, "" where it is missing or has none. `name` is in lower case."""
        pairs = (param.partition("=") for param in self.params)
        return next((value.strip() for key, _, value in pairs if key.strip().lower() == name), "")

    @property
    def address(self) -> tuple[str, int]:
        """Host without brackets, and the port, 5060 where none is given."""
        return self.host.strip("[]"), self.port or 5060


def scheme_of(text: str) -> str:
    """Return the lower-case scheme of any URI. Raises BadSipMessage where there is none."""
    scheme, colon, rest = text.partition(":")
    if not colon or not rest or not SCHEME.match(scheme):
        raise BadSipMessage("a URI without a scheme")
    return scheme.lower()


def parse_uri(text: str) -> SipUri:
    """Parse a ``sip:`` or ``sips:`` URI; its headers (after ``?``) and its password are dropped.

    Raises: BadSipMessage, with answer 416 where the scheme is another one.
    """
    scheme = scheme_of(text)
    if scheme not in {"sip", "sips"}:
        raise BadSipMessage("not a SIP URI", 416)
    rest = text.partition(":")[2]
    userinfo, at, hostpart = rest.partition("@")  # a raw @ cannot stand in the user part
    if not at:
        userinfo, hostpart = "", rest
    host_port, *params = hostpart.partition("?")[0].split(";")
    match = HOST_PORT.match(host_port)
    if match is None or (match[2] and not 0 < int(match[2]) <= 0xFFFF):
        raise BadSipMessage("a SIP URI with an unreadable host or port")
    user = unquote(userinfo.partition(":")[0])
    return SipUri(user, match[1], int(match[2]) if match[2] else None, tuple(params), scheme)
