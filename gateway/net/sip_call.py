"""A SIP call as its owner sees it: events to read, and what can be done with it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from gateway.sip import sdp
from gateway.sip.events import LAST, Event, Incoming
from gateway.sip.message import Headers
from gateway.sip.refer import refer_to
from gateway.sip.sdp import Session
from gateway.sip.uri import SipUri
from gateway.sip.user_agent import UserAgent

T = TypeVar("T")


class Line(Protocol):
    """What a call needs of the endpoint that holds it."""

    def act(self, action: Callable[[UserAgent, float], T]) -> T:
        """Do something with the user agent now."""

    def uri_of(self, number: str) -> SipUri:
        """A number, or a SIP address, as the trunk is asked for it."""

    def own_uri(self, number: str) -> SipUri:
        """A number of ours as the trunk is told it."""


@dataclass(slots=True, eq=False)
class SipCall:
    """A call, outbound or inbound. Read `events()` from one task; its last event is `Failed` or `Ended`.

    handle:   the user agent's name for it.
    incoming: what the caller sent, None for a call that we placed.
    """

    endpoint: Line = field(repr=False)
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
        """Hand the call over to `number` (or a SIP address), over the same trunk; `Referred` tells how that goes.

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
