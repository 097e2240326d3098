"""The far side of a SIP endpoint, as the settings describe it."""

from dataclasses import dataclass, field
from ipaddress import ip_address

from gateway.net.sip_sockets import Tls
from gateway.sip.context import bracket
from gateway.sip.digest import Credentials
from gateway.sip.hop import PORTS, Address, Transport
from gateway.sip.options import KeepaliveOptions, Options
from gateway.sip.session_timer import SessionLimits
from gateway.sip.transaction_table import Timers
from gateway.sip.uri import SipUri


@dataclass(frozen=True, slots=True)
class Trunk:
    """The far side of a voice carrier's route.

    host, port:  where INVITEs go: an IP address or a name; port 0 asks DNS for its servers (SRV), in vain: 5060.
    transport:   what is spoken with it. large_over_tcp: with UDP, requests above 1300 bytes go over TCP.
    networks:    further addresses or networks that may talk to us ("198.51.100.0/24"); the host itself always may.
    credentials: for 401 and 407; None answers none.
    domain:      host part of our From; None puts the advertised address there.
    tls:         how TLS is spoken; None: this machine's authorities, and no certificate of ours.
    keepalive:   how often OPTIONS asks whether it is there.
    register:    seconds to register for; 0: we do not.
    session:     session timers.
    """

    host: str
    port: int = 0
    networks: tuple[str, ...] = ()
    credentials: Credentials | None = None
    domain: str | None = None
    transport: Transport = "UDP"
    large_over_tcp: bool = False
    tls: Tls | None = None
    keepalive: KeepaliveOptions = field(default_factory=KeepaliveOptions)
    register: int = 0
    session: SessionLimits = field(default_factory=SessionLimits)

    @property
    def uri(self) -> str:
        """The trunk itself, without a user."""
        return str(SipUri("", bracket(self.host), self.shown_port))

    @property
    def shown_port(self) -> int | None:
        """The port as a URI shows it: not where it goes without saying."""
        return self.port if self.port not in {0, PORTS[self.transport]} else None

    @property
    def address_of_record(self) -> str:
        """What we register: our user name at the trunk's domain."""
        user = self.credentials.username if self.credentials is not None else ""
        return str(SipUri(user, self.domain or bracket(self.host)))

    def options(self, advertised: Address, timers: Timers, max_calls: int) -> Options:
        """Set up a user agent for this trunk, which trusts nobody yet. Raises ValueError for 0.0.0.0 and the like."""
        if ip_address(advertised[0]).is_unspecified:
            raise ValueError("an advertised SIP address is needed where the bound one is every address")
        return Options(
            advertised,
            (),
            self.credentials,
            self.transport,
            self.large_over_tcp,
            timers=timers,
            session=self.session,
            keepalive=self.keepalive,
            max_calls=max_calls,
        )
