"""How a user agent is set up."""

from dataclasses import dataclass, field

from gateway.sip.digest import Credentials
from gateway.sip.hop import Address, Transport
from gateway.sip.session_timer import SessionLimits
from gateway.sip.transaction_table import Timers


@dataclass(frozen=True, slots=True)
class KeepaliveOptions:
    """interval: seconds from question to question, 0 for none. misses: unanswered ones in a row that mean down."""

    interval: float = 0.0
    misses: int = 3


@dataclass(frozen=True, slots=True)
class Options:
    """How a user agent is set up.

    advertised:  address and port that far ends reach us at; it stands in Via and Contact.
    transport:   what our Contact asks for; requests outside calls say themselves where they go, and how.
    large_over_tcp: send requests above 1300 bytes over TCP where they would go over UDP.
    peers:       networks (or single addresses) that may talk to us; empty means nobody, None means anybody
                 (a practice phone on loopback; never a gateway).
    credentials: for challenges to our INVITEs; None answers none.
    max_calls:   inbound calls above it are refused with 503, outbound ones raise TooManyCalls.
    unanswered:  seconds after which an inbound call that nobody accepted is refused with 480.
    """

    advertised: Address
    peers: tuple[str, ...] | None
    credentials: Credentials | None = None
    transport: Transport = "UDP"
    large_over_tcp: bool = False
    timers: Timers = field(default_factory=Timers)
    session: SessionLimits = field(default_factory=SessionLimits)
    keepalive: KeepaliveOptions = field(default_factory=KeepaliveOptions)
    product: str = "campaign-gateway"
    max_calls: int = 5_000
    max_transactions: int = 50_000
    unanswered: float = 180.0
