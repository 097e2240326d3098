"""A SIP user agent, caller and callee, as bytes in and bytes out. It owns no socket, clock or dice.

How to drive it (a shell does this; `gateway.net.sip_endpoint` is one; `Options` are in `sip.options`)::

    agent = UserAgent(Options(advertised=("192.0.2.10", 5060), peers=("198.51.100.7",)), token)

    agent.receive(data, source, now)     # each datagram, or each message of a stream; never raises
    agent.unreachable(hop, now)          # where no connection to it came about
    agent.broken(hop, now)               # where the connection to it is gone
    agent.tick(now)                      # when next_deadline() has come
    for event in agent.events(): ...     # after each of these, and after each of the calls below
    for data, hop in agent.to_send(now): ...   # (IP, port, transport)
    agent.next_deadline()                # then re-arm the one timer

`now` is monotonic seconds, in every method the same clock. `token` returns a fresh random string of letters and
digits, at least 16 of them, each time it is called (``secrets.token_hex(12)``): tags, Call-IDs, branches and cnonces
come from it, so they never repeat over a restart. Addresses are (IP, port), or hops: (IP, port, transport).

Calling out::

    call = agent.invite("sip:+12125550123@trunk.example", "sip:+18005550199@192.0.2.10",
                        Session("192.0.2.10", 40000), destination, now)
    # Trying? Ringing? Progress(media)*, then Answered(media) or Failed(status, reason, local, in_doubt)
    agent.hangup(call, now)              # CANCEL before the answer (this is the ring time-out), BYE after it
    # Failed(487) or Ended(by, status): the last event of every call, exactly one

Being called::

    # Incoming(call, request, offer)
    agent.ring(call, now)                # 180; with a Session: 183 and early media
    agent.accept(call, sdp.answer(offer, Session(ip, port)), now)   # offer None: accept with Session(ip, port)
    # Answered(media) once the ACK came, Ended later
    agent.reject(call, 486, now)         # or refuse it; headers may go along, such as a challenge

The trunk, once known and whenever its name leads elsewhere::

    agent.use(peers, hops, "sip:trunk.example", now)   # who may talk to us; hops are asked by OPTIONS: agent.down
    agent.register(hops, RegistrationOptions("sip:user@trunk.example"), now)   # agent.registration.state

`media` (`sdp.Media`) says what the RTP engine needs: address, port, codec.payload_type, event_payload_type, sends,
hears. Inside a call OPTIONS, INFO (`Info`), UPDATE and re-INVITE (`Changed`) are answered here. Methods that name a
call do nothing once it is over: the far end may always have been quicker.
"""

from collections.abc import Callable, Iterator

from gateway.errors.sip import TooManyCalls
from gateway.sip.context import Context, Counters
from gateway.sip.events import Event
from gateway.sip.headers import NameAddr, checked_uri
from gateway.sip.hop import Address, Hop
from gateway.sip.incoming import IncomingCall
from gateway.sip.keepalive import Keepalive
from gateway.sip.message import Headers, own_headers, refuse_controls
from gateway.sip.options import Options
from gateway.sip.outgoing import Invitation, OutgoingCall
from gateway.sip.reception import Reception
from gateway.sip.registration import Registration, RegistrationOptions
from gateway.sip.sdp import Session
from gateway.sip.transaction import Traffic
from gateway.sip.uri import parse_uri


