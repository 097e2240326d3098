"""Handing a call over: our REFER inside the dialog, and the NOTIFYs that tell how it went (RFC 3515, RFC 5589).

We only ever ask. A REFER that comes to us is refused with 405: nobody makes this gateway dial.
"""

import re
from collections.abc import Callable
from urllib.parse import quote

from gateway.errors.sip import UnsafeSipValue
from gateway.sip.challenges import Answers
from gateway.sip.context import Context
from gateway.sip.digest import CHALLENGES
from gateway.sip.events import Referred
from gateway.sip.held_call import HeldCall
from gateway.sip.message import Headers, Request, Response
from gateway.sip.transaction import Transaction
from gateway.sip.uri import SipUri

LATE = 4  # times T1: how long the far end may tell the rest after its BYE (2 s)
MOST_HEADERS = 10
LONGEST_VALUE = 200
OUR_HEADER = re.compile(r"X-[A-Za-z0-9-]{1,40}\Z")
FRAGMENT = re.compile(rb"SIP/2\.0 ([1-6][0-9][0-9])(?: [^\r\n]*)?(?:\r\n|\r|\n|\Z)", re.IGNORECASE)


def contact_data(headers: Headers) -> Headers:
    """Check what is to go along with a call that is handed over: X- headers, few and short.

    Raises: UnsafeSipValue for another header, for too many, and for a value that is too long or has control characters.
    """
    if len(headers) > MOST_HEADERS:
        raise UnsafeSipValue(f"more than {MOST_HEADERS} headers of a transfer")
    for name, value in headers:
        if not OUR_HEADER.match(name):
            raise UnsafeSipValue("a header of a transfer begins with X-")
        if len(value) > LONGEST_VALUE or not value.isprintable():
            raise UnsafeSipValue(f"the value of {name} is longer than {LONGEST_VALUE}, or no single line of text")
    return headers


def refer_to(target: SipUri, headers: Headers) -> str:
    """The Refer-To for a target that is to be called with these headers (RFC 3261, 19.1.1). Raises UnsafeSipValue."""
    pairs = "&".join(f"{name}={quote(value, safe='')}" for name, value in contact_data(headers))
    return f"<{target}?{pairs}>" if pairs else f"<{target}>"


class Referral:
    """One REFER of a call. `Referred` events tell of it; the last one has `final` set."""

    def __init__(self, call: HeldCall, context: Context, to: str, by: str) -> None:
        """to: a Refer-To, as `refer_to` makes it. by: our URI, for Referred-By (RFC 3892)."""
        self._call = call
        self._context = context
        self._to, self._by = to, by
        self._answers = Answers(context.options.credentials, context.token)
        self._is_taken_on = self._is_over = False
        self._then: Callable[[float], None] | None = None

    def send(self, now: float) -> None:
        """Ask the far end to call the target."""
        dialog = self._call.dialog
        if dialog is None or self._call.is_leaving:
            self._tell(481, final=True)
            return
        asked: Headers = (("Refer-To", self._to), ("Referred-By", f"<{self._by}>"))
        headers = (*self._call.contact_headers(), *asked, *self._answers.headers)
        request = dialog.request("REFER", dialog.next_cseq(), headers)
        self._context.send_request(request, self._context.hop(dialog.next_hop(), dialog.peer), now, self)

    def on_response(self, transaction: Transaction, response: Response, now: float) -> None:
        """Take the answer to the REFER: taken on, challenged, or refused."""
        if response.status < 200 or self._is_over:
            return
        if response.status < 300:
            self._tell(100, final=False)
        elif self._may_answer(transaction, response):
            self.send(now)
        else:
            self._tell(response.status, final=True, refused=True)

    def _may_answer(self, transaction: Transaction, response: Response) -> bool:
        from_trunk = transaction.source.host == transaction.destination.host
        may = response.status in CHALLENGES and from_trunk
        return may and self._answers.answer(response, "REFER", transaction.request.uri)

    def on_timeout(self, transaction: Transaction, now: float) -> None:
        """Nobody answered the REFER."""
        del transaction, now
        self._tell(408, final=True, refused=True)

    def on_unreachable(self, transaction: Transaction, now: float) -> None:
        """The REFER could not leave; where its connection broke, the far end may have taken it on."""
        del now
        self._tell(408, final=True, refused=not transaction.has_left)

    def close(self, now: float, then: Callable[[float], None]) -> None:
        """The far end has left: call `then` once it has told the rest, or after a while.

        A BYE ends the call in a dialog, not the subscription that the REFER made (RFC 5057, section 4.2), and a REFER
        that was taken on is to be followed by a last NOTIFY (RFC 3515, section 2.4.4).
        """
        self._then = then
        if self._is_taken_on and not self._is_over:
            self._context.alarms.at(now + LATE * self._context.options.timers.t1, self._closed)
        else:
            self._closed(now)

    def _closed(self, now: float) -> None:
        then, self._then = self._then, None
        if then is not None:
            then(now)

    def notified(self, request: Request, now: float) -> int:
        """Take a NOTIFY of the dialog; returns what to answer it with."""
        if request.get("Event").partition(";")[0].strip().lower() != "refer":
            return 489
        found = FRAGMENT.match(request.body)
        if found is None:
            return 400
        status = int(found[1])
        is_over = request.get("Subscription-State").partition(";")[0].strip().lower() == "terminated"
        self._tell(status, final=is_over or status >= 200)
        if self._is_over:
            self._closed(now)
        return 200

    def _tell(self, status: int, *, final: bool, refused: bool = False) -> None:
        if not self._is_over:
            self._is_over = final
            self._is_taken_on = not refused
            self._context.events.append(Referred(self._call.tag, status, final, refused))
