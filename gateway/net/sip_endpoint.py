"""The SIP endpoint: one UDP socket and one timer around the user agent of `gateway.sip` (which decides everything)."""

import asyncio
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, TypeVar

from gateway.errors.sip import SipAddressTaken, SipTrunkUnresolved
from gateway.sip import sdp
from gateway.sip.context import Counters, Options, bracket
from gateway.sip.digest import Credentials
from gateway.sip.events import LAST, Ended, Event, Incoming
from gateway.sip.hop import Address
from gateway.sip.message import Headers
from gateway.sip.refer import refer_to
from gateway.sip.sdp import Session
from gateway.sip.transaction import Traffic
from gateway.sip.transaction_table import Timers
from gateway.sip.uri import SipUri
from gateway.sip.user_agent import UserAgent

TOKEN_BYTES = 12  # 96 bits: never the same Call-ID, tag or branch twice, over restarts too
RECEIVE_BUFFER = 1 << 20  # bytes: a burst of a thousand calls' messages must not be lost to the kernel
T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trunk:
    """The far side of a voice carrier's route.

    host, port:  where INVITEs go; a name is resolved once, when the endpoint starts.
    networks:    further addresses or networks that may talk to us ("198.51.100.0/24"); the host itself always may.
    credentials: for 401 and 407; None answers none.
    domain:      host part of our From; None puts the advertised address there.
    """

    host: str
    port: int = 5060
    networks: tuple[str, ...] = ()
    credentials: Credentials | None = None
    domain: str | None = None


@dataclass(slots=True, eq=False)
class SipCall:
    """A call, outbound or inbound. Read `events()` from one task; its last event is `Failed` or `Ended`.

    handle:   the user agent's name for it.
    incoming: what the caller sent, None for a call that we placed.
    """

    endpoint: "SipEndpoint" = field(repr=False)
    handle: str
    incoming: Incoming | None = None
    over: bool = False
    _queue: asyncio.Queue[Event] = field(default_factory=asyncio.Queue, repr=False)

    async def events(self) -> AsyncIterator[Event]:
        """Yield what happens, until the call is over."""
        while True:
            event = await self._queue.get()
            yield event
            if isinstance(event, LAST):
                return

    async def cancel(self) -> None:
        """Give up before the answer (the ring time-out). Where the answer crosses it, the call is ended by BYE."""
        self.endpoint.act(lambda agent, now: agent.hangup(self.handle, now))

    async def hangup(self) -> None:
        """End the call: BYE once it is up. `Ended` comes when the far end has agreed, or after 32 s of silence."""
        self.endpoint.act(lambda agent, now: agent.hangup(self.handle, now))

    async def refer(self, number: str, by: str, headers: Headers = ()) -> None:
        """Hand the call over to `number`, over the same trunk; `Referred` tells how that goes.

        by: the number that asks. headers: X- headers for who takes the call. Raises UnsafeSipValue.
        """
        to, asker = (self.endpoint.uri_of(number), self.endpoint.own_uri(by))
        target = refer_to(to, headers)
        self.endpoint.act(lambda agent, now: agent.refer(self.handle, target, str(asker), now))

    async def ring(self, early: Session | None = None) -> None:
        """Tell the caller that it rings (180), or that early media comes (183)."""
        self.endpoint.act(lambda agent, now: agent.ring(self.handle, now, early))

    async def accept(self, session: Session) -> None:
        """Answer an inbound call with what we can do; what goes out is the part that the caller offered too.

        `Answered` follows with the caller's ACK. Raises NoCommonCodec.
        """
        offer = self.incoming.offer if self.incoming is not None else None
        answer = session if offer is None else sdp.answer(offer, session)
        self.endpoint.act(lambda agent, now: agent.accept(self.handle, answer, now))

    async def reject(self, status: int) -> None:
        """Refuse an inbound call: 480 nobody there, 486 busy, 603 declined."""
        self.endpoint.act(lambda agent, now: agent.reject(self.handle, status, now))

    def take(self, event: Event) -> None:
        """Queue an event for `events()`; for the endpoint."""
        self.over = self.over or isinstance(event, LAST)
        self._queue.put_nowait(event)


OnInvite = Callable[[SipCall], Awaitable[None]]


