"""Two user agents on a wire that a test can cut, by a clock that a test moves."""

from collections.abc import Callable
from itertools import count

from gateway.sip.events import Event, Incoming
from gateway.sip.message import Request, Response, parse
from gateway.sip.options import Options
from gateway.sip.sdp import Session, answer
from gateway.sip.user_agent import UserAgent

OURS = ("192.0.2.1", 5060)
THEIRS = ("198.51.100.7", 5060)
CALLEE = "sip:+12125551234@198.51.100.7"
CALLER = "sip:+18005550199@192.0.2.1"


def tokens(prefix: str) -> Callable[[], str]:
    """A source of tokens that never repeats."""
    numbers = count(1)
    return lambda: f"{prefix}{next(numbers):020d}"


def lose_none(_ours: bool, _message: Request | Response) -> bool:
    return False


def lose_all(_ours: bool, _message: Request | Response) -> bool:
    return True


class Line:
    """Our agent and a far end, `now` in seconds, and every message that was sent: (by us?, message)."""

    def __init__(self, **options: object) -> None:
        self.now = 0.0
        self.us = UserAgent(Options(OURS, (THEIRS[0],), **options), tokens("us"))  # type: ignore[arg-type]
        self.them = UserAgent(Options(THEIRS, (OURS[0],)), tokens("them"))
        self.sent: list[tuple[bool, Request | Response]] = []
        self.ours: list[Event] = []
        self.theirs: list[Event] = []
        self.loses: Callable[[bool, Request | Response], bool] = lose_none

    def run(self) -> None:
        """Carry messages until nothing moves."""
        while self._carry(self.us, self.them, OURS, ours=True) + self._carry(self.them, self.us, THEIRS, ours=False):
            pass
        self.ours += self.us.events()
        self.theirs += self.them.events()

    def _carry(self, sender: UserAgent, receiver: UserAgent, source: tuple[str, int], *, ours: bool) -> int:
        moved = list(sender.to_send(self.now))
        for data, _ in moved:
            message = parse(data)
            self.sent.append((ours, message))
            if not self.loses(ours, message):
                receiver.receive(data, source, self.now)
        return len(moved)

    def until(self, end: float) -> None:
        """Let time pass, from deadline to deadline."""
        while True:
            due = [at for at in (self.us.next_deadline(), self.them.next_deadline()) if at is not None and at <= end]
            if not due:
                break
            self.now = max(self.now, min(due))
            self.run()
        self.now = end
        self.run()

    def call(self) -> str:
        """Place a call from us to them."""
        handle = self.us.invite(CALLEE, CALLER, Session(OURS[0], 4000), THEIRS, self.now)
        self.run()
        return handle

    def incoming(self) -> Incoming:
        return next(event for event in self.theirs if isinstance(event, Incoming))

    def answer(self) -> str:
        """Let the far end answer; returns its handle."""
        incoming = self.incoming()
        assert incoming.offer is not None
        self.them.accept(incoming.call, answer(incoming.offer, Session(THEIRS[0], 6000)), self.now)
        self.run()
        return incoming.call

    def requests(self, method: str, *, ours: bool = True) -> list[Request]:
        return [
            message
            for by, message in self.sent
            if by == ours and isinstance(message, Request) and message.method == method
        ]

    def responses(self, status: int, *, ours: bool = False) -> list[Response]:
        return [
            message
            for by, message in self.sent
            if by == ours and isinstance(message, Response) and message.status == status
        ]


def lose_first(kind: str, *, ours: bool) -> Callable[[bool, Request | Response], bool]:
    """Lose the first message of a kind ("INVITE", "ACK", "200") from one side."""
    left = [1]

    def loses(by_us: bool, message: Request | Response) -> bool:
        name = message.method if isinstance(message, Request) else str(message.status)
        if by_us != ours or name != kind or not left[0]:
            return False
        left[0] -= 1
        return True

    return loses
