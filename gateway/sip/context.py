"""What all calls of one user agent share: who we are, whom we trust, the dice, and the way out."""

import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from gateway.errors.sip import BadSipMessage
from gateway.sip.alarms import Alarms
from gateway.sip.events import Event
from gateway.sip.headers import BRANCH_COOKIE
from gateway.sip.held_call import HeldCall
from gateway.sip.hop import LARGEST_DATAGRAM, PORTS, TRANSPORTS, Hop
from gateway.sip.message import Headers, Request
from gateway.sip.options import Options
from gateway.sip.transaction import Transaction, Transactions, TransactionUser
from gateway.sip.uri import SipUri, parse_uri

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, NOTIFY"
SUPPORTED = "100rel, timer"
EXTENSIONS = frozenset(SUPPORTED.split(", "))
METHODS = frozenset(ALLOW.split(", "))


@dataclass(slots=True)
class Counters:
    """What a user agent threw away, and why."""

    garbage: int = 0  # datagrams that are not SIP
    foreign: int = 0  # datagrams from elsewhere than a peer
    refused: int = 0  # requests that RFC 3261 does not allow, answered 4xx or 5xx
    overload: int = 0  # requests dropped because too many were at work


class Context:
    """Shared by a `UserAgent` and its calls."""

    def __init__(self, options: Options, token: Callable[[], str]) -> None:
        self.options = options
        self.token = token
        self.counters = Counters()
        self.calls: dict[str, HeldCall] = {}  # by our tag
        self.ringing: set[tuple[str, str, int]] = set()  # inbound calls' INVITEs, as `incoming.identity`
        self.outbox: deque[tuple[bytes, Hop]] = deque()
        self.events: deque[Event] = deque()
        self.alarms = Alarms()
        self.transactions = Transactions(options.timers, self.send)
        self._networks: tuple[IPv4Network | IPv6Network, ...] | None = None
        self.trust(options.peers)

    def send(self, data: bytes, destination: Hop) -> None:
        """Put a message in the outbox."""
        self.outbox.append((data, destination))

    def send_request(self, request: Request, hop: Hop, now: float, user: TransactionUser | None) -> Transaction:
        """Send a request that has no Via yet, and start its transaction."""
        return self.transactions.request(*self.stamped(request, hop), now, user)

    def stamped(self, request: Request, hop: Hop) -> tuple[Request, Hop]:
        """Give a request its Via; one too large for a datagram goes over TCP where that is allowed (18.1.1)."""
        if hop.transport == "UDP" and self.options.large_over_tcp:
            size = len(request.encode()) + len(self._via(hop))
            if size > LARGEST_DATAGRAM:
                hop = hop._replace(transport="TCP")
        return replace(request, headers=(("Via", self._via(hop)), *request.headers)), hop

    def trust(self, peers: tuple[str, ...] | None) -> None:
        """Set who may talk to us from now on, as `Options.peers`."""
        self._networks = None if peers is None else tuple(ip_network(peer, strict=False) for peer in peers)

    def trusts(self, host: str) -> bool:
        """True where `host` is an IP address among the peers. Never raises."""
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return self._networks is None or any(address in network for network in self._networks)

    def _via(self, hop: Hop) -> str:
        host, port = self.options.advertised
        return f"SIP/2.0/{hop.transport} {bracket(host)}:{port};branch={BRANCH_COOKIE}{self.token()};rport"

    def contact(self, user: str) -> tuple[str, str]:
        """Return our Contact header."""
        host, port = self.options.advertised
        transport = self.options.transport.lower()
        params = () if transport == "udp" else (f"transport={transport}",)
        return "Contact", f"<{SipUri(user, bracket(host), port, params)}>"

    def capabilities(self) -> Headers:
        """Return the headers that say what we can do."""
        return ("Allow", ALLOW), ("Supported", SUPPORTED), ("User-Agent", self.options.product)

    def dice(self) -> float:
        """Return a number from 0 up to 1."""
        return int.from_bytes(hashlib.sha256(self.token().encode()).digest()[:6]) / (1 << 48)

    def hop(self, uri: str, peer: Hop) -> Hop:
        """Choose where a request inside a dialog goes: the address its route names if that is a peer's, else `peer`.

        A core resolves no names, and no far end may point us at a stranger, off TLS, or to where we do not listen.
        """
        try:
            wanted = parse_uri(uri)
        except BadSipMessage:
            return peer
        transport = TRANSPORTS.get(wanted.param("transport").lower(), peer.transport)
        worse = peer.transport == "TLS" != transport or (transport == "UDP" != self.options.transport)
        if worse or not self.trusts(wanted.address[0]):
            return peer
        return Hop(wanted.address[0], wanted.port or PORTS[transport], transport)


def bracket(host: str) -> str:
    """Write an address for a URI or a Via: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host
