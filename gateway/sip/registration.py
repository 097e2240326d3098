"""Telling a trunk where we are: REGISTER, refreshed before it runs out, taken back at the end (RFC 3261, 10)."""

from dataclasses import dataclass
from typing import Literal

from gateway.errors.sip import BadSipMessage
from gateway.sip.alarms import Alarm
from gateway.sip.challenges import Answers
from gateway.sip.context import Context
from gateway.sip.digest import CHALLENGES
from gateway.sip.headers import NameAddr, find_param
from gateway.sip.hop import Hop
from gateway.sip.message import Request, Response
from gateway.sip.transaction import Transaction
from gateway.sip.uri import parse_uri

REFRESH_AT = 0.9  # of the time granted
FIRST_RETRY_S = 5.0
LONGEST_RETRY_S = 300.0
SOON_S = 1.0  # after the connection broke that the registrar reaches us over
SHORT_LIVED_S = 30.0  # a registrar that lets go of each connection sooner than that is not asked more often
LONGEST_S = 86_400

RegistrationState = Literal["trying", "registered", "refused", "silent", "ended"]


@dataclass(frozen=True, slots=True)
class RegistrationOptions:
    """What is registered.

    aor:     address of record, "sip:user@domain"; its domain is the registrar.
    expires: seconds to ask for.
    """

    aor: str
    expires: int = 3600


class Registration:
    """One registration of ours with a trunk. `state` says how it stands, `status` what was answered last."""

    def __init__(self, context: Context, hops: tuple[Hop, ...], options: RegistrationOptions) -> None:
        self.state: RegistrationState = "trying"
        self.status = 0
        self.hops = hops
        self._context = context
        self._aor = options.aor
        self._user = parse_uri(options.aor).user
        self._registrar = f"sip:{parse_uri(options.aor).host}"
        self._expires = options.expires
        self._call_id = context.token()
        self._number = 0
        self._failures = 0
        self._since = 0.0  # when it was accepted last
        self._next: Alarm | None = None
        self._sent: Transaction | None = None
        self._answers = Answers(None, context.token)
        self._ending = False

    def start(self, now: float) -> None:
        """Register."""
        self._answers = Answers(self._context.options.credentials, self._context.token)
        self._send(now)

    def end(self, now: float) -> None:
        """Take the registration back, once; whatever is answered, it is over."""
        if self._next is not None:
            self._next.cancel()
        if self._ending:
            return
        self._ending = True
        was_registered, self.state = self.state == "registered", "ended"
        if was_registered:
            self._answers = Answers(self._context.options.credentials, self._context.token)
            self._send(now)

    @property
    def is_ended(self) -> bool:
        """True once nothing of it is under way any more."""
        return self._ending and self._sent is None

    def _send(self, now: float) -> None:
        context = self._context
        self._number += 1
        headers = (
            ("Max-Forwards", "70"),
            ("From", f"<{self._aor}>;tag={context.token()}"),
            ("To", f"<{self._aor}>"),
            ("Call-ID", self._call_id),
            ("CSeq", f"{self._number} REGISTER"),
            context.contact(self._user),
            ("Expires", str(0 if self._ending else self._expires)),
            *context.capabilities(),
            *self._answers.headers,
        )
        self._sent = context.send_request(Request(headers, b"", "REGISTER", self._registrar), self.hops[0], now, self)

    def on_response(self, transaction: Transaction, response: Response, now: float) -> None:
        """Take the registrar's answer."""
        if transaction is not self._sent or response.status < 200:
            return
        self._sent, self.status = None, response.status
        if response.status < 300:
            self._accepted(response, now)
        elif response.status in CHALLENGES and self._may_answer(transaction):
            if self._answers.answer(response, "REGISTER", self._registrar):
                self._send(now)
            else:
                self._failed("refused", now)
        elif response.status == 423 and self._raised(response):
            self._send(now)
        else:
            self._failed("refused", now)

    def on_timeout(self, transaction: Transaction, now: float) -> None:
        """Try the next address, then again later."""
        if transaction is self._sent:
            self._sent = None
            self.hops = (*self.hops[1:], self.hops[0])
            self._failed("silent", now)

    def on_unreachable(self, transaction: Transaction, now: float) -> None:
        """Do as where nobody answers."""
        self.on_timeout(transaction, now)

    def broken(self, hop: Hop, now: float) -> None:
        """The connection to `hop` is gone. If it was the registrar's, calls come in no more: register anew.

        Behind a translator of addresses, and over TLS without a certificate of ours, there is no other way to us
        (RFC 5626, section 4.4).
        """
        if self.state != "registered" or self._sent is not None or self._next is None or hop != self.hops[0]:
            return
        self._next.cancel()
        self._again_after(SOON_S if now - self._since >= SHORT_LIVED_S else SHORT_LIVED_S, now)

    def _may_answer(self, transaction: Transaction) -> bool:
        return transaction.source.host == transaction.destination.host

    def _accepted(self, response: Response, now: float) -> None:
        self._failures = 0
        if self._ending:
            return
        self.state, self._since = "registered", now
        self._answers = Answers(self._context.options.credentials, self._context.token)
        self._again_after(REFRESH_AT * self._granted(response), now)

    def _granted(self, response: Response) -> float:
        """Return the seconds that the registrar gave to our contact (10.2.4)."""
        ours = parse_uri(NameAddr.parse(self._context.contact(self._user)[1]).uri)
        for value in response.values("Contact"):
            try:
                contact = NameAddr.parse(value)
                uri = parse_uri(contact.uri)
            except BadSipMessage:
                continue  # somebody else's
            if (uri.user, uri.address) == (ours.user, ours.address):
                return _seconds(find_param(contact.params, "expires") or "") or self._header(response)
        return self._header(response)

    def _header(self, response: Response) -> float:
        return _seconds(response.get("Expires")) or float(self._expires)

    def _raised(self, response: Response) -> bool:
        """Take a 423 (10.2.8). False where it wants nothing longer than we asked for."""
        wanted = _seconds(response.get("Min-Expires"))
        if wanted is None or not self._expires < wanted <= LONGEST_S:
            return False
        self._expires = int(wanted)
        return True

    def _failed(self, state: RegistrationState, now: float) -> None:
        if self._ending:
            return
        self.state = state
        self._answers = Answers(self._context.options.credentials, self._context.token)
        wait_s = min(FIRST_RETRY_S * 2**self._failures, LONGEST_RETRY_S)
        self._failures = min(self._failures + 1, 10)
        self._again_after(wait_s * (0.9 + 0.2 * self._context.dice()), now)

    def _again_after(self, seconds: float, now: float) -> None:
        self._next = self._context.alarms.at(now + max(seconds, 1.0), self._send)


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 9 and int(text) > 0 else None
