"""The callee's side of a call: ring, accept, reject, the caller's CANCEL (RFC 3261, sections 9.2 and 13.3)."""

from gateway.errors.sip import BadSdp, NoCommonCodec
from gateway.sip import sdp
from gateway.sip.call import SDP_TYPE, Call
from gateway.sip.context import Context
from gateway.sip.dialog import Dialog
from gateway.sip.events import Answered, Ended, Failed, Incoming
from gateway.sip.message import Headers, Request
from gateway.sip.sdp import Session
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
        invite.user = self
        context.ringing.add(identity(invite.request))
        context.transactions.limit(invite, now + context.options.unanswered)
        context.events.append(Incoming(tag, invite.request, offer))

    def ring(self, now: float, early: Session | None) -> None:
        """Send 180, or 183 with early media."""
        if self._accepted or self.over:
            return
        headers: Headers = (self._context.contact(self._user), *self._context.capabilities())
        headers = (*self._recorded(), *headers)
        if early is None:
            self._respond(self._invite, 180, now, headers)
        else:
            self.local = early
            self._respond(self._invite, 183, now, (*headers, SDP_TYPE), early.encode())

    def accept(self, session: Session, now: float) -> None:
        """Send 200 with our description; `Answered` follows with the ACK."""
        if self._accepted or self.over:
            return
        self._accepted = True
        self.local = session
        self.ours = Session(session.address, session.port)
        self._accept(self._invite, now, describe=True)

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
            self._end("them", 200, now)
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
        if self.answered or self.over or self.local is None:
            super()._acknowledged(request, now, made_offer=made_offer)
            return
        self.answered = True
        try:
            remote = sdp.parse(request.body) if self._offer is None else self._offer
            media = sdp.agree(remote if self._offer is None else self.local, self.local, remote)
        except (BadSdp, NoCommonCodec):
            self._send_bye(now)
            return
        if self._leaving:
            self._send_bye(now)
        self._context.events.append(Answered(self.tag, media))

    def _finish(self, event: Ended | Failed, now: float) -> None:
        self._context.ringing.discard(identity(self._invite.request))
        super()._finish(event, now)

    def _recorded(self) -> Headers:
        return tuple(("Record-Route", value) for value in self._invite.request.values("Record-Route"))


def identity(invite: Request) -> tuple[str, str, int]:
    """Return what two copies of one INVITE share, by whatever way they came (section 8.2.2.2)."""
    number, _ = invite.cseq
    return invite.call_id, invite.from_.tag, number
