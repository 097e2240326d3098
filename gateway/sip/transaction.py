"""SIP transactions (RFC 3261 section 17, as corrected by RFC 6026): matching, retransmission, time-outs.

Four kinds, one machine. `transaction_table.MOVES` says where a message takes a transaction; `spans` what time does to
it there: how soon the last message is sent again, up to which interval, and how long it may stay. T1 is the round-trip
estimate (0.5 s), T2 the longest interval (4 s), T4 the longest life of a message in the network (5 s).
The 2xx of an INVITE is sent again by the transaction too (state ACCEPTED), until `acknowledge` is called.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Protocol

from gateway.sip.ack_cancel import acknowledgement
from gateway.sip.headers import BRANCH_COOKIE, Via
from gateway.sip.hop import Hop
from gateway.sip.message import Request, Response
from gateway.sip.transaction_table import MOVES, TOLD, Kind, Span, State, Timers, spans

Key = tuple[str, ...]


class TransactionUser(Protocol):
    """Who is told about a transaction: a call."""

    def on_response(self, transaction: "Transaction", response: Response, now: float) -> None:
        """Take a response that is not a mere retransmission; it came from `transaction.source`."""

    def on_timeout(self, transaction: "Transaction", now: float) -> None:
        """Take note that no answer came (client), no ACK came (server, ACCEPTED), or a limit ran out."""

    def on_unreachable(self, transaction: "Transaction", now: float) -> None:
        """Take note that the request will not be answered over this connection (17.1.4).

        It never left, for there is none to its destination; or, where `transaction.has_left`, its connection broke:
        nobody knows whether it came over.
        """


class Transaction:
    """One request and its responses. Made by `Transactions`; callers read `request`, `state` and `destination`."""

    __slots__ = (
        "deadline", "destination", "ends_at", "has_left", "interval", "key", "kind", "last", "request", "resend_at",
        "source", "state", "user",
    )  # fmt: skip

    def __init__(self, kind: Kind, key: Key, request: Request, destination: Hop) -> None:
        self.kind = kind
        self.key = key
        self.request = request
        self.destination = destination
        self.source = destination  # of the last response
        self.state = State.TERMINATED
        self.user: TransactionUser | None = None
        self.last = b""  # what is sent again
        self.has_left = True  # until it is known that it did not
        self.interval = 0.0
        self.resend_at: float | None = None
        self.ends_at: float | None = None
        self.deadline: float | None = None

    def enter(self, span: Span, now: float) -> None:
        """Start the timers of a new state; one without a `stay` keeps the end it came with (timer F)."""
        self.interval = span.first or 0.0
        self.resend_at = now + span.first if span.first is not None else None
        if span.stay is not None:
            self.ends_at = now + span.stay

    @property
    def next_deadline(self) -> float | None:
        """When this transaction next has something to do."""
        times = [at for at in (self.resend_at, self.ends_at) if at is not None]
        return min(times, default=None)


@dataclass(slots=True)
class Traffic:
    """Counts of the transaction layer."""

    resent: int = 0  # messages that we sent again
    repeated: int = 0  # messages that came again and were absorbed
    stray: int = 0  # responses to nothing we asked


class Transactions:
    """All transactions of one user agent.

    timers: T1, T2, T4.
    send:   takes the bytes and where they go; called at once, from any method.
    """

    def __init__(self, timers: Timers, send: Callable[[bytes, Hop], None]) -> None:
        self.timers = timers
        self.traffic = Traffic()
        self._send = send
        self._spans = {reliable: spans(timers, reliable=reliable) for reliable in (False, True)}
        self._live: dict[Key, Transaction] = {}
        self._heap: list[tuple[float, int, Transaction]] = []
        self._order = count()

    def __len__(self) -> int:
        """Return how many transactions are alive."""
        return len(self._live)

    # --- the client's side

    def request(self, request: Request, destination: Hop, now: float, user: TransactionUser | None) -> Transaction:
        """Send a request and start its transaction. The topmost Via must carry a branch of our own."""
        invite = request.method == "INVITE"
        kind = Kind.CLIENT_INVITE if invite else Kind.CLIENT
        transaction = Transaction(kind, ("client", request.via.branch, request.method), request, destination)
        transaction.user = user
        transaction.last = request.encode()
        self._live[transaction.key] = transaction
        self._enter(transaction, State.CALLING if invite else State.TRYING, now)
        self._send(transaction.last, destination)
        return transaction

    def receive_response(self, response: Response, source: Hop, now: float) -> None:
        """Match a response to its request and tell that one's user. Strays are counted."""
        _, method = response.cseq
        transaction = self._live.get(("client", response.via.branch, method))
        if transaction is None:
            self.traffic.stray += 1
            return
        failed = response.status >= 300 and transaction.state is not State.ACCEPTED
        if failed and transaction.kind is Kind.CLIENT_INVITE:
            self._send(acknowledgement(transaction.request, response).encode(), transaction.destination)
        if self._move(transaction, _class_of(response.status), now) and transaction.user is not None:
            transaction.source = source
            transaction.user.on_response(transaction, response, now)

    def unreachable(self, hop: Hop, now: float) -> None:
        """Fail every request to `hop` that nothing was heard of: no connection came about (18.4)."""
        for transaction in self._unheard(hop):
            transaction.has_left = False
            self._drop(transaction)
            if transaction.user is not None:
                transaction.user.on_unreachable(transaction, now)

    def broken(self, hop: Hop, now: float) -> None:
        """Fail every request to `hop` that nothing was heard of: the connection that it was written to broke.

        An INVITE stays until timer B: who got it may answer over a connection of its own (18.2.2), and is released.
        """
        for transaction in self._unheard(hop):
            if transaction.kind is not Kind.CLIENT_INVITE:
                self._drop(transaction)
            if transaction.user is not None:
                transaction.user.on_unreachable(transaction, now)

    def _unheard(self, hop: Hop) -> list[Transaction]:
        waiting = {State.CALLING, State.TRYING}
        ours = {Kind.CLIENT, Kind.CLIENT_INVITE}
        return [
            each
            for each in self._live.values()
            if each.destination == hop and each.kind in ours and each.state in waiting
        ]

    def quiet(self, transaction: Transaction) -> None:
        """Send a request no more, but go on listening for its responses."""
        transaction.resend_at = None
        self._arm(transaction)

    def limit(self, transaction: Transaction, ends_at: float) -> None:
        """End a transaction at that time, with `on_timeout`, unless it moves on before."""
        transaction.ends_at = ends_at
        self._arm(transaction)

    # --- the server's side

    def receive_request(self, request: Request, source: Hop, now: float) -> Transaction | None:
        """Start a transaction for a request; None where it only belonged to one that runs (a repeat, or its ACK)."""
        key = server_key(request)
        known = self._live.get(key)
        if known is not None:
            self._absorb(known, request, now)
            return None
        invite = request.method == "INVITE"
        kind = Kind.SERVER_INVITE if invite else Kind.SERVER
        transaction = Transaction(kind, key, request, _way_back(request.via, source))
        if request.method == "ACK":  # of a 2xx: it has no transaction of its own
            return transaction
        self._live[key] = transaction
        self._enter(transaction, State.PROCEEDING if invite else State.TRYING, now)
        return transaction

    def respond(self, transaction: Transaction, response: Response, now: float) -> None:
        """Send a response; without effect once a final one was sent."""
        if self._move(transaction, _class_of(response.status), now):
            transaction.last = response.encode()
            self._send(transaction.last, transaction.destination)

    def repeat(self, transaction: Transaction) -> None:
        """Send the last provisional response again; without effect once a final one was sent."""
        if transaction.state is State.PROCEEDING and transaction.last:
            self.traffic.resent += 1
            self._send(transaction.last, transaction.destination)

    def acknowledge(self, transaction: Transaction, now: float) -> None:
        """Stop sending the 2xx of an INVITE again: its ACK came."""
        self._move(transaction, "ack", now)

    def find_invite(self, cancel: Request) -> Transaction | None:
        """Return the INVITE transaction that a CANCEL means (section 9.2)."""
        return self._live.get(server_key(cancel, "INVITE"))

    def _absorb(self, known: Transaction, request: Request, now: float) -> None:
        if request.method == "ACK":
            self._move(known, "ack", now)
            return
        self.traffic.repeated += 1
        if known.last and known.state in {State.PROCEEDING, State.COMPLETED}:
            self._send(known.last, known.destination)

    # --- time

    def next_deadline(self) -> float | None:
        """Return when `tick` next has something to do, None for never."""
        while self._heap and self._heap[0][2].deadline != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def tick(self, now: float) -> None:
        """Send again what is due and end what has run out."""
        while (deadline := self.next_deadline()) is not None and deadline <= now:
            _, _, transaction = heapq.heappop(self._heap)
            transaction.deadline = None
            self._run(transaction, now)

    def _run(self, transaction: Transaction, now: float) -> None:
        if transaction.ends_at is not None and transaction.ends_at <= now:
            told = (transaction.kind, transaction.state) in TOLD
            if told and transaction.user is not None:
                transaction.user.on_timeout(transaction, now)
            if transaction.ends_at <= now:  # the user may have answered, and so moved it on
                self._drop(transaction)
            return
        if transaction.resend_at is not None and transaction.resend_at <= now:
            self.traffic.resent += 1
            self._send(transaction.last, transaction.destination)
            transaction.interval = min(2 * transaction.interval, self._span(transaction).longest)
            transaction.resend_at = now + transaction.interval
        self._arm(transaction)

    def _move(self, transaction: Transaction, trigger: str, now: float) -> bool:
        """Apply the table. Returns False where this is no move: a repeat, or too late."""
        state = MOVES.get((transaction.kind, transaction.state, trigger))
        if state is None or transaction.state is State.TERMINATED:
            return False
        if state is not transaction.state:
            self._enter(transaction, state, now)
        return True

    def _enter(self, transaction: Transaction, state: State, now: float) -> None:
        transaction.state = state
        transaction.enter(self._span(transaction), now)
        if (transaction.kind, state) == (Kind.CLIENT_INVITE, State.PROCEEDING):
            transaction.ends_at = None  # timer B ends here: how long to let it ring is the caller's to say
        self._arm(transaction)

    def _span(self, transaction: Transaction) -> Span:
        return self._spans[transaction.destination.is_reliable].get((transaction.kind, transaction.state), Span())

    def _arm(self, transaction: Transaction) -> None:
        deadline = transaction.next_deadline
        if deadline is not None and deadline != transaction.deadline:
            heapq.heappush(self._heap, (deadline, next(self._order), transaction))
        transaction.deadline = deadline

    def _drop(self, transaction: Transaction) -> None:
        transaction.state = State.TERMINATED
        transaction.deadline = transaction.resend_at = transaction.ends_at = None
        self._live.pop(transaction.key, None)


def _class_of(status: int) -> str:
    return "1xx" if status < 200 else "2xx" if status < 300 else "failure"


def server_key(request: Request, method: str = "") -> Key:
    """Name the transaction a request belongs to (section 17.2.3); an ACK belongs to its INVITE."""
    via = request.via
    method = method or ("INVITE" if request.method == "ACK" else request.method)
    if via.branch.startswith(BRANCH_COOKIE) and via.branch != BRANCH_COOKIE:
        return ("server", via.branch, via.host.lower(), str(via.port or 5060), method)
    number, _ = request.cseq  # a far end of RFC 2543: no unique branch
    return ("server", request.call_id, request.from_.tag, str(number), request.uri, str(via), method)


def _way_back(via: Via, source: Hop) -> Hop:
    """Return where responses go: the connection, or the source's address, and its port where rport asks (18.2.2)."""
    asked = any(name == "rport" for name, _ in via.params)
    return source if asked or source.is_reliable else Hop(source.host, via.port or 5060)
