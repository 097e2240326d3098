"""Where a trunk is: NAPTR, SRV, A and AAAA records, in the order in which they are to be tried (RFC 3263, RFC 2782)."""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from random import SystemRandom
from typing import Final

import dns.asyncresolver
import dns.exception
import dns.resolver
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV

from gateway.errors.sip import SipTrunkUnresolved
from gateway.sip.hop import PORTS, Hop, Transport

SERVICES: Final[dict[Transport, str]] = {"UDP": "_sip._udp", "TCP": "_sip._tcp", "TLS": "_sips._tcp"}
POINTERS: Final[dict[Transport, bytes]] = {"UDP": b"SIP+D2U", "TCP": b"SIP+D2T", "TLS": b"SIPS+D2T"}
LIFETIME_S: Final = 5.0  # of one question
SHORTEST_S: Final = 10.0  # however short its records live, a name is not asked for more often
LONGEST_S: Final = 3600.0
UNTOLD_S: Final = 60.0  # for addresses whose life nobody told: this machine's own table of names
MOST_HOPS: Final = 8
MOST_POINTERS: Final = 4
_dice = SystemRandom()


@dataclass(frozen=True, slots=True)
class Found:
    """The hops of a trunk in order, and for how many seconds that holds; None: for ever."""

    hops: tuple[Hop, ...]
    ttl: float | None


class SipResolver:
    """Asks DNS.

    nameservers, port: whom to ask; none: those of this machine.
    shortest_s:        the least time between two questions for one name.
    """

    def __init__(self, nameservers: Sequence[str] = (), port: int = 53, *, shortest_s: float = SHORTEST_S) -> None:
        self._nameservers = nameservers
        self._port = port
        self._shortest_s = shortest_s

    async def find(self, host: str, port: int, transport: Transport, family: socket.AddressFamily) -> Found:
        """Find a trunk. An IP address stands for itself; a port that is given leaves SRV out; port 0 asks for it.

        Raises: SipTrunkUnresolved.
        """
        if (literal := _literal(host)) is not None:
            return Found((Hop(literal, port or PORTS[transport], transport),), None)
        if port:
            targets, ttl = [(host, port)], None
        else:
            targets, ttl = await self._services(host, transport)
            targets = targets or [(host, PORTS[transport])]
        hops: list[Hop] = []
        lives = [] if ttl is None else [ttl]
        for name, at in targets[:MOST_HOPS]:
            addresses, life = await self._addresses(name, family)
            hops += (Hop(address, at, transport) for address in addresses)
            lives.append(life)
        if not hops:
            raise SipTrunkUnresolved(host)
        unique = tuple(dict.fromkeys(hops))[:MOST_HOPS]
        return Found(unique, min(max(min(lives), self._shortest_s), LONGEST_S))

    async def _services(self, host: str, transport: Transport) -> tuple[list[tuple[str, int]], float | None]:
        """Return the targets of the SRV records in order, and how long they live."""
        names, life = await self._pointed_to(host, transport)
        for name in dict.fromkeys((*names, f"{SERVICES[transport]}.{host}")):
            try:
                answer = await self._asking().resolve(name, "SRV")
            except dns.exception.DNSException:
                continue
            records = [record for record in answer if isinstance(record, SRV) and str(record.target) != "."]
            ordered = [(str(record.target).rstrip("."), record.port) for record in _in_order(records)]
            if ordered:
                return ordered, min(life, _life_of(answer))
        return [], None

    async def _pointed_to(self, host: str, transport: Transport) -> tuple[list[str], float]:
        """Return the names that NAPTR records give for the SRV records of our transport, and how long they live.

        What they say of other transports is passed over: a forged record must not lead a call off TLS.
        """
        try:
            answer = await self._asking().resolve(host, "NAPTR")
        except dns.exception.DNSException:
            return [], LONGEST_S
        found = [record for record in answer if isinstance(record, NAPTR) and _points(record, transport)]
        found.sort(key=lambda record: (record.order, record.preference))
        return [str(record.replacement).rstrip(".") for record in found[:MOST_POINTERS]], _life_of(answer)

    async def _addresses(self, name: str, family: socket.AddressFamily) -> tuple[list[str], float]:
        """Return a host's addresses by DNS, else as this machine knows them (its hosts file)."""
        if (literal := _literal(name)) is not None:
            return [literal], LONGEST_S
        if "." in name:
            try:
                answer = await self._asking().resolve(name, "AAAA" if family == socket.AF_INET6 else "A")
            except dns.exception.DNSException:
                pass
            else:
                return [record.to_text() for record in answer], _life_of(answer)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_DGRAM, family=family)
        except OSError:
            return [], UNTOLD_S
        return [str(address[0]) for *_, address in found], UNTOLD_S

    def _asking(self) -> dns.asyncresolver.Resolver:
        resolver = dns.asyncresolver.Resolver(configure=not self._nameservers)
        if self._nameservers:
            resolver.nameservers = list(self._nameservers)
            resolver.port = self._port
        resolver.lifetime = LIFETIME_S
        return resolver


def _life_of(answer: dns.resolver.Answer) -> float:
    return float(answer.rrset.ttl) if answer.rrset is not None else UNTOLD_S


def _points(record: NAPTR, transport: Transport) -> bool:
    """Whether a record names SRV records for this transport (flag "s", no rewriting: RFC 3263, section 4.1)."""
    is_plain = record.flags.lower() == b"s" and not record.regexp and str(record.replacement) != "."
    return is_plain and record.service.upper() == POINTERS[transport]


def _literal(host: str) -> str | None:
    try:
        return str(ip_address(host.strip("[]")))
    except ValueError:
        return None


def _in_order(records: Sequence[SRV]) -> list[SRV]:
    """Order by priority; within one, draw by weight: a weight of 0 is drawn last as a rule (RFC 2782)."""
    ordered: list[SRV] = []
    for priority in sorted({record.priority for record in records}):
        left = [record for record in records if record.priority == priority]
        while left:
            drawn = _dice.choices(left, [record.weight or 0.01 for record in left])[0]
            left.remove(drawn)
            ordered.append(drawn)
    return ordered
