"""The caller's side of a call: INVITE, challenges, provisional responses, forks, CANCEL (RFC 3261, 9 and 13)."""

from dataclasses import dataclass, replace

from gateway.errors.sip import BadSdp, NoCommonCodec
from gateway.sip import sdp
from gateway.sip.call import SDP_TYPE, Call, bye
from gateway.sip.context import Context
from gateway.sip.dialog import Dialog
from gateway.sip.digest import CHALLENGES, authorize, choose
from gateway.sip.events import Answered, Failed, Progress, Ringing, Trying
from gateway.sip.headers import NameAddr
from gateway.sip.message import Headers, Request, Response, readable
from gateway.sip.sdp import Media, Session
from gateway.sip.transaction import Address, Transaction

MAX_CHALLENGES = 3  # one from a proxy, one from the far end, one stale nonce; more is a loop


@dataclass(frozen=True, slots=True)
class Invitation:
    """What an INVITE is made of. `headers` were checked; `to` and `from_` are ready to be written, without tags."""

    to: NameAddr
    from_: NameAddr
    offer: Session
    destination: Address
    headers: Headers = ()


class OutgoingCall(Call):
    """A call that we placed."""

    def __init__(self, context: Context, tag: str, user: str, invitation: Invitation, now: float) -> None:
        super().__init__(context, tag, user)
        self.local = self.ours = invitation.offer
        self._destination = invitation.destination
        self._early: dict[str, Dialog] = {}
        self._acks: dict[str, tuple[bytes, Address]] = {}
        self._heard = False  # a provisional response came: only then may a CANCEL go out (9.1)
        self._trying = False
        self._ringing = False
        self._early_media: Media | None = None
        self._leaving = False  # the caller gave up
        self._cancelled = False
        self._nonces: set[str] = set()
        self._challenges = 0
        self._number = 1
        self._base = self._build(invitation)
        self._invite = self._send((), now)

    # --- sending

    def _build(self, invitation: Invitation) -> Request:
        """Build the INVITE without Via, CSeq and credentials: those differ from try to try."""
        tagged = replace(invitation.from_, params=(("tag", self.tag),))
        headers = (
            ("Max-Forwards", "70"),
            ("From", str(tagged)),
            ("To", str(invitation.to)),
            ("Call-ID", self._context.token()),
            self._context.contact(self._user),
            *self._context.capabilities(),
            *invitation.headers,
            SDP_TYPE,
        )
        return Request(headers, invitation.offer.encode(), "INVITE", invitation.to.uri)

    def _send(self, credentials: Headers, now: float) -> Transaction:
        headers = (("Via", self._context.via()), ("CSeq", f"{self._number} INVITE"), *self._base.headers, *credentials)
        request = replace(self._base, headers=headers)
        return self._context.transactions.request(request, self._destination, now, self)

    def hangup(self, now: float) -> None:
        """CANCEL, or BYE once it was answered. Before the first response the CANCEL waits for it."""
        if self.over:
            return
        if self.answered:
            self._send_bye(now)
            return
        self._leaving = True
        self._cancel(now)

    def _cancel(self, now: float) -> None:
        """Send CANCEL once it may be sent; if no final response follows, give up after 64 T1 (9.1)."""
        if self._cancelled or not self._heard:
            return
        self._cancelled = True
        invite = self._invite.request
        number, _ = invite.cseq
        kept = tuple(header for header in invite.headers if header[0] in {"Max-Forwards", "From", "To", "Call-ID"})
        headers = (("Via", str(invite.via)), *kept, ("CSeq", f"{number} CANCEL"))
        transactions = self._context.transactions
        transactions.request(Request(headers, b"", "CANCEL", invite.uri), self._destination, now, None)
        transactions.limit(self._invite, now + self._context.options.timers.limit)

    # --- what comes back

    def find(self, request: Request) -> Dialog | None:
        """Return the confirmed dialog or one of the early ones."""
        candidates = self._early.values() if self.dialog is None else [self.dialog]
        return next((dialog for dialog in candidates if dialog.belongs(request)), None)

    def on_response(self, transaction: Transaction, response: Response, now: float) -> None:
        """Take a response to the INVITE, or to our BYE."""
        if transaction is self._bye:
            super().on_response(transaction, response, now)
        elif 200 <= response.status < 300:
            self._on_answer(transaction, response, now)
        elif transaction is not self._invite or self.over:
            return  # an INVITE that was sent anew with credentials
        elif response.status < 200:
            self._on_provisional(response, now)
        else:
            self._on_failure(response, now)

    def on_timeout(self, transaction: Transaction, now: float) -> None:
        """Fail where no final response comes: 487 if we had cancelled, else 408 (8.1.3.1)."""
        if transaction is not self._invite:
            super().on_timeout(transaction, now)
        elif self._leaving:
            self._fail(487, "cancelled", now)
        else:
            self._fail(408, "no response", now)

    def _on_provisional(self, response: Response, now: float) -> None:
        self._heard = True
        if self._leaving:
            self._cancel(now)
            return
        if not self._trying:
            self._trying = True
            self._context.events.append(Trying(self.tag))
        tag = response.to.tag
        if tag and tag not in self._early:
            self._early[tag] = Dialog.of_response(self._invite.request, response, self._invite.source)
        if response.status == 180 and not self._ringing:
            self._ringing = True
            self._context.events.append(Ringing(self.tag))
        self._hear(response)

    def _hear(self, response: Response) -> None:
        """Tell of early media, where the response describes some that is new."""
        try:
            media = self._agree(response)
        except (BadSdp, NoCommonCodec):
            return  # only a final answer must be usable
        if media is not None and media != self._early_media:
            self._early_media = media
            self._context.events.append(Progress(self.tag, media))

    def _agree(self, response: Response) -> Media | None:
        if not response.body or self.local is None:
            return None
        remote = sdp.parse(response.body)
        return sdp.agree(remote, self.local, remote)

    def _on_answer(self, transaction: Transaction, response: Response, now: float) -> None:
        """Acknowledge a 2xx. The first one is the call; another branch of a fork is released (13.2.2.4)."""
        tag = response.to.tag
        if tag in self._acks:
            self._context.send(*self._acks[tag])  # our ACK was lost
            return
        dialog = Dialog.of_response(transaction.request, response, transaction.source)
        first = self.dialog is None
        if first:
            early = self._early.get(tag)
            dialog.remote_cseq = early.remote_cseq if early is not None else -1
            dialog.local_cseq = self._number
            self.dialog = dialog
        self._acknowledge(tag, dialog, transaction.request)
        if not first or self.over:
            bye(self._context, dialog, now, None)
            return
        self._take(response, now)

    def _acknowledge(self, tag: str, dialog: Dialog, invite: Request) -> None:
        """Send the ACK of a 2xx: to the Contact, along the route set, with the INVITE's own credentials."""
        kept = tuple(header for header in invite.headers if header[0] in {"Authorization", "Proxy-Authorization"})
        number, _ = invite.cseq
        ack = dialog.request("ACK", number, self._context.via(), kept)
        sent = ack.encode(), self._context.hop(dialog.next_hop(), dialog.peer)
        self._acks[tag] = sent
        self._context.send(*sent)

    def _take(self, response: Response, now: float) -> None:
        """Begin the call that was answered, or end it at once where it is unwanted or cannot be used."""
        try:
            media = self._agree(response) or self._early_media
        except (BadSdp, NoCommonCodec):
            media = None
        if self._leaving or media is None:
            self._send_bye(now)
            self._fail(*((487, "answered while being cancelled") if self._leaving else (488, "no usable media")), now)
            return
        self.answered = True
        self._context.events.append(Answered(self.tag, media))

    def _on_failure(self, response: Response, now: float) -> None:
        if self._leaving and response.status in CHALLENGES:
            self._fail(487, "cancelled", now)
            return
        if response.status in CHALLENGES and self._try_again(response, now):
            return
        self._finish(Failed(self.tag, response.status, readable(response.reason)), now)

    def _try_again(self, response: Response, now: float) -> bool:
        """Answer a challenge with a new INVITE (22.2). False where we must not, cannot, or did so already."""
        credentials = self._context.options.credentials
        if credentials is None or self._invite.source[0] != self._destination[0] or self._challenges >= MAX_CHALLENGES:
            return False
        challenge = choose(response, credentials)
        if challenge is None or challenge.nonce in self._nonces:
            return False
        _, header = CHALLENGES[response.status]
        others = tuple(each for each in self._credentials() if each[0] != header)
        answered_before = len(others) < len(self._credentials())
        if answered_before and not challenge.stale:
            return False  # wrong password: the nonce is new, the refusal is not
        self._challenges += 1
        self._nonces.add(challenge.nonce)
        value = authorize(challenge, credentials, "INVITE", self._base.uri, cnonce=self._context.token())
        self._number += 1
        self._heard = False
        self._early.clear()
        self._invite = self._send((*others, (header, value)), now)
        return True

    def _credentials(self) -> Headers:
        headers = self._invite.request.headers
        return tuple(header for header in headers if header[0] in {"Authorization", "Proxy-Authorization"})

    def _fail(self, status: int, reason: str, now: float) -> None:
        self._finish(Failed(self.tag, status, reason, local=True), now)
