"""The addresses of one trunk: looked up again whenever their records run out, and which of them are down."""

import asyncio
import logging
import socket
from collections.abc import Callable

from gateway.errors.sip import SipTrunkUnresolved
from gateway.net.sip_resolver import Found, SipResolver
from gateway.net.sip_route import Trunk
from gateway.sip.hop import Address, Hop

AGAIN_S = 30.0  # after a name could not be looked up anew
log = logging.getLogger(__name__)


class TrunkAddresses:
    """Where a trunk is. `hops` are in the order of its records.

    bind:  our own address: it says whether IPv4 or IPv6 is asked for.
    moved: called with the hops whenever they are others than before, first by `begin`.
    """

    def __init__(
        self, trunk: Trunk, resolver: SipResolver, bind: Address, moved: Callable[[tuple[Hop, ...]], None]
    ) -> None:
        self.hops: tuple[Hop, ...] = ()
        self._down: frozenset[Hop] = frozenset()
        self._trunk = trunk
        self._resolver = resolver
        self._family = socket.AF_INET6 if ":" in bind[0] else socket.AF_INET
        self._moved = moved
        self._following: asyncio.Task[None] | None = None

    async def find(self) -> Found:
        """Look the trunk up. Raises SipTrunkUnresolved."""
        return await self._resolver.find(self._trunk.host, self._trunk.port, self._trunk.transport, self._family)

    def begin(self, found: Found) -> None:
        """Take the trunk to be there, and follow it from now on."""
        self._move(found.hops)
        if found.ttl is not None:
            self._following = asyncio.create_task(self._follow(found.ttl), name="sip-trunk-addresses")

    async def close(self) -> None:
        """Follow it no more."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    def _move(self, hops: tuple[Hop, ...]) -> None:
        self.hops = hops
        self._moved(hops)

    async def _follow(self, ttl: float) -> None:
        """Look the trunk's name up again whenever its records have run out; where that fails, they stay."""
        while True:
            await asyncio.sleep(ttl)
            try:
                found = await self.find()
            except SipTrunkUnresolved as error:
                log.warning("%s; its last addresses stay in use", error)
                ttl = AGAIN_S
                continue
            ttl = found.ttl or AGAIN_S
            if found.hops != self.hops:
                self._move(found.hops)

    # --- which are down

    def note(self, down: frozenset[Hop]) -> None:
        """Take note of those that are down, and tell the log of those that have changed."""
        for hop in down ^ self._down:
            log.warning("the SIP trunk's address %s:%d is %s", *hop.address, "down" if hop in down else "up again")
        self._down = down

    @property
    def all_down(self) -> bool:
        """Whether none of them is up."""
        return bool(self.hops) and self._down.issuperset(self.hops)

    def in_order(self) -> tuple[Hop, ...]:
        """Those to be tried, in order: those that are up come first."""
        return tuple(sorted(self.hops, key=lambda hop: hop in self._down))  # stable
