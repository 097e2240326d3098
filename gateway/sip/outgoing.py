"""The caller's side of a call: INVITE, challenges, provisional responses, forks, CANCEL (RFC 3261, 9 and 13)."""

from dataclasses import dataclass, replace

from gateway.errors.sip import BadSdp, NoCommonCodec
from gateway.sip.ack_cancel import cancellation
from gateway.sip.branch import MAX_ANSWERS, MAX_BRANCHES, Branch
from gateway.sip.call import Call, bye
from gateway.sip.challenges import Answers
from gateway.sip.context import Context
from gateway.sip.dialog import Dialog
from gateway.sip.digest import CHALLENGES
from gateway.sip.events import Answered, Failed, Progress, Ringing, Trying
from gateway.sip.headers import NameAddr
from gateway.sip.hop import Hop
from gateway.sip.message import Headers, Request, Response, readable
from gateway.sip.negotiation import SDP_TYPE
from gateway.sip.sdp import Session
from gateway.sip.transaction import Transaction

FAILOVER = 8  # times T1: how long to wait for a word from one address while there is another (4 s)


@dataclass(frozen=True, slots=True)
class Invitation:
    """What an INVITE is made of. `headers` were checked; `to` and `from_` are ready to be written, without tags.

    hops: where it goes; the second is tried where the first does not answer or is out of service, and so on.
    """

    to: NameAddr
    from_: NameAddr
    offer: Session
    hops: tuple[Hop, ...]
    headers: Headers = ()


