"""Whom a stream listens to: learned once, then locked, until the far end's SDP names another place."""

from ipaddress import IPv4Address, IPv4Network
from typing import Final

from gateway.media.rtp import SEQUENCES

Address = tuple[str, int]
PROVEN: Final = 3  # packets in a row, of one source, before an address that no SDP named is believed
PATIENCE_S: Final = 0.2  # and so long the address that it did name is waited for
LEFT_S: Final = 2.0  # how long packets from where a far end has moved away may still come
# Addresses that mean nothing outside the far end's own network (RFC 1918, RFC 6598): whoever names one is behind NAT.
_BEHIND_NAT: Final = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))


class Peer:
    """The address of one far end.

    Believed is a valid packet from the address of the SDP. Translators of addresses change it, so where nothing comes
    from there for a while, three packets in a row are believed from another port of that IP or, where that IP is a
    private one, from anywhere. The first that is believed is locked. Without that wait the rest of another call, which
    a media server may send to our port from a port of its own, would be taken for this one.
    """

    def __init__(self) -> None:
        self.remote: Address | None = None  # where to send to
        self.locked: Address | None = None  # the only one to listen to
        self._told: Address | None = None  # by the SDP
        self._told_at = 0.0
        self._left: Address | None = None
        self._left_until = 0.0
        self._is_behind_nat = False
        self._proof: tuple[Address, int, int, int] | None = None  # a source, its SSRC, its next number, how many so far

    def tell(self, ip: str, port: int, now: float) -> None:
        """The far end's SDP names this address. The one it named before changes nothing."""
        if (ip, port) == self._told:
            return
        if self.locked != (ip, port):
            self._left, self._left_until = self.locked, now + LEFT_S
            self.remote, self.locked = (ip, port), None
        self._told, self._told_at, self._proof = (ip, port), now, None
        self._is_behind_nat = any(IPv4Address(ip) in network for network in _BEHIND_NAT)

    def may_be(self, source: Address, now: float) -> bool:
        """Whether this source, which is not the locked one, may still turn out to be the far end."""
        if self.locked is not None or self._told is None or (source == self._left and now < self._left_until):
            return False
        return source[0] == self._told[0] or self._is_behind_nat

    def lock(self, source: Address, ssrc: int, sequence: int, now: float) -> bool:
        """A valid packet came from a source that may be the far end: believe it, or (false) wait for more."""
        if source != self._told and not self._is_proven(source, ssrc, sequence, now):
            return False
        self.locked = self.remote = source
        return True

    def _is_proven(self, source: Address, ssrc: int, sequence: int, now: float) -> bool:
        count = self._proof[3] + 1 if self._proof and self._proof[:3] == (source, ssrc, sequence) else 1
        self._proof = (source, ssrc, (sequence + 1) % SEQUENCES, count)
        return count >= PROVEN and now - self._told_at >= PATIENCE_S
