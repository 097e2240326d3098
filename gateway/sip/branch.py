"""One branch of a call that we place: a far end that answered our INVITE, and the dialog with it (RFC 3261, 12, 13)."""

from dataclasses import dataclass

from gateway.sip.context import Context
from gateway.sip.dialog import Dialog
from gateway.sip.hop import Hop
from gateway.sip.message import Response
from gateway.sip.reliable import sequence_of
from gateway.sip.sdp import Media
from gateway.sip.transaction import Transaction

MAX_BRANCHES = 16  # far ends of one fork that we keep count of; more ring unheard
MAX_ANSWERS = 64  # and of those that answer, each of which is acknowledged and released


@dataclass(slots=True)
class Branch:
    """One far end.

    media:     its early media, None while it described none.
    is_agreed: its description came reliably, so it is the answer to our offer (RFC 3262, section 5).
    """

    dialog: Dialog
    media: Media | None = None
    is_agreed: bool = False
    _sequence: int = 0  # of the last provisional response that we acknowledged
    _ack: tuple[bytes, Hop] | None = None

    def is_news(self, response: Response) -> bool:
        """Return whether a provisional response is to be taken: a reliable one only once, and in order."""
        sequence = sequence_of(response)
        return sequence is None or not self._sequence or sequence == self._sequence + 1

    def refresh(self, response: Response) -> None:
        """Take what a later response says of the way to the far end."""
        if response.contact:
            self.dialog.target = response.contact
        if response.status >= 200:
            self.dialog.routes = tuple(reversed(response.values("Record-Route")))

    def acknowledge_provisional(self, context: Context, invite: Transaction, response: Response, now: float) -> None:
        """Send the PRACK of a reliable provisional response."""
        sequence = sequence_of(response)
        if sequence is None:
            return
        self._sequence = sequence
        number, _ = invite.request.cseq
        dialog = self.dialog
        prack = dialog.request("PRACK", dialog.next_cseq(), (("RAck", f"{sequence} {number} INVITE"),))
        context.send_request(prack, context.hop(dialog.next_hop(), dialog.peer), now, None)

    def acknowledge(self, context: Context, invite: Transaction) -> bool:
        """Send the ACK of a 2xx: to the Contact, along the route set, with the INVITE's own credentials.

        Returns: False where it was sent before, and was lost.
        """
        first = self._ack is None
        if self._ack is None:
            request, dialog = invite.request, self.dialog
            kept = tuple(header for header in request.headers if header[0] in {"Authorization", "Proxy-Authorization"})
            number, _ = request.cseq
            hop = context.hop(dialog.next_hop(), dialog.peer)
            stamped, hop = context.stamped(dialog.request("ACK", number, kept), hop)
            self._ack = stamped.encode(), hop
        context.send(*self._ack)
        return first