class OutgoingCall(Call):
    """A call that we placed."""

    def __init__(self, context: Context, tag: str, user: str, invitation: Invitation, now: float) -> None:
        super().__init__(context, tag, user)
        self.negotiation.local = self.negotiation.ours = invitation.offer
        self._hops = invitation.hops
        self._branches: dict[str, Branch] = {}  # by the far end's tag
        self._heard: set[Transaction] = set()  # INVITEs that were answered provisionally: they may be cancelled (9.1)
        self._unheard: set[Transaction] = set()  # those that left, and of which nothing came back
        self._cancelled: set[Transaction] = set()
        self._trying = False
        self._ringing = False
        self._leaving = False  # the caller gave up
        self._answers = Answers(context.options.credentials, context.token)
        self._number = 1
        self._base = self._build(invitation)
        self._invite = self._send(now)

    # --- sending

    def _build(self, invitation: Invitation) -> Request:
        """Build the INVITE without Via, CSeq, credentials and session timer: those differ from try to try."""
        tagged = replace(invitation.from_, params=(("tag", self.tag),))
        headers = (
            ("Max-Forwards", "70"),
            ("From", str(tagged)),
            ("To", str(invitation.to)),
            ("Call-ID", self._context.token()),
            *self.contact_headers(),
            *invitation.headers,
            SDP_TYPE,
        )
        return Request(headers, invitation.offer.encode(), "INVITE", invitation.to.uri)

    def _send(self, now: float) -> Transaction:
        """Send the INVITE, as it stands now, to the first hop; after a while of silence to the next."""
        more = (*self.refresher.timer.asked(), *self._answers.headers)
        headers = (("CSeq", f"{self._number} INVITE"), *self._base.headers, *more)
        invite = self._context.send_request(replace(self._base, headers=headers), self._hops[0], now, self)
        self._unheard.add(invite)
        if len(self._hops) > 1:
            patience = FAILOVER * self._context.options.timers.t1
            self._context.alarms.at(now + patience, lambda then: self._on_silence(invite, then))
        return invite

    def _again(self, now: float) -> None:
        """Send the INVITE anew, in a transaction of its own."""
        self._number += 1
        self._branches.clear()
        self._invite = self._send(now)

    def _next_hop(self, now: float) -> bool:
        """Try the next address of the trunk (RFC 3263, section 4.3). False where there is none, or we gave up."""
        if len(self._hops) < 2 or self._leaving:
            return False
        self._hops = self._hops[1:]
        self._again(now)
        return True

    def _on_silence(self, invite: Transaction, now: float) -> None:
        """Leave an address that says nothing. Its transaction stays: an answer that comes late must be acknowledged."""
        if invite is self._invite and invite not in self._heard and not self.over and not self.answered:
            self._context.transactions.quiet(invite)
            self._next_hop(now)

    def hangup(self, now: float) -> None:
        """CANCEL, or BYE once it was answered. Before the first response the CANCEL waits for it."""
        if self.over:
            return
        if self.answered:
            self._send_bye(now)
            return
        self._leaving = True
        self._cancel(self._invite, now)

    def _cancel(self, invite: Transaction, now: float) -> None:
        """Send CANCEL once it may be sent; if no final response follows, give up after 64 T1 (9.1)."""
        if invite in self._cancelled or invite not in self._heard:
            return
        self._cancelled.add(invite)
        transactions = self._context.transactions
        transactions.request(cancellation(invite.request), invite.destination, now, None)
        transactions.limit(invite, now + self._context.options.timers.limit)

    # --- what comes back

    @property
    def is_leaving(self) -> bool:
        """See `Call`."""
        return self._leaving or super().is_leaving

    @property
    def _has_rung(self) -> bool:
        """Whether somebody may have heard it ring: then nobody is to be called by another way, too."""
        return self._ringing or any(branch.media is not None for branch in self._branches.values())

    def find(self, request: Request) -> Dialog | None:
        """Return the confirmed dialog or one of the early ones."""
        candidates = [branch.dialog for branch in self._branches.values()] if self.dialog is None else [self.dialog]
        return next((dialog for dialog in candidates if dialog.belongs(request)), None)

    def _is_offering(self, dialog: Dialog) -> bool:
        """Our INVITE's offer is open on every branch whose answer did not come reliably."""
        if self.answered:
            return super()._is_offering(dialog)
        return not any(branch.is_agreed for branch in self._branches.values() if branch.dialog is dialog)

    def on_response(self, transaction: Transaction, response: Response, now: float) -> None:
        """Take a response to an INVITE of ours, or to our BYE."""
        self._unheard.discard(transaction)
        if transaction is self._bye:
            super().on_response(transaction, response, now)
        elif 200 <= response.status < 300:
            self._on_answer(transaction, response, now)
        elif response.status < 200:
            self._on_provisional(transaction, response, now)
        elif transaction is self._invite and not self.answered and not self.over:
            self._on_failure(response, now)

    def on_timeout(self, transaction: Transaction, now: float) -> None:
        """Fail where no final response comes: 487 if we had cancelled, else 408 (8.1.3.1)."""
        if transaction.request.method != "INVITE" or transaction in self._unacked.values():
            super().on_timeout(transaction, now)
        elif transaction is self._invite and not self.answered:
            if self._leaving:
                self._fail(487, "cancelled", now)
            else:
                self._fail(408, "no response", now)

    def on_unreachable(self, transaction: Transaction, now: float) -> None:
        """Try elsewhere; an INVITE that never left fails with 503, one whose connection broke with 408."""
        if transaction.request.method != "INVITE":
            super().on_unreachable(transaction, now)
            return
        if not transaction.has_left:
            self._unheard.discard(transaction)
        if transaction is not self._invite or self.answered or self.over or self._next_hop(now):
            return
        if self._leaving:
            self._fail(487, "cancelled", now)
        else:
            self._fail(*((408, "connection lost") if transaction.has_left else (503, "unreachable")), now)

    def _on_provisional(self, transaction: Transaction, response: Response, now: float) -> None:
        self._heard.add(transaction)
        branch = self._branch(transaction, response)
        if branch is not None and not branch.is_news(response):
            return
        if branch is not None:
            branch.acknowledge_provisional(self._context, transaction, response, now)
        if self._leaving or self.answered or self.over or transaction is not self._invite:
            self._cancel(transaction, now)
            return
        if not self._trying:
            self._trying = True
            self._context.events.append(Trying(self.tag))
        if response.status == 180 and not self._ringing:
            self._ringing = True
            self._context.events.append(Ringing(self.tag))
        if branch is not None:
            self._hear(branch, response)

    def _branch(self, transaction: Transaction, response: Response) -> Branch | None:
        """Return the branch that a response comes from, None where it names none, or where there are too many."""
        tag, final = response.to.tag, response.status >= 200
        branch = self._branches.get(tag)
        if branch is not None:
            branch.refresh(response)
        elif (tag or final) and len(self._branches) < (MAX_ANSWERS if final else MAX_BRANCHES):
            branch = Branch(Dialog.of_response(transaction.request, response, transaction.source))
            self._branches[tag] = branch
        return branch

    def _hear(self, branch: Branch, response: Response) -> None:
        """Tell of early media, where the response describes some that is new."""
        try:
            media = self.negotiation.agree(response.body)
        except (BadSdp, NoCommonCodec):
            return  # only a final answer must be usable
        if media is None:
            return
        branch.is_agreed = branch.is_agreed or "100rel" in response.values("Require")
        if media != branch.media:
            branch.media = media
            self._context.events.append(Progress(self.tag, media))

    def _on_answer(self, transaction: Transaction, response: Response, now: float) -> None:
        """Acknowledge a 2xx. The first one is the call; another branch of a fork is released (13.2.2.4)."""
        branch = self._branch(transaction, response)
        if branch is None or not branch.acknowledge(self._context, transaction):
            return  # our ACK was lost
        if self.dialog is not None or self.over:
            bye(self._context, branch.dialog, now, None)
            return
        self.dialog = branch.dialog
        self._take(transaction, branch, response, now)

    def _take(self, transaction: Transaction, branch: Branch, response: Response, now: float) -> None:
        """Begin the call that was answered, or end it at once where it is unwanted or cannot be used."""
        try:
            media = branch.media if branch.is_agreed else self.negotiation.agree(response.body) or branch.media
        except (BadSdp, NoCommonCodec):
            media = None
        if self._leaving or media is None:
            self._send_bye(now)
            self._fail(*((487, "answered while being cancelled") if self._leaving else (488, "no usable media")), now)
            return
        self.answered = True
        self._begin(response, now)
        if transaction is not self._invite:
            self._cancel(self._invite, now)  # an address that we had left answers: the one after it is released
        self._context.events.append(Answered(self.tag, media))

    def _on_failure(self, response: Response, now: float) -> None:
        if self._leaving and response.status in CHALLENGES:
            self._fail(487, "cancelled", now)
            return
        if self._try_again(response, now):
            return
        in_doubt = bool(self._unheard)
        self._finish(Failed(self.tag, response.status, readable(response.reason), in_doubt=in_doubt), now)

    def _try_again(self, response: Response, now: float) -> bool:
        """Send a new INVITE where the refusal says how (22.2, RFC 4028, RFC 3263). False where it must not be."""
        if self._leaving:
            return False
        if response.status == 503:
            return not self._has_rung and self._next_hop(now)
        if response.status == 422:
            again = self.refresher.timer.raised(response)
        else:
            from_trunk = self._invite.source.host == self._invite.destination.host
            may = response.status in CHALLENGES and from_trunk
            again = may and self._answers.answer(response, "INVITE", self._base.uri)
        if again:
            self._again(now)
        return again

    def _fail(self, status: int, reason: str, now: float) -> None:
        self._finish(Failed(self.tag, status, reason, local=True, in_doubt=bool(self._unheard)), now)
