"""Many calls in a row over a line that loses messages, each ending in another way: in the end nothing is left behind.

`GATEWAY_MANY_CALLS=10000` is the long form, for the night.
"""

import os
from random import Random

from gateway.errors.sip import NoCommonCodec
from gateway.sip.events import LAST, Incoming
from gateway.sip.sdp import Session, answer
from gateway.sip.user_agent import UserAgent
from tests.sip.line import CALLEE, CALLER, OURS, THEIRS, Line

CALLS = int(os.environ.get("GATEWAY_MANY_CALLS", "300"))
ENDINGS = (
    "answered", "answered", "they hang up", "busy", "declined", "redirected", "never rings", "cancelled", "crossed",
    "no codec", "server error", "lost", "early media", "vanishes",
)  # fmt: skip


class Many(Line):
    """Both ends call each other; every ending of `ENDINGS` comes up, and one message in twelve is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.dice = Random(4)
        self.loses = lambda _ours, _message: self.dice.random() < self.loss
        self.loss = 1 / 12
        self.ended: dict[str, int] = {}

    def play(self, ending: str) -> None:
        """Place a call and let it end so."""
        self.loss = 1.0 if ending == "lost" else 1 / 12
        ours = self.dice.random() < 0.7
        caller, callee = (self.us, self.them) if ours else (self.them, self.us)
        to, from_, here, there = (CALLEE, CALLER, OURS, THEIRS) if ours else (CALLER, CALLEE, THEIRS, OURS)
        handle = caller.invite(to, from_, Session(here[0], 4000), there, self.now)
        self.pass_time(3.0)
        heard = self.theirs if ours else self.ours
        incoming = next((event for event in heard if isinstance(event, Incoming)), None)
        if incoming is not None:
            self._answer(ending, callee, incoming, there)
        self.pass_time(2.0)
        if ending in {"cancelled", "crossed", "never rings"}:
            caller.hangup(handle, self.now)
        if ending == "crossed" and incoming is not None and incoming.offer is not None:
            callee.accept(incoming.call, answer(incoming.offer, Session(there[0], 6000)), self.now)
        self.pass_time(40.0)
        if ending == "vanishes":
            self.loss = 1.0
        if ending == "they hang up" and incoming is not None:
            callee.hangup(incoming.call, self.now)
        caller.hangup(handle, self.now)
        self.pass_time(90.0)
        for event in (*self.ours, *self.theirs):
            if isinstance(event, LAST):
                self.ended[event.call] = self.ended.get(event.call, 0) + 1
        self.ours.clear()
        self.theirs.clear()
        self.sent.clear()

    def _answer(self, ending: str, agent: UserAgent, incoming: Incoming, there: tuple[str, int]) -> None:
        refusals = {"busy": 486, "declined": 603, "redirected": 302, "no codec": 488, "server error": 500}
        if ending in refusals:
            agent.reject(incoming.call, refusals[ending], self.now)
            return
        agent.ring(incoming.call, self.now)
        if ending in {"never rings", "cancelled", "crossed", "lost"} or incoming.offer is None:
            return
        try:
            description = answer(incoming.offer, Session(there[0], 6000))
        except NoCommonCodec:
            return
        if ending == "early media":
            agent.ring(incoming.call, self.now, description)
            self.pass_time(1.0)
        agent.accept(incoming.call, description, self.now)

    def pass_time(self, seconds: float) -> None:
        self.until(self.now + seconds)


def test_many_calls_with_every_failure_among_them_leave_nothing_behind() -> None:
    line = Many()
    for number in range(CALLS):
        line.play(ENDINGS[number % len(ENDINGS)])
    line.pass_time(1800.0)  # a far end that never heard the BYE is released by its session timer

    for agent in (line.us, line.them):
        assert agent.calls == 0
        assert agent.transactions == 0
        assert agent.next_deadline() is None
        assert not agent._context.ringing
        assert len(agent._context.alarms) == 0
    assert set(line.ended.values()) == {1}
    assert len(line.ended) >= CALLS
    assert line.us.traffic.resent > CALLS / 10