class UserAgent:
    """See the module. One user agent serves one address."""

    def __init__(self, options: Options, token: Callable[[], str]) -> None:
        self._context = Context(options, token)
        self._reception = Reception(self._context)
        self._watched: dict[Hop, Keepalive] = {}
        self.registration: Registration | None = None

    # --- the five verbs

    def receive(self, data: bytes, source: Address | Hop, now: float) -> None:
        """Take one message. Whatever it holds, nothing is raised: garbage and strangers are counted."""
        self._reception.receive(data, Hop(*source), now)

    def events(self) -> Iterator[Event]:
        """Hand over what happened since the last call, oldest first."""
        while self._context.events:
            yield self._context.events.popleft()

    def to_send(self, now: float) -> Iterator[tuple[bytes, Hop]]:
        """Hand over the messages to send, and where to; retransmissions that are due by `now` are among them."""
        self.tick(now)
        while self._context.outbox:
            yield self._context.outbox.popleft()

    def next_deadline(self) -> float | None:
        """Return when `tick` must be called next, None for never."""
        found = (self._context.transactions.next_deadline(), self._context.alarms.next_deadline())
        return min((at for at in found if at is not None), default=None)

    def tick(self, now: float) -> None:
        """Let time pass: retransmissions and time-outs."""
        self._context.alarms.tick(now)
        self._context.transactions.tick(now)

    def unreachable(self, hop: Hop, now: float) -> None:
        """Take note that no connection to `hop` came about: nothing that was to go there has left."""
        self._context.transactions.unreachable(hop, now)

    def broken(self, hop: Hop, now: float) -> None:
        """Take note that the connection to `hop` is gone: what was written to it may have come over, or not."""
        self._context.transactions.broken(hop, now)
        if self.registration is not None:
            self.registration.broken(hop, now)

    # --- calls

    def invite(
        self,
        to: str,
        from_: str,
        offer: Session,
        destination: Address | Hop,
        now: float,
        *,
        others: tuple[Hop, ...] = (),
        display: str = "",
        headers: Headers = (),
    ) -> str:
        """Place a call.

        to, from_:   SIP URIs as text; `str(SipUri(number, host))` builds one safely.
        offer:       our session: where we hear RTP.
        destination: the next hop (the trunk).
        others:      further addresses of it, each tried where the one before does not answer or is out of service.
        display:     caller name.
        headers:     further headers, such as ("P-Asserted-Identity", "<sip:...>").
        Returns:     the call's handle.
        Raises:      TooManyCalls; BadSipMessage for a bad URI; UnsafeSipValue for a bad name, header or value.
        """
        context = self._context
        if len(context.calls) >= context.options.max_calls:
            raise TooManyCalls("this user agent holds as many calls as it may")
        parse_uri(checked_uri(to))
        user = parse_uri(checked_uri(from_)).user
        caller = NameAddr(refuse_controls(display), from_)
        invitation = Invitation(NameAddr("", to), caller, offer, (Hop(*destination), *others), own_headers(headers))
        return OutgoingCall(context, context.token(), user, invitation, now).tag

    def hangup(self, call: str, now: float) -> None:
        """End a call whatever its state: CANCEL, BYE, or 603 for one that calls us."""
        found = self._context.calls.get(call)
        if found is not None:
            found.hangup(now)

    def refer(self, call: str, to: str, by: str, now: float) -> None:
        """Hand a call that is up over to somebody else: `Referred` tells how that goes. The call itself stays up.

        to: a Refer-To, from `refer.refer_to`. by: the SIP URI of who asks.
        """
        found = self._context.calls.get(call)
        if found is not None:
            found.refer(to, by, now)

    def ring(self, call: str, now: float, early: Session | None = None) -> None:
        """Tell the caller that it rings: 180, or 183 with early media."""
        found = self._incoming(call)
        if found is not None:
            found.ring(now, early)

    def accept(self, call: str, session: Session, now: float) -> None:
        """Answer a call. `session` is `sdp.answer(offer, ...)`, or our own offer where the caller made none."""
        found = self._incoming(call)
        if found is not None:
            found.accept(session, now)

    def reject(self, call: str, status: int, now: float, headers: Headers = ()) -> None:
        """Refuse a call with a status of 300 to 699."""
        if not 300 <= status <= 699:
            raise ValueError(f"{status=}")
        found = self._incoming(call)
        if found is not None:
            found.reject(status, now, headers)

    def _incoming(self, call: str) -> IncomingCall | None:
        found = self._context.calls.get(call)
        return found if isinstance(found, IncomingCall) else None

    # --- the trunk

    def admits(self, host: str) -> bool:
        """Return whether an address may connect to us; a stranger's try is counted."""
        if self._context.trusts(host):
            return True
        self._context.counters.foreign += 1
        return False

    def use(self, peers: tuple[str, ...] | None, hops: tuple[Hop, ...], uri: str, now: float) -> None:
        """Take note of who the trunk is: at the start, and whenever its name leads elsewhere.

        peers: as `Options.peers`.
        hops:  its addresses, each asked by OPTIONS for `uri` where `Options.keepalive` says so.
        """
        context = self._context
        context.trust(peers)
        if self.registration is not None and hops:
            self.registration.hops = hops
        if not context.options.keepalive.interval:
            return
        for hop in self._watched.keys() - set(hops):
            self._watched.pop(hop).stop()
        for hop in hops:
            if hop not in self._watched:
                self._watched[hop] = Keepalive(context, hop, uri, context.options.keepalive)
                self._watched[hop].start(now)

    @property
    def down(self) -> frozenset[Hop]:
        """The trunk's addresses that do not answer OPTIONS."""
        return frozenset(hop for hop, watched in self._watched.items() if not watched.is_up)

    def register(self, hops: tuple[Hop, ...], options: RegistrationOptions, now: float) -> None:
        """Register with the trunk, and stay registered; `registration.state` says how it stands."""
        self.registration = Registration(self._context, hops, options)
        self.registration.start(now)

    def rest(self, now: float) -> None:
        """Ask nobody anything any more, and take the registration back."""
        if self.registration is not None:
            self.registration.end(now)
        for watched in self._watched.values():
            watched.stop()
        self._watched.clear()

    # --- figures

    @property
    def counters(self) -> Counters:
        """What was thrown away."""
        return self._context.counters

    @property
    def traffic(self) -> Traffic:
        """Retransmissions, repeats, strays."""
        return self._context.transactions.traffic

    @property
    def calls(self) -> int:
        """How many calls are not over."""
        return len(self._context.calls)

    def handles(self) -> tuple[str, ...]:
        """The handles of the calls that are not over."""
        return tuple(self._context.calls)

    @property
    def transactions(self) -> int:
        """How many transactions are alive; back to 0 a while after the last call."""
        return len(self._context.transactions)
