"""What comes in: who may talk to us, which call or transaction a message belongs to, and what is refused at once."""

from dataclasses import replace

from gateway.errors.sip import BadSdp, BadSipMessage, NoCommonCodec
from gateway.sip import sdp
from gateway.sip.context import ALLOW, EXTENSIONS, METHODS, Context
from gateway.sip.events import user_of
from gateway.sip.headers import Via
from gateway.sip.hop import Hop
from gateway.sip.incoming import IncomingCall, identity
from gateway.sip.message import Headers, Request, Response, check, parse
from gateway.sip.negotiation import SDP
from gateway.sip.salvage import refusal
from gateway.sip.sdp import Session
from gateway.sip.transaction import Transaction

ACCEPT = ("Accept", SDP)


class Reception:
    """The door of one user agent."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def receive(self, data: bytes, source: Hop, now: float) -> None:
        """See `UserAgent.receive`."""
        counters = self._context.counters
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
        except BadSipMessage as refused:
            self._turn_away(data, source, refused.answer)

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

    def _turn_away(self, data: bytes, source: Hop, status: int) -> None:
        """Refuse what is a request but cannot be parsed; count what is nothing at all."""
        response = refusal(data, status)
        if response is None:
            self._context.counters.garbage += 1
            return
        self._context.counters.refused += 1
        self._context.send(response.encode(), source)

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
        if not _accepts_sdp(request):
            self._refuse(transaction, 406, now, ACCEPT)
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


def _accepts_sdp(request: Request) -> bool:
    """Return whether the caller takes session descriptions; it does where it says nothing (20.1)."""
    named = {value.partition(";")[0].strip().lower() for value in request.values("Accept")}
    return not named or bool(named & {SDP, "application/*", "*/*"})


def _offer_of(request: Request) -> Session | None:
    """Return the offer in an INVITE. Raises BadSipMessage (415) for another kind of body, BadSdp, NoCommonCodec."""
    if not request.body:
        return None
    kind = request.get("Content-Type").partition(";")[0].strip().lower()
    if kind != SDP:
        raise BadSipMessage("a body that is no session description", 415)
    offer = sdp.parse(request.body)
    able = Session("0.0.0.0", 1, crypto=offer.crypto)  # noqa: S104 -- no address is bound: this asks for a common codec
    sdp.answer(offer, able)
    return offer
