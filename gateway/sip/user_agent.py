"""A SIP user agent, caller and callee, as bytes in and bytes out. It owns no socket, clock or dice.

How to drive it (a shell does this; `gateway.net.sip_endpoint` is one; `Options` are in `sip.context`)::

    agent = UserAgent(Options(advertised=("192.0.2.10", 5060), peers=("198.51.100.7",)), token)

    agent.receive(data, source, now)     # each datagram, or each message of a stream; never raises
    agent.unreachable(hop, now)          # where no connection to it came about
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
    # Trying? Ringing? Progress(media)*, then Answered(media) or Failed(status, reason, local)
    agent.hangup(call, now)              # CANCEL before the answer (this is the ring time-out), BYE after it
    # Failed(487) or Ended(by, status): the last event of every call, exactly one

Being called::

    # Incoming(call, request, offer)
    agent.ring(call, now)                # 180; with a Session: 183 and early media
    agent.accept(call, sdp.answer(offer, Session(ip, port)), now)   # offer None: accept with Session(ip, port)
    # Answered(media) once the ACK came, Ended later
    agent.reject(call, 486, now)         # or refuse it; headers may go along, such as a challenge

`media` (`sdp.Media`) says what the RTP engine needs: address, port, codec.payload_type, event_payload_type, sends,
hears. Inside a call OPTIONS, INFO (`Info`), UPDATE and re-INVITE (`Changed`) are answered here. Methods that name a
call do nothing once it is over: the far end may always have been quicker.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from gateway.errors.sip import BadSdp, BadSipMessage, NoCommonCodec, TooManyCalls
from gateway.sip import sdp
from gateway.sip.call import SDP
from gateway.sip.context import ALLOW, EXTENSIONS, METHODS, Context, Counters, Options
from gateway.sip.events import Event, user_of
from gateway.sip.headers import NameAddr, Via, checked_uri
from gateway.sip.hop import Address, Hop
from gateway.sip.incoming import IncomingCall, identity
from gateway.sip.message import Headers, Request, Response, check, own_headers, parse, refuse_controls
from gateway.sip.outgoing import Invitation, OutgoingCall
from gateway.sip.sdp import Session
from gateway.sip.transaction import Traffic, Transaction
from gateway.sip.uri import parse_uri

ACCEPT = ("Accept", SDP)


class UserAgent:
    """See the module. One user agent serves one address."""

    def __init__(self, options: Options, token: Callable[[], str]) -> None:
        self._context = Context(options, token)

    # --- the five verbs

    def receive(self, data: bytes, source: Address | Hop, now: float) -> None:
        """Take one message. Whatever it holds, nothing is raised: garbage and strangers are counted."""
        counters = self._context.counters
        source = Hop(*source)
        if not self._context.trusts(source.host):
            counters.foreign += 1
            return
        if not data.strip(b"\r\n\x00"):
            return  # keep-alive (RFC 5626, section 3.5.1)
        try:
            message = parse(data)
            if isinstance(message, Response):
                check(message)
                self._context.transactions.receive_response(message, source, now)
            else:
                self._receive_request(_stamp(message, source), source, now)
        except BadSipMessage:
            counters.garbage += 1

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

    # --- what comes in

    def _receive_request(self, request: Request, source: Hop, now: float) -> None:
        context = self._context
        try:
            check(request)
        except BadSipMessage as refusal:
            self._refuse_unread(request, source, refusal.answer)
            return
        if len(context.transactions) >= context.options.max_transactions:
            context.counters.overload += 1
            return
        transaction = context.transactions.receive_request(request, source, now)
        if transaction is not None:
            self._dispatch(transaction, now)

    def _refuse_unread(self, request: Request, source: Hop, status: int) -> None:
        """Refuse a request that cannot be read, without a transaction; an ACK is never answered."""
        self._context.counters.refused += 1
        if request.method != "ACK":
            self._context.send(request.respond(status).encode(), source)

    def _dispatch(self, transaction: Transaction, now: float) -> None:
        request = transaction.request
        tag = request.to.tag
        call = self._context.calls.get(tag)
        if request.method == "ACK":
            if call is not None and call.find(request) is not None:
                call.on_ack(request, now)
        elif request.method == "CANCEL":
            self._on_cancel(transaction, now)
        elif request.method not in METHODS:
            self._refuse(transaction, 405, now, ("Allow", ALLOW))
        elif unknown := [option for option in request.values("Require") if option not in EXTENSIONS]:
            self._refuse(transaction, 420, now, ("Unsupported", ", ".join(unknown)))
        elif call is not None:
            call.on_request(transaction, now)
        elif tag:
            self._refuse(transaction, 481, now)
        elif request.method == "INVITE":
            self._on_invite(transaction, now)
        elif request.method == "OPTIONS":
            self._respond(transaction, 200, now, (*self._context.capabilities(), ACCEPT))
        else:
            self._refuse(transaction, 481, now)

    def _on_cancel(self, transaction: Transaction, now: float) -> None:
        invite = self._context.transactions.find_invite(transaction.request)
        if invite is None:
            self._refuse(transaction, 481, now)
            return
        self._respond(transaction, 200, now)
        if isinstance(invite.user, IncomingCall):
            invite.user.cancelled(now)

    def _on_invite(self, transaction: Transaction, now: float) -> None:
        """Begin an inbound call, or refuse what could never become one."""
        context, request = self._context, transaction.request
        if len(context.calls) >= context.options.max_calls:
            self._refuse(transaction, 503, now, ("Retry-After", "10"))
            return
        if identity(request) in context.ringing:
            self._refuse(transaction, 482, now)  # the same INVITE by another way (8.2.2.2)
            return
        try:
            offer = _offer_of(request)
            context.transactions.respond(transaction, request.respond(100), now)
            IncomingCall(context, context.token(), user_of(request.uri), transaction, offer, now)
        except BadSipMessage as refusal:
            self._refuse(transaction, refusal.answer, now, ACCEPT)
        except (BadSdp, NoCommonCodec):
            self._refuse(transaction, 488, now)

    def _refuse(self, transaction: Transaction, status: int, now: float, *headers: tuple[str, str]) -> None:
        self._context.counters.refused += 1
        self._respond(transaction, status, now, headers)

    def _respond(self, transaction: Transaction, status: int, now: float, headers: Headers = ()) -> None:
        response = transaction.request.respond(status, self._context.token(), headers)
        self._context.transactions.respond(transaction, response, now)


def _stamp(request: Request, source: Hop) -> Request:
    """Note in the topmost Via where a request really came from. Raises BadSipMessage where the Via cannot be read."""
    first, *others = request.values("Via") or [""]
    vias = [str(Via.parse(first).seen_from(*source.address)), *others]
    rest = tuple(header for header in request.headers if header[0] != "Via")
    return replace(request, headers=(*(("Via", via) for via in vias), *rest))


def _offer_of(request: Request) -> Session | None:
    """Return the offer in an INVITE. Raises BadSipMessage (415) for another kind of body, BadSdp, NoCommonCodec."""
    if not request.body:
        return None
    kind = request.get("Content-Type").partition(";")[0].strip().lower()
    if kind != SDP:
        raise BadSipMessage("a body that is no session description", 415)
    offer = sdp.parse(request.body)
    sdp.answer(offer, Session("0.0.0.0", 1))  # noqa: S104 -- no address is bound: this only asks for a common codec
    return offer
