"""SIP messages into a user agent with calls in every state, and time that passes."""

from itertools import count

from gateway.sip.digest import Credentials
from gateway.sip.events import Incoming
from gateway.sip.message import Request, check, parse
from gateway.sip.options import Options
from gateway.sip.sdp import Session, answer
from gateway.sip.user_agent import UserAgent

OURS = ("192.0.2.1", 5060)
THEIRS = ("198.51.100.7", 5060)
CHALLENGE = ("Proxy-Authenticate", 'Digest realm="trunk.example", nonce="1", algorithm=MD5, qop="auth"')


class World:
    """Our agent and a far end, whose tokens are the same each time they are made."""

    def __init__(self) -> None:
        numbers = count(1)

        def token() -> str:
            return f"t{next(numbers):020d}"

        self.ours = UserAgent(Options(OURS, (THEIRS[0],), Credentials("campaign", "made-up")), token)
        self.theirs = UserAgent(Options(THEIRS, None), token)
        self.heard: list[bytes] = []  # every datagram that the far end sent us
        self._converse()

    def _carry(self) -> None:
        for _ in range(4):
            for data, _ in self.ours.to_send(0.0):
                self.theirs.receive(data, OURS, 0.0)
            for data, _ in self.theirs.to_send(0.0):
                self.heard.append(data)
                self.ours.receive(data, THEIRS, 0.0)

    def _converse(self) -> None:
        """One call up, one ringing, one challenged, one that came in."""
        for state in ("up", "ringing", "challenged"):
            self.ours.invite(
                "sip:+12125551234@198.51.100.7", "sip:+18005550199@192.0.2.1", Session(OURS[0], 4000), THEIRS, 0.0
            )
            self._carry()
            incoming = next(event for event in self.theirs.events() if isinstance(event, Incoming))
            self._play(state, incoming)
        self.theirs.invite("sip:+18005550199@192.0.2.1", "sip:+12125551234@198.51.100.7", Session(*THEIRS), OURS, 0.0)
        self._carry()

    def _play(self, state: str, incoming: Incoming) -> None:
        if state == "challenged":
            self.theirs.reject(incoming.call, 407, 0.0, (CHALLENGE,))
            self._carry()
            return
        self.theirs.ring(incoming.call, 0.0)
        if state == "up" and incoming.offer is not None:
            self.theirs.accept(incoming.call, answer(incoming.offer, Session(THEIRS[0], 6000)), 0.0)
            self._carry()
            self.theirs.hangup(incoming.call, 0.0)
            bye = next(data for data, _ in self.theirs.to_send(0.0))
            methods = (b"BYE", b"INVITE", b"UPDATE", b"INFO", b"OPTIONS", b"PRACK", b"REFER", b"NOTIFY")
            self.heard.extend(bye.replace(b"BYE", method) for method in methods)


class SipTarget:
    """Feeds whole datagrams to the user agent; all that leaves must be SIP again, and nothing may stay behind."""

    refused: tuple[type[Exception], ...] = ()

    def __init__(self) -> None:
        self.seeds = World().heard
        self._fresh()

    def _fresh(self) -> None:
        self._ours, self._now = World().ours, 0.0

    def feed(self, data: bytes) -> None:
        self._now += 0.01
        self._ours.receive(data, THEIRS, self._now)
        for left, address in self._ours.to_send(self._now):
            message = parse(left)
            if isinstance(message, Request):
                check(message)
                assert address[0] == THEIRS[0], "a request to a stranger"
        for event in self._ours.events():
            if isinstance(event, Incoming):
                self._ours.ring(event.call, self._now)

    def settle(self) -> None:
        """Hang everything up; after a minute no call and no transaction may be left."""
        for call in self._ours.handles():
            self._ours.hangup(call, self._now)
        for _ in range(1_000):
            self._now += 1.0
            list(self._ours.to_send(self._now))
            list(self._ours.events())
            if not self._ours.transactions and not self._ours.calls:
                break
        assert not self._ours.calls, f"{self._ours.calls} calls stay"
        assert not self._ours.transactions, f"{self._ours.transactions} transactions stay"
        self._fresh()
