"""Provisional responses that must arrive, and their PRACKs, on both sides (RFC 3262)."""

import re
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from gateway.sip.alarms import Alarm
from gateway.sip.context import Context
from gateway.sip.message import Request, Response
from gateway.sip.transaction import Transaction

RSEQ = re.compile(r"[0-9]{1,10}\Z")
RACK = re.compile(r"([0-9]{1,10})\s+([0-9]{1,10})\s+(\S+)\Z")
FIRST_RSEQ_BELOW = 1 << 31  # section 3


def sequence_of(response: Response) -> int | None:
    """Return the RSeq of a provisional response that wants a PRACK, None for any other."""
    if "100rel" not in response.values("Require") or not 100 < response.status < 200:
        return None
    value = response.get("RSeq")
    return int(value) if RSEQ.match(value) and int(value) > 0 else None


class Provisionals:
    """The reliable provisional responses of one inbound call: sent again until each is acknowledged, one at a time.

    given_up: called with `now` where no PRACK came for 64 T1.
    """

    def __init__(self, context: Context, invite: Transaction, given_up: Callable[[float], None]) -> None:
        self._context = context
        self._invite = invite
        self._given_up = given_up
        self._next = 1 + int(context.dice() * (FIRST_RSEQ_BELOW - 2))
        self._waiting: deque[Response] = deque()
        self._sent: tuple[int, Response] | None = None
        self._resend: Alarm | None = None
        self._until = 0.0

    @property
    def is_describing(self) -> bool:
        """True while a session description of ours waits for its PRACK: no 2xx may overtake it (section 3)."""
        return any(
            response.body for response in (*self._waiting, *(self._sent or ())[1:]) if isinstance(response, Response)
        )

    def send(self, response: Response, now: float) -> None:
        """Send a provisional response, once those before it were acknowledged."""
        self._waiting.append(response)
        self._advance(now)

    def acknowledge(self, prack: Request, now: float) -> bool:
        """Take a PRACK. False where it acknowledges nothing that waits."""
        match = RACK.match(prack.get("RAck"))
        number, _ = self._invite.request.cseq
        if match is None or self._sent is None:
            return False
        if (int(match[1]), int(match[2]), match[3]) != (self._sent[0], number, "INVITE"):
            return False
        self.stop(keep=True)
        self._advance(now)
        return True

    def stop(self, *, keep: bool = False) -> None:
        """Send nothing again; unless `keep`, what waits is never sent."""
        if self._resend is not None:
            self._resend.cancel()
        self._resend = self._sent = None
        if not keep:
            self._waiting.clear()

    def _advance(self, now: float) -> None:
        if self._sent is not None or not self._waiting:
            return
        response = self._waiting.popleft()
        response = replace(response, headers=(*response.headers, ("Require", "100rel"), ("RSeq", str(self._next))))
        self._sent = self._next, response
        self._next += 1
        self._until = now + self._context.options.timers.limit
        self._context.transactions.respond(self._invite, response, now)
        self._again_after(self._context.options.timers.t1, now)

    def _again_after(self, interval: float, now: float) -> None:
        def again(then: float) -> None:
            if then >= self._until:
                self.stop()
                self._given_up(then)
                return
            self._context.transactions.repeat(self._invite)
            self._again_after(2 * interval, then)

        self._resend = self._context.alarms.at(min(now + interval, self._until), again)
