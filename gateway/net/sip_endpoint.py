"""The SIP endpoint: sockets and one timer around the user agent of `gateway.sip` (which decides everything)."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from gateway.net.sip_addresses import TrunkAddresses
from gateway.net.sip_call import OnInvite, SipCall
from gateway.net.sip_resolver import SipResolver
from gateway.net.sip_route import Trunk
from gateway.net.sip_sockets import SipSockets, Tls
from gateway.sip.context import Counters, bracket
from gateway.sip.events import LAST, Ended, Event, Incoming
from gateway.sip.hop import Address, Hop
from gateway.sip.message import Headers
from gateway.sip.registration import RegistrationOptions
from gateway.sip.sdp import Session
from gateway.sip.transaction import Traffic
from gateway.sip.transaction_table import Timers
from gateway.sip.uri import SipUri, parse_uri
from gateway.sip.user_agent import UserAgent

TOKEN_BYTES = 12  # 96 bits: never the same Call-ID, tag or branch twice, over restarts too
T = TypeVar("T")
log = logging.getLogger(__name__)


class SipEndpoint:
    """Our end of a SIP trunk.

    bind:       address and port to listen on; port 0 takes a free one.
    trunk:      the far side; messages from anywhere else are dropped and counted.
    advertised: what the trunk reaches us at, where that differs from `bind` (NAT, containers); port 0 is the bound one.
    on_invite:  awaited as a task of its own for each inbound call; without it, inbound calls get 480.
    timers:     T1, T2 and T4 in seconds.
    max_calls:  calls held at once; `invite` raises TooManyCalls above it.
    resolver:   who is asked for the trunk's addresses.
    """

    def __init__(
        self,
        bind: Address,
        trunk: Trunk,
        *,
        advertised: Address | None = None,
        on_invite: OnInvite | None = None,
        timers: Timers | None = None,
        max_calls: int = 5_000,
        resolver: SipResolver | None = None,
    ) -> None:
        self._bind = bind
        self._trunk = trunk
        self._advertised = advertised
        self._on_invite = on_invite
        self._timers = timers or Timers()
        self._max_calls = max_calls
        self._addresses = TrunkAddresses(trunk, resolver or SipResolver(), bind, self._trunk_is_at)
        self._calls: dict[str, SipCall] = {}
        self._handlers: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sockets: SipSockets | None = None
        self._agent: UserAgent | None = None

    # --- life

    async def start(self) -> None:
        """Bind the address and resolve the trunk.

        Raises: SipAddressTaken, naming the address; SipTrunkUnresolved; BadSipCertificate; ValueError where an address
                that nobody can reach (0.0.0.0) would be advertised.
        """
        self._loop = asyncio.get_running_loop()
        trunk = self._trunk
        found = await self._addresses.find()
        tls = (trunk.tls or Tls(trunk.host)) if trunk.transport == "TLS" else None
        sockets = SipSockets(self._receive, self._unreachable, self._broken, self._trusts, tls)
        await sockets.open(self._bind, trunk.transport)
        self._sockets = sockets
        try:
            options = trunk.options(self._advertised_address(), self._timers, self._max_calls)
            self._agent = UserAgent(options, lambda: secrets.token_hex(TOKEN_BYTES))
        except ValueError:
            await sockets.close()
            self._sockets = None
            raise
        self._addresses.begin(found)
        if trunk.register:
            ours = RegistrationOptions(trunk.address_of_record, trunk.register)
            self.act(lambda agent, now: agent.register(self._addresses.hops, ours, now))

    async def stop(self, patience: float = 2.0) -> None:
        """End all calls, wait up to `patience` seconds for the far end to agree, unregister, close the sockets."""
        if self._sockets is None:
            return
        self._on_invite = None
        for call in list(self._calls.values()):
            await call.hangup()
        self.act(lambda agent, now: agent.rest(now))
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._calls or not self._is_unregistered:
                    self._idle.clear()
                    await self._idle.wait()
        if self._calls:
            log.warning("SIP endpoint stopped with %d calls whose end was not confirmed", len(self._calls))
        for call in list(self._calls.values()):
            self._tell(Ended(call.handle, "us", 408))
        await self._close(self._sockets)

    async def _close(self, sockets: SipSockets) -> None:
        for task in self._handlers:
            task.cancel()
        await asyncio.gather(*self._handlers, self._addresses.close(), return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()
        self._sockets = None
        await sockets.close()

    @property
    def _is_unregistered(self) -> bool:
        registration = self.agent.registration
        return registration is None or registration.is_ended

    @property
    def address(self) -> Address:
        """The bound address."""
        if self._sockets is None:
            raise RuntimeError("the endpoint is not started")
        return self._sockets.address

    @property
    def trouble(self) -> str:
        """Why no call should be placed now: "trunk_down", "trunk_not_registered"; "" where one may be."""
        if self._addresses.all_down:
            return "trunk_down"
        registration = self.agent.registration
        if registration is not None and registration.state != "registered":
            return "trunk_not_registered"
        return ""

    @property
    def unsent(self) -> int:
        """Messages that the network refused."""
        return self._sockets.unsent if self._sockets is not None else 0

    @property
    def connections(self) -> int:
        """Connections over TCP or TLS that are open."""
        return self._sockets.connections if self._sockets is not None else 0

    @property
    def counters(self) -> Counters:
        """Garbage, foreign, refused, overload."""
        return self.agent.counters

    @property
    def traffic(self) -> Traffic:
        """Messages sent again, repeats absorbed, stray responses."""
        return self.agent.traffic

    @property
    def agent(self) -> UserAgent:
        """The user agent, for figures."""
        if self._agent is None:
            raise RuntimeError("the endpoint is not started")
        return self._agent

    # --- calls

    async def invite(
        self, number: str, from_number: str, offer: Session, *, display: str = "", headers: Headers = ()
    ) -> SipCall:
        """Call a number over the trunk.

        number, from_number: as the trunk wants them, +12125550123 with most.
        offer:               where we hear RTP: `Session(ip, port)`.
        display, headers:    caller name, and further headers such as P-Asserted-Identity.
        Raises:              TooManyCalls, UnsafeSipValue.
        """
        to, caller = str(self.uri_of(number)), str(self.own_uri(from_number))
        first, *others = self._addresses.in_order()

        def place(agent: UserAgent, now: float) -> SipCall:
            handle = agent.invite(to, caller, offer, first, now, others=tuple(others), display=display, headers=headers)
            self._calls[handle] = SipCall(self, handle)
            return self._calls[handle]

        return self.act(place)

    def uri_of(self, number: str) -> SipUri:
        """A number, or a SIP address, as the trunk is asked for it. Raises BadSipMessage for a bad address."""
        if number.startswith("sip:"):
            return parse_uri(number)
        return SipUri(number, bracket(self._trunk.host), self._trunk.shown_port)

    def own_uri(self, number: str) -> SipUri:
        """A number of ours as the trunk is told it."""
        return SipUri(number, self._trunk.domain or bracket(self._advertised_address()[0]))

    def act(self, action: Callable[[UserAgent, float], T]) -> T:
        """Do something with the user agent now, and let out what follows from it."""
        now = self._now()
        result = action(self.agent, now)
        self._flush(now)
        return result

    # --- the sockets and the timer

    def _receive(self, data: bytes, source: Hop) -> None:
        self.act(lambda agent, now: agent.receive(data, source, now))

    def _unreachable(self, hop: Hop) -> None:
        self.act(lambda agent, now: agent.unreachable(hop, now))

    def _broken(self, hop: Hop) -> None:
        self.act(lambda agent, now: agent.broken(hop, now))

    def _trusts(self, host: str) -> bool:
        return self.agent.admits(host)

    def _flush(self, now: float) -> None:
        if self._sockets is None:
            return
        for data, hop in self.agent.to_send(now):
            self._sockets.send(data, hop)
        for event in self.agent.events():
            self._tell(event)
        self._note_health()
        self._arm()

    def _note_health(self) -> None:
        self._addresses.note(self.agent.down)
        if self._is_unregistered:
            self._idle.set()

    def _arm(self) -> None:
        """Set the one timer to the next deadline."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self.agent.next_deadline()
        if deadline is not None and self._loop is not None:
            self._timer = self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.act(lambda agent, now: agent.tick(now))

    def _tell(self, event: Event) -> None:
        if isinstance(event, Incoming):
            self._calls[event.call] = SipCall(self, event.call, event)
            self._hand_over(self._calls[event.call])
            return
        call = self._calls.get(event.call)
        if call is None:
            return
        if isinstance(event, LAST):
            del self._calls[event.call]
            self._idle.set()
        call.take(event)

    def _hand_over(self, call: SipCall) -> None:
        task = asyncio.ensure_future(self._serve(call))
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)

    async def _serve(self, call: SipCall) -> None:
        """Let the handler have an inbound call; refuse it where there is none, or where it fails."""
        if self._on_invite is None:
            await call.reject(480)
            return
        try:
            await self._on_invite(call)
        except Exception:
            log.exception("the handler of inbound calls failed")
            await call.hangup()

    def _now(self) -> float:
        return (self._loop or asyncio.get_running_loop()).time()

    # --- addresses

    def _trunk_is_at(self, hops: tuple[Hop, ...]) -> None:
        """Take the trunk to be at these addresses from now on."""
        peers = (*dict.fromkeys(hop.host for hop in hops), *self._trunk.networks)
        self.act(lambda agent, now: agent.use(peers, hops, self._trunk.uri, now))

    def _advertised_address(self) -> Address:
        host, port = self._advertised or self.address
        return host, port or self.address[1]
