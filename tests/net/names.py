"""A DNS server on loopback."""

import asyncio
from typing import Any

import dns.message
import dns.rcode
import dns.rrset

from gateway.net.sip_resolver import SipResolver

HERE = "127.0.0.1"


class Names(asyncio.DatagramProtocol):
    """A DNS server that knows what a test wrote into `records`: (name, type) -> (ttl, values)."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], tuple[int, list[str]]] = {}
        self.asked: list[tuple[str, str]] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.port: int = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        query = dns.message.from_wire(data)
        (question,) = query.question
        name, kind = str(question.name).rstrip("."), question.rdtype.name
        self.asked.append((name, kind))
        answer = dns.message.make_response(query)
        if (name, kind) in self.records:
            ttl, values = self.records[name, kind]
            answer.answer.append(dns.rrset.from_text(question.name, ttl, "IN", kind, *values))
        elif not any(known == name for known, _ in self.records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(answer.to_wire(), addr)


def resolver(names: Names, **options: float) -> SipResolver:
    return SipResolver((HERE,), names.port, **options)
