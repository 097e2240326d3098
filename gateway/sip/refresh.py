"""Keeping a call's session alive: UPDATE, or a re-INVITE where the far end knows none (RFC 4028, RFC 3311)."""

from gateway.sip.context import Context
from gateway.sip.held_call import HeldCall
from gateway.sip.hop import Hop
from gateway.sip.message import Headers, Response
from gateway.sip.session_timer import SessionTimer
from gateway.sip.transaction import Transaction

GONE = frozenset({408, 481})  # the far end knows nothing of the call any more (RFC 3261, 12.2.1.2)
UNKNOWN_METHOD = frozenset({405, 501})
AGAIN_S = 10.0  # after a refresh that found no connection, or whose connection broke


class Refresher:
    """The session timer of one call, and the requests that it sends."""

    def __init__(self, call: HeldCall, context: Context) -> None:
        self.timer = SessionTimer(context.options.session, context.alarms, self.send, call.expire)
        self.knows_update = True  # until the far end's Allow says otherwise
        self._call = call
        self._context = context
        self._sent: Transaction | None = None
        self._ack: tuple[bytes, Hop] | None = None

    @property
    def is_offering(self) -> bool:
        """True while a re-INVITE of ours waits for its answer: an offer of the far end's crosses it (14.2)."""
        return self._sent is not None and self._sent.request.method == "INVITE"

    def send(self, now: float) -> None:
        """Refresh the session."""
        dialog = self._call.dialog
        if dialog is None or self._call.is_leaving or self._sent is not None:
            return
        method = "UPDATE" if self.knows_update else "INVITE"
        headers: Headers = (*self._call.contact_headers(), *self.timer.asked())
        body = b"" if self.knows_update else self._call.description()
        if body:
            headers = (*headers, ("Content-Type", "application/sdp"))
        request = dialog.request(method, dialog.next_cseq(), headers, body)
        self._ack = None
        self._sent = self._context.send_request(request, self._context.hop(dialog.next_hop(), dialog.peer), now, self)

    def on_response(self, transaction: Transaction, response: Response, now: float) -> None:
        """Take what became of the refresh. A failure that says nothing of the call is left to its expiry."""
        if response.status < 200:
            return
        if response.status < 300:
            self._accepted(transaction, response, now)
            return
        self._sent = None
        if response.status in GONE:
            self._call.lost(response.status, now)
        elif response.status in UNKNOWN_METHOD and self.knows_update:
            self.knows_update = False
            self.send(now)
        elif response.status == 422 and self.timer.raised(response):
            self.send(now)
        elif response.status == 491:  # both at once: each waits for as long as its dice say (14.1)
            self._context.alarms.at(now + self._call.after_glare(), self.send)

    def on_timeout(self, transaction: Transaction, now: float) -> None:
        """Nobody there. A refresh that was given up before says nothing of that."""
        if transaction is self._sent:
            self._sent = None
            self._call.lost(408, now)

    def on_unreachable(self, transaction: Transaction, now: float) -> None:
        """No connection: ask again. The session expires if none comes back."""
        if transaction is self._sent:
            self._sent = None
            self._context.alarms.at(now + AGAIN_S, self.send)

    def _accepted(self, transaction: Transaction, response: Response, now: float) -> None:
        if transaction.request.method == "INVITE":
            self._acknowledge(transaction)
        if transaction is not self._sent:
            return
        self._sent = None
        self.timer.agreed(response, now)
        self._call.renewed(response, now)

    def _acknowledge(self, transaction: Transaction) -> None:
        dialog = self._call.dialog
        if dialog is None:
            return
        if self._ack is None:
            number, _ = transaction.request.cseq
            ack = dialog.request("ACK", number)
            stamped, hop = self._context.stamped(ack, self._context.hop(dialog.next_hop(), dialog.peer))
            self._ack = stamped.encode(), hop
        self._context.send(*self._ack)
