"""What the parts of a user agent know of a call that it holds; `call.Call` is one, and knows all of them."""

from typing import Protocol

from gateway.sip.dialog import Dialog
from gateway.sip.message import Headers, Request, Response
from gateway.sip.transaction import Transaction


class HeldCall(Protocol):
    """One call, by our tag in its dialog."""

    tag: str
    dialog: Dialog | None

    # --- for its user

    def hangup(self, now: float) -> None:
        """End it, whatever its state."""

    def refer(self, to: str, by: str, now: float) -> None:
        """Hand it over to somebody else."""

    # --- for what comes in

    def find(self, request: Request) -> Dialog | None:
        """Return the dialog of it that a request belongs to."""

    def on_request(self, transaction: Transaction, now: float) -> None:
        """Answer a request inside the dialog."""

    def on_ack(self, request: Request, now: float) -> None:
        """Take the ACK of a 2xx of ours."""

    # --- for what is asked inside it: refreshes and referrals

    @property
    def is_leaving(self) -> bool:
        """True once either end has left: nothing new is asked."""

    def contact_headers(self) -> Headers:
        """Return our Contact, and what we can do."""

    def description(self) -> bytes:
        """Return the running session as we last described it."""

    def after_glare(self) -> float:
        """Return the seconds to wait where a request of ours crossed one of theirs."""

    def renewed(self, response: Response, now: float) -> None:
        """Take the 2xx of a refresh of ours."""

    def lost(self, status: int, now: float) -> None:
        """End a call that the far end knows nothing of any more."""

    def expire(self, now: float) -> None:
        """End a call that nobody refreshed in time."""
