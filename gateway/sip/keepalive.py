"""Whether a trunk is there: OPTIONS now and then to each of its addresses (RFC 3261, section 11)."""

from gateway.sip.alarms import Alarm
from gateway.sip.context import Context
from gateway.sip.hop import Hop
from gateway.sip.message import Request, Response
from gateway.sip.options import KeepaliveOptions
from gateway.sip.transaction import Transaction

PATIENCE = 8  # times T1: how long to wait for the answer (4 s)
OUT_OF_SERVICE = frozenset(
    {408, 503}
)  # what a proxy answers for a far end that is gone; any other word is a sign of life


class Keepalive:
    """Asks one address. It counts as up until it was silent `misses` times in a row; one answer takes it up again."""

    def __init__(self, context: Context, hop: Hop, uri: str, options: KeepaliveOptions) -> None:
        self.hop = hop
        self.is_up = True
        self._context = context
        self._uri = uri
        self._options = options
        self._call_id = context.token()
        self._number = 0
        self._missed = 0
        self._next: Alarm | None = None
        self._asked: Transaction | None = None

    def start(self, now: float) -> None:
        """Ask for the first time within one interval: many addresses are not asked at once."""
        self._ask_after(self._options.interval * (0.5 + self._context.dice() / 2), now)

    def stop(self) -> None:
        """Ask no more."""
        if self._next is not None:
            self._next.cancel()
        self._asked = None

    def _ask_after(self, seconds: float, now: float) -> None:
        self._next = self._context.alarms.at(now + seconds, self._ask)

    def _ask(self, now: float) -> None:
        context = self._context
        self._number += 1
        name, contact = context.contact("")
        headers = (
            ("Max-Forwards", "70"),
            ("From", f"{contact};tag={context.token()}"),
            ("To", f"<{self._uri}>"),
            ("Call-ID", self._call_id),
            ("CSeq", f"{self._number} OPTIONS"),
            (name, contact),
            *context.capabilities(),
        )
        self._asked = context.send_request(Request(headers, b"", "OPTIONS", self._uri), self.hop, now, self)
        context.transactions.limit(self._asked, now + PATIENCE * context.options.timers.t1)

    def on_response(self, transaction: Transaction, response: Response, now: float) -> None:
        """Take any answer but "out of service" as a sign of life."""
        if transaction is self._asked and response.status >= 200:
            self._note(response.status not in OUT_OF_SERVICE, now)

    def on_timeout(self, transaction: Transaction, now: float) -> None:
        """Count a question without an answer."""
        if transaction is self._asked:
            self._note(False, now)

    def on_unreachable(self, transaction: Transaction, now: float) -> None:
        """Count a question that found no connection."""
        self.on_timeout(transaction, now)

    def _note(self, answered: bool, now: float) -> None:
        """Ask again: after an interval, or sooner while it is not yet sure that the address is down."""
        self._asked = None
        self._missed = 0 if answered else self._missed + 1
        if answered:
            self.is_up = True
        elif self._missed >= self._options.misses:
            self.is_up = False
        unsure = not answered and self.is_up
        soon = PATIENCE * self._context.options.timers.t1
        self._ask_after(min(soon, self._options.interval) if unsure else self._options.interval, now)
