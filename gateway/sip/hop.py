"""Where SIP messages go to and come from: an IP address, a port and a transport (RFC 3261, section 18)."""

from typing import Final, Literal, NamedTuple

Transport = Literal["UDP", "TCP", "TLS"]
TRANSPORTS: Final[dict[str, Transport]] = {"udp": "UDP", "tcp": "TCP", "tls": "TLS"}
PORTS: Final[dict[Transport, int]] = {"UDP": 5060, "TCP": 5060, "TLS": 5061}
LARGEST_DATAGRAM = 1300  # bytes: a request above it wants a transport with congestion control (section 18.1.1)

Address = tuple[str, int]


class Hop(NamedTuple):
    """The other end of one leg of a message's way. `host` is an IP address without brackets."""

    host: str
    port: int
    transport: Transport = "UDP"

    @property
    def address(self) -> Address:
        """What a socket takes."""
        return self.host, self.port

    @property
    def is_reliable(self) -> bool:
        """True where the transport itself sends again what was lost."""
        return self.transport != "UDP"