class SipEndpoint(asyncio.DatagramProtocol):
    """Our end of a SIP trunk.

    bind:       address and port to listen on; port 0 takes a free one.
    trunk:      the far side; datagrams from anywhere else are dropped and counted.
    advertised: what the trunk reaches us at, where that differs from `bind` (NAT, containers); port 0 is the bound one.
    on_invite:  awaited as a task of its own for each inbound call; without it, inbound calls get 480.
    timers:     T1, T2 and T4 in seconds.
    max_calls:  calls held at once; `invite` raises TooManyCalls above it.
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
    ) -> None:
        self._bind = bind
        self._trunk = trunk
        self._advertised = advertised
        self._on_invite = on_invite
        self._timers = timers or Timers()
        self._max_calls = max_calls
        self._calls: dict[str, SipCall] = {}
        self._handlers: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self._agent: UserAgent | None = None
        self.unsent = 0  # datagrams that the network refused

    # --- life

    async def start(self) -> None:
        """Bind the address and resolve the trunk.

        Raises: SipAddressTaken, naming the address; SipTrunkUnresolved; ValueError where an address that nobody can
                reach (0.0.0.0) would be advertised.
        """
        self._loop = asyncio.get_running_loop()
        addresses = await self._resolve()
        self._transport = await self._listen()
        self._destination: Address = (addresses[0], self._trunk.port)
        try:
            self._agent = UserAgent(self._options(tuple(addresses)), lambda: secrets.token_hex(TOKEN_BYTES))
        except ValueError:
            self._transport.close()
            raise

    async def stop(self, patience: float = 2.0) -> None:
        """End all calls, wait up to `patience` seconds for the far end to agree, close the socket."""
        if self._transport is None:
            return
        self._on_invite = None
        for call in list(self._calls.values()):
            await call.hangup()
        try:
            async with asyncio.timeout(patience):
                while self._calls:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            log.warning("SIP endpoint stopped with %d calls whose end was not confirmed", len(self._calls))
        for call in list(self._calls.values()):
            self._tell(Ended(call.handle, "us", 408))
        await self._close()

    async def _close(self) -> None:
        for task in self._handlers:
            task.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.close()
        self._transport = None

    @property
    def address(self) -> Address:
        """The bound address."""
        if self._transport is None:
            raise RuntimeError("the endpoint is not started")
        host, port = self._transport.get_extra_info("sockname")[:2]
        return host, port

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

        def place(agent: UserAgent, now: float) -> SipCall:
            handle = agent.invite(to, caller, offer, self._destination, now, display=display, headers=headers)
            self._calls[handle] = SipCall(self, handle)
            return self._calls[handle]

        return self.act(place)

    def uri_of(self, number: str) -> SipUri:
        """A number as the trunk is asked for it."""
        port = self._trunk.port if self._trunk.port != 5060 else None
        return SipUri(number, bracket(self._trunk.host), port)

    def own_uri(self, number: str) -> SipUri:
        """A number of ours as the trunk is told it."""
        return SipUri(number, self._trunk.domain or bracket(self._advertised_address()[0]))

    def act(self, action: Callable[[UserAgent, float], T]) -> T:
        """Do something with the user agent now, and let out what follows from it."""
        now = self._now()
        result = action(self.agent, now)
        self._flush(now)
        return result

    # --- the socket and the timer

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Hand a datagram to the user agent."""
        self.act(lambda agent, now: agent.receive(data, (addr[0], addr[1]), now))

    def error_received(self, exc: Exception) -> None:
        """Count what the network refused; the transactions' own time-outs deal with it."""
        del exc
        self.unsent += 1

    def _flush(self, now: float) -> None:
        if self._transport is None:
            return
        for data, hop in self.agent.to_send(now):
            self._transport.sendto(data, hop.address)
        for event in self.agent.events():
            self._tell(event)
        self._arm()

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

    async def _resolve(self) -> list[str]:
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in self._bind[0] else socket.AF_INET
        try:
            found = await loop.getaddrinfo(self._trunk.host, self._trunk.port, type=socket.SOCK_DGRAM, family=family)
        except OSError as error:
            raise SipTrunkUnresolved(self._trunk.host) from error
        return [str(address[0]) for *_, address in found]

    async def _listen(self) -> asyncio.DatagramTransport:
        udp = socket.socket(socket.AF_INET6 if ":" in self._bind[0] else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind(self._bind)  # not left to the event loop: some do not tell why
        except OSError as error:
            udp.close()
            raise SipAddressTaken(*self._bind, error.strerror or str(error)) from error
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=udp)
        return transport

    def _options(self, addresses: tuple[str, ...]) -> Options:
        advertised = self._advertised_address()
        if ip_address(advertised[0]).is_unspecified:
            raise ValueError("an advertised SIP address is needed where the bound one is every address")
        return Options(
            advertised,
            (*addresses, *self._trunk.networks),
            self._trunk.credentials,
            timers=self._timers,
            max_calls=self._max_calls,
        )

    def _advertised_address(self) -> Address:
        host, port = self._advertised or self.address
        return host, port or self.address[1]
