"""The callee's side of a call: ring, accept, reject, the caller's CANCEL (RFC 3261, sections 9.2 and 13.3)."""

from gateway.errors.sip import BadSdp, NoCommonCodec
from gateway.sip import sdp
from gateway.sip.call import Call
from gateway.sip.context import Context
from gateway.sip.dialog import Dialog
from gateway.sip.events import Answered, Ended, Failed, Incoming
from gateway.sip.message import Headers, Request
from gateway.sip.negotiation import SDP_TYPE
from gateway.sip.reliable import Provisionals
from gateway.sip.sdp import Session
from gateway.sip.session_timer import SessionTooShort
from gateway.sip.transaction import Transaction


class IncomingCall(Call):
    """A call that somebody places to us."""

    def __init__(
        self, context: Context, tag: str, user: str, invite: Transaction, offer: Session | None, now: float
    ) -> None:
        dialog = Dialog.of_request(invite.request, tag, invite.destination)
        super().__init__(context, tag, user)
        self.dialog = dialog
        self._invite = invite
        self._offer = offer
        self._accepted = False
        self._leaving = False
        self._provisionals = Provisionals(context, invite, self._unacknowledged)
        self._early_answer: Session | None = None  # the caller's, in a PRACK
        self._held: Session | None = None  # the answer that waits for a PRACK
        invite.user = self
        context.ringing.add(identity(invite.request))
        context.transactions.limit(invite, now + context.options.unanswered)
        context.events.append(Incoming(tag, invite.request, offer))

    def ring(self, now: float, early: Session | None) -> None:
        """Send 180, or 183 with early media."""
        if self._accepted or self._held or self.over:
            return
        headers: Headers = (*self._recorded(), *self.contact_headers())
        status, body = 180, b""
        if early is not None:
            self.negotiation.local = early
            status, headers, body = 183, (*headers, SDP_TYPE), early.encode()
        response = self._invite.request.respond(status, self.tag, headers, body)
        if "100rel" in self._invite.request.values("Require"):
            self._provisionals.send(response, now)
        else:
            self._context.transactions.respond(self._invite, response, now)

    def accept(self, session: Session, now: float) -> None:
        """Send 200 with our description; `Answered` follows with the ACK.

        It waits for the PRACK of what was described before; a session timer that is too short is refused instead.
        """
        if self._accepted or self.over:
            return
        if self._provisionals.is_describing:
            self._held = session
            return
        try:
            timer = self.refresher.timer.answer(self._invite.request, now)
        except SessionTooShort as short:
            self.reject(422, now, short.headers)
            return
        self._provisionals.stop()
        self._accepted = True
        self.negotiation.local = session
        self.negotiation.ours = Session(session.address, session.port, crypto=session.crypto)
        self._accept(self._invite, now, describe=self._early_answer is None, headers=timer)

    def _on_prack(self, transaction: Transaction, now: float) -> None:
        """Take the PRACK of a provisional response; what waited for it goes out."""
        request = transaction.request
        if not self._provisionals.acknowledge(request, now):
            self._respond(transaction, 481, now)
            return
        if request.body and self._offer is None:
            try:
                self._early_answer = sdp.parse(request.body)
            except BadSdp:
                self._respond(transaction, 488, now)
                return
        self._respond(transaction, 200, now)
        if self._held is not None and not self._provisionals.is_describing:
            session, self._held = self._held, None
            self.accept(session, now)

    def _unacknowledged(self, now: float) -> None:
        """Refuse a caller that never acknowledges a response it wanted to acknowledge (RFC 3262, section 3)."""
        self.reject(504, now)

    def _is_deciding(self) -> bool:
        """The caller's offer waits for our answer until we accept."""
        return not self._accepted

    def reject(self, status: int, now: float, headers: Headers = ()) -> None:
        """Refuse the call; its `Failed` follows."""
        if self._accepted or self.over:
            return
        self._respond(self._invite, status, now, headers)
        self._finish(Failed(self.tag, status, "refused by us", local=True), now)

    def hangup(self, now: float) -> None:
        """BYE; before the call was accepted, 603. Between our 200 and its ACK the BYE waits for that (section 15)."""
        if not self._accepted:
            self.reject(603, now)
        elif not self.answered:
            self._leaving = True
        elif not self.over:
            self._send_bye(now)

    def cancelled(self, now: float) -> None:
        """Take the caller's CANCEL: 487, unless we had answered already."""
        if not self._accepted and not self.over:
            self._respond(self._invite, 487, now)
            self._finish(Failed(self.tag, 487, "cancelled by the caller"), now)

    def on_bye(self, transaction: Transaction, now: float) -> None:
        """Take a BYE, which a caller may send before the answer too (section 15)."""
        if self._accepted:
            self._respond(transaction, 200, now)
            self._let_go(now)
            return
        self._respond(transaction, 200, now)
        self.cancelled(now)

    def on_timeout(self, transaction: Transaction, now: float) -> None:
        """Refuse a call that nobody took; end one whose ACK never came."""
        if transaction is self._invite and not self._accepted:
            self.reject(480, now)
        else:
            super().on_timeout(transaction, now)

    def _acknowledged(self, request: Request, now: float, *, made_offer: bool) -> None:
        """Begin the call with the first ACK; later ones belong to re-INVITEs."""
        local = self.negotiation.local
        if self.answered or self.over or local is None:
            super()._acknowledged(request, now, made_offer=made_offer)
            return
        self.answered = True
        try:
            remote = self._offer or self._early_answer or sdp.parse(request.body)
            media = sdp.agree(remote if self._offer is None else local, local, remote)
        except (BadSdp, NoCommonCodec):
            self._send_bye(now)
            return
        if self._leaving:
            self._send_bye(now)
        self._context.events.append(Answered(self.tag, media))

    def _finish(self, event: Ended | Failed, now: float) -> None:
        self._provisionals.stop()
        self._context.ringing.discard(identity(self._invite.request))
        super()._finish(event, now)

    def _recorded(self) -> Headers:
        return tuple(("Record-Route", value) for value in self._invite.request.values("Record-Route"))


def identity(invite: Request) -> tuple[str, str, int]:
    """Return what two copies of one INVITE share, by whatever way they came (section 8.2.2.2)."""
    number, _ = invite.cseq
    return invite.call_id, invite.from_.tag, number
