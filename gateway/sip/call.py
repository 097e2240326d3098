"""What an outbound and an inbound call have in common once there is a dialog: requests inside it, and its end."""

from gateway.errors.sip import BadSdp, NoCommonCodec
from gateway.sip.context import Context
from gateway.sip.dialog import Dialog
from gateway.sip.events import Changed, Ended, Failed, Info, Side
from gateway.sip.message import Headers, Message, Request, Response, readable
from gateway.sip.negotiation import SDP_TYPE, Negotiation
from gateway.sip.refer import Referral
from gateway.sip.refresh import Refresher
from gateway.sip.session_timer import SessionTooShort
from gateway.sip.transaction import Transaction


class Call:
    """One call: a dialog and the session in it. `tag` is our tag in the dialog, and the call's handle."""

    def __init__(self, context: Context, tag: str, user: str) -> None:
        self.tag = tag
        self.answered = False
        self.over = False
        self.dialog: Dialog | None = None
        self.negotiation = Negotiation()
        self._context = context
        self._user = user  # the user part of our Contact
        self.refresher = Refresher(self, context)
        self._referral: Referral | None = None
        self._is_left = False  # the far end has said BYE, and may still tell how a REFER of ours went
        self._bye: Transaction | None = None
        self._unacked: dict[int, Transaction] = {}  # INVITEs that we answered 2xx, by CSeq number
        self._offered: set[int] = set()  # those whose 2xx made the offer: the answer comes in the ACK
        context.calls[tag] = self

    def hangup(self, now: float) -> None:
        """End the call, whatever its state."""
        raise NotImplementedError

    # --- what comes inside the dialog

    def find(self, request: Request) -> Dialog | None:
        """Return the dialog of this call that a request belongs to."""
        return self.dialog if self.dialog is not None and self.dialog.belongs(request) else None

    def on_request(self, transaction: Transaction, now: float) -> None:
        """Answer a request inside the dialog. The caller made sure that it belongs to it."""
        request = transaction.request
        dialog = self.find(request)
        if dialog is None:
            self._respond(transaction, 481, now)
        elif not dialog.take(request):
            self._respond(transaction, 500, now)  # out of order (12.2.2)
        elif request.method == "BYE":
            self.on_bye(transaction, now)
        elif request.method in {"INVITE", "UPDATE"}:
            self._on_offer(transaction, dialog, now)
        elif request.method == "PRACK":
            self._on_prack(transaction, now)
        elif request.method == "NOTIFY":
            self._respond(transaction, 481 if self._referral is None else self._referral.notified(request, now), now)
        else:
            self._on_other(transaction, now)

    def _on_prack(self, transaction: Transaction, now: float) -> None:
        """Only a call that comes in has provisional responses to acknowledge."""
        self._respond(transaction, 481, now)

    def on_bye(self, transaction: Transaction, now: float) -> None:
        """Take the far end's BYE."""
        self._respond(transaction, 200, now)
        if self.answered:
            self._let_go(now)

    def _let_go(self, now: float) -> None:
        """End the call that the far end has left, once nothing more is to be heard of it."""
        self._is_left = True
        if self._referral is None:
            self._left(now)
        else:
            self._referral.close(now, self._left)

    def _left(self, now: float) -> None:
        self._end("them", 200, now)

    def on_ack(self, request: Request, now: float) -> None:
        """Take the ACK of a 2xx of ours."""
        number, _ = request.cseq
        transaction = self._unacked.pop(number, None)
        if transaction is None:
            return
        self._context.transactions.acknowledge(transaction, now)
        made_offer = number in self._offered
        self._offered.discard(number)
        self._acknowledged(request, now, made_offer=made_offer)

    def _acknowledged(self, request: Request, now: float, *, made_offer: bool) -> None:
        """Read the answer in the ACK of a re-INVITE that had no offer."""
        if made_offer and not self.over:
            self._change(request.body, now, must=True)

    def _change(self, answer: bytes, now: float, *, must: bool) -> None:
        """Take the answer to an offer of ours inside the call; one that cannot be used, or `must` be there, ends it."""
        try:
            media = self.negotiation.agree(answer)
        except (BadSdp, NoCommonCodec):
            media, must = None, True
        if media is not None:
            self._context.events.append(Changed(self.tag, media))
        elif must:
            self._send_bye(now)

    def _on_other(self, transaction: Transaction, now: float) -> None:
        """Answer OPTIONS and INFO."""
        request = transaction.request
        self._respond(transaction, 200, now, self._context.capabilities())
        if request.method == "INFO":
            self._context.events.append(Info(self.tag, readable(request.get("Content-Type")), request.body))

    def _on_offer(self, transaction: Transaction, dialog: Dialog, now: float) -> None:
        """Answer a re-INVITE or an UPDATE: refresh the target, and the session where it brings an offer."""
        request = transaction.request
        if self.is_leaving:
            self._respond(transaction, 481, now)
            return
        if refusal := self._crossed(request, dialog):
            self._respond(transaction, refusal, now, (("Retry-After", str(int(10 * self._context.dice()))),))
            return
        try:
            media = self.negotiation.renew(request) if request.body else None
            timer = self.refresher.timer.answer(request, now) if self.answered else ()
        except (BadSdp, NoCommonCodec):
            self._respond(transaction, 488, now)
            return
        except SessionTooShort as short:
            self._respond(transaction, 422, now, short.headers)
            return
        if request.contact:
            dialog.target, dialog.peer = request.contact, transaction.destination
        describe = bool(request.body) or request.method == "INVITE"
        self._accept(transaction, now, describe=describe, headers=timer)
        if media is not None:
            self._context.events.append(Changed(self.tag, media))

    def _crossed(self, request: Request, dialog: Dialog) -> int:
        """Return what to refuse an offer with that crosses another one, 0 for none (RFC 3261, 14.2; RFC 3311, 5.2)."""
        if request.method == "UPDATE" and not request.body:
            return 0
        if self._is_offering(dialog):
            return 491
        return 500 if self.negotiation.local is None or self._is_deciding() else 0

    def _is_offering(self, dialog: Dialog) -> bool:
        """Return whether an offer of ours waits for its answer."""
        del dialog
        return bool(self._offered) or self.refresher.is_offering

    def _is_deciding(self) -> bool:
        """Return whether an offer of the far end's waits for our answer."""
        return False

    def _accept(self, transaction: Transaction, now: float, *, describe: bool, headers: Headers = ()) -> None:
        """Send 200, with our description if wanted. For an INVITE it is sent again until the ACK comes."""
        request = transaction.request
        described = self.negotiation
        if describe and self.answered and not request.body and described.local is not None:
            described.local = described.own_offer()
        body = described.description() if describe else b""
        headers = (*self.contact_headers(), *headers)
        if body:
            headers = (*headers, SDP_TYPE)
        if request.method == "INVITE":
            number, _ = request.cseq
            self._unacked[number] = transaction
            self._offered |= {number} if body and not request.body else set()
            transaction.user = self
            headers = (*(("Record-Route", value) for value in request.values("Record-Route")), *headers)
        self._respond(transaction, 200, now, headers, body)

    # --- the session timer

    def contact_headers(self) -> Headers:
        """Return our Contact, and what we can do."""
        return self._context.contact(self._user), *self._context.capabilities()

    def description(self) -> bytes:
        """Return the running session as we last described it: offered again, it changes nothing."""
        return self.negotiation.description()

    def after_glare(self) -> float:
        """Return the seconds to wait where a request of ours crossed one of theirs: longer for who made the Call-ID."""
        ours = self.dialog is not None and self.dialog.is_ours
        return (2.1 if ours else 0.0) + 1.9 * self._context.dice()  # section 14.1

    def _begin(self, answer: Message, now: float) -> None:
        """Start the session timer of a call that we placed, as its 2xx says."""
        allowed = answer.values("Allow")
        self.refresher.knows_update = not allowed or "UPDATE" in allowed
        self.refresher.timer.agreed(answer, now)

    def renewed(self, response: Response, now: float) -> None:
        """Take the 2xx of a refresh of ours: the target, and the media where it describes some."""
        if self.dialog is not None and response.contact:
            self.dialog.target = response.contact
        self._change(response.body, now, must=False)

    def lost(self, status: int, now: float) -> None:
        """End a call that the far end knows nothing of any more."""
        self._send_bye(now)
        self._end("timeout", status, now)

    def expire(self, now: float) -> None:
        """End a call that nobody refreshed in time (RFC 4028, section 10)."""
        self.lost(408, now)

    # --- what goes out inside the dialog

    def refer(self, to: str, by: str, now: float) -> None:
        """Ask the far end to call somebody else in our place; see `Referral`. One at a time: the last one counts."""
        self._referral = Referral(self, self._context, to, by)
        self._referral.send(now)

    @property
    def is_leaving(self) -> bool:
        """True once either end has left: nothing new is asked in the call."""
        return self.over or self._is_left or self._bye is not None

    def _respond(
        self, transaction: Transaction, status: int, now: float, headers: Headers = (), body: bytes = b""
    ) -> None:
        response = transaction.request.respond(status, self.tag, headers, body)
        self._context.transactions.respond(transaction, response, now)

    def _send_bye(self, now: float) -> None:
        if self.dialog is None or self._bye is not None:
            return
        if self._is_left:
            self._left(now)
            return
        self._bye = bye(self._context, self.dialog, now, self)

    def on_response(self, transaction: Transaction, response: Response, now: float) -> None:
        """Take the answer to our BYE. It is never given credentials: the call is over, whatever the far end says."""
        if transaction is self._bye and response.status >= 200:
            self._end("us", response.status, now)

    def on_timeout(self, transaction: Transaction, now: float) -> None:
        """End the call where nobody answers our BYE or acknowledges our 2xx (13.3.1.4)."""
        if transaction is self._bye:
            self._end("us", 408, now)
        elif transaction in self._unacked.values():
            self.lost(408, now)

    def on_unreachable(self, transaction: Transaction, now: float) -> None:
        """A request that could not leave is one that nobody answers."""
        self.on_timeout(transaction, now)

    # --- the end

    def _end(self, by: Side, status: int, now: float) -> None:
        self._finish(Ended(self.tag, by, status), now)

    def _finish(self, event: Ended | Failed, now: float) -> None:
        """Tell the last event, once, and let go of everything."""
        if self.over:
            return
        self.over = True
        self.refresher.timer.stop()
        for transaction in self._unacked.values():
            self._context.transactions.acknowledge(transaction, now)
        self._unacked.clear()
        self._context.calls.pop(self.tag, None)
        self._context.events.append(event)


def bye(context: Context, dialog: Dialog, now: float, user: Call | None) -> Transaction:
    """Send a BYE in a dialog; `user`, if any, is told how it ends."""
    request = dialog.request("BYE", dialog.next_cseq(), (("User-Agent", context.options.product),))
    return context.send_request(request, context.hop(dialog.next_hop(), dialog.peer), now, user)
