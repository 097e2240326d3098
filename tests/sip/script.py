"""Our user agent alone, and a test that speaks for the far end."""

from collections.abc import Callable
from itertools import count

from gateway.sip.digest import Credentials
from gateway.sip.events import Event
from gateway.sip.message import Request, Response, parse
from gateway.sip.options import Options
from gateway.sip.sdp import Session
from gateway.sip.user_agent import UserAgent

OURS = ("192.0.2.1", 5060)
THEIRS = ("198.51.100.7", 5060)
CALLEE = "sip:+12125551234@198.51.100.7"
CALLER = "sip:+18005550199@192.0.2.1"
ANSWER = Session(THEIRS[0], 6000).encode()
CHALLENGE = 'Digest realm="trunk.example", nonce="{}", algorithm=MD5, qop="auth"{}'
OURS_TO_USE = Credentials("campaign", "made-up")


def tokens() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"us{next(numbers):020d}"


class Script:
    """Our agent alone, and a test that speaks for the far end."""

    def __init__(self, **options: object) -> None:
        self.now = 0.0
        self.us = UserAgent(Options(OURS, (THEIRS[0],), **options), tokens())  # type: ignore[arg-type]

    def call(self) -> str:
        return self.us.invite(CALLEE, CALLER, Session(OURS[0], 4000), THEIRS, self.now)

    def sent(self) -> list[Request | Response]:
        """Everything that left since the last look."""
        return [parse(data) for data, _ in self.us.to_send(self.now)]

    def requests(self) -> list[Request]:
        return [message for message in self.sent() if isinstance(message, Request)]

    def responses(self) -> list[Response]:
        return [message for message in self.sent() if isinstance(message, Response)]

    def reply(
        self,
        request: Request,
        status: int,
        *,
        tag: str = "far",
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> None:
        contact = () if status == 100 else (("Contact", f"<sip:callee@{THEIRS[0]}:5060>"),)
        kind = (("Content-Type", "application/sdp"),) if body else ()
        response = request.respond(status, tag, (*contact, *headers, *kind), body)
        self.us.receive(response.encode(), THEIRS, self.now)

    def events(self) -> list[Event]:
        return list(self.us.events())

    def up(self) -> tuple[str, Response]:
        """A call that was answered and acknowledged, and the INVITE's 200 as we saw it."""
        handle = self.call()
        (invite,) = self.requests()
        ok = invite.respond(200, "far", (("Contact", "<sip:callee@198.51.100.7>"),), ANSWER)
        self.us.receive(ok.encode(), THEIRS, self.now)
        self.sent()
        self.events()
        return handle, ok

    def inside(
        self,
        ok: Response,
        method: str,
        number: int,
        body: bytes = b"",
        *,
        to: str = "",
        kind: str = "",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Request:
        """A request of the far end inside the call."""
        own = (
            ("Via", f"SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKfar{method}{number}"),
            ("From", ok.get("To")),
            ("To", to or ok.get("From")),
            ("Call-ID", ok.call_id),
            ("CSeq", f"{number} {method}"),
            ("Contact", "<sip:callee@198.51.100.7>"),
        )
        typed = (("Content-Type", kind or "application/sdp"),) if body else ()
        request = Request((*own, *headers, *typed), body, method, "sip:us@192.0.2.1")
        self.us.receive(request.encode(), THEIRS, self.now)
        return request
