"""What all calls of one user agent share: who we are, whom we trust, the dice, and the way out."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from gateway.sip.digest import Credentials
from gateway.sip.events import Event
from gateway.sip.headers import BRANCH_COOKIE
from gateway.sip.message import Headers
from gateway.sip.transaction import Address, Timers, Transactions
from gateway.sip.uri import SipUri

if TYPE_CHECKING:
    from gateway.sip.call import Call

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE"
METHODS = frozenset(ALLOW.split(", "))


@dataclass(frozen=True, slots=True)
class Options:
    """How a user agent is set up.

    advertised:  address and port that far ends reach us at; it stands in Via and Contact.
    peers:       networks (or single addresses) that may talk to us; empty means nobody, None means anybody
                 (a practice phone on loopback; never a gateway).
    credentials: for challenges to our INVITEs; None answers none.
    max_calls:   inbound calls above it are refused with 503, outbound ones raise TooManyCalls.
    unanswered:  seconds after which an inbound call that nobody accepted is refused with 480.
    """

    advertised: Address
    peers: tuple[str, ...] | None
    credentials: Credentials | None = None
    timers: Timers = field(default_factory=Timers)
    product: str = "campaign-gateway"
    max_calls: int = 5_000
    max_transactions: int = 50_000
    unanswered: float = 180.0


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
        self.calls: dict[str, Call] = {}  # by our tag
        self.ringing: set[tuple[str, str, int]] = set()  # inbound calls' INVITEs, as `incoming.identity`
        self.outbox: deque[tuple[bytes, Address]] = deque()
        self.events: deque[Event] = deque()
        self.transactions = Transactions(options.timers, self.send)
        self._networks = None if options.peers is None else tuple(_network(peer) for peer in options.peers)

    def send(self, data: bytes, destination: Address) -> None:
        """Put a datagram in the outbox."""
        self.outbox.append((data, destination))

    def trusts(self, host: str) -> bool:
        """True where `host` is an IP address among the peers. Never raises."""
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return self._networks is None or any(address in network for network in self._networks)

    def via(self) -> str:
        """Return a fresh Via of ours."""
        host, port = self.options.advertised
        return f"SIP/2.0/UDP {bracket(host)}:{port};branch={BRANCH_COOKIE}{self.token()};rport"

    def contact(self, user: str) -> tuple[str, str]:
        """Return our Contact header."""
        host, port = self.options.advertised
        return "Contact", f"<{SipUri(user, bracket(host), port)}>"

    def capabilities(self) -> Headers:
        """Return the headers that say what we can do."""
        return ("Allow", ALLOW), ("User-Agent", self.options.product)

    def hop(self, wanted: Address | None, peer: Address) -> Address:
        """Choose where a request inside a dialog goes: the address its route names if that is a peer's, else `peer`.

        A core resolves no names, and no far end may point us at a stranger.
        """
        return wanted if wanted is not None and self.trusts(wanted[0]) else peer


def bracket(host: str) -> str:
    """Write an address for a URI or a Via: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def _network(peer: str) -> IPv4Network | IPv6Network:
    return ip_network(peer, strict=False)
