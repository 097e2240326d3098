"""Provisional responses that must arrive (RFC 3262): our PRACKs, and theirs."""

from gateway.sip.events import Answered, Failed, Progress
from gateway.sip.message import Request
from gateway.sip.sdp import Session, answer
from tests.sip.line import CALLEE, CALLER, OURS, Line
from tests.sip.script import ANSWER, THEIRS, Script


def reliable(number: int) -> tuple[tuple[str, str], ...]:
    return ("Require", "100rel"), ("RSeq", str(number))


# --- we place the call


def test_a_reliable_response_is_acknowledged_once_and_in_order(script: Script) -> None:
    script.call()
    (invite,) = script.requests()
    script.reply(invite, 180, headers=reliable(7))
    script.reply(invite, 180, headers=reliable(7))
    (prack,) = script.requests()
    assert (prack.method, prack.get("RAck"), prack.cseq) == ("PRACK", "7 1 INVITE", (2, "PRACK"))
    assert prack.to.tag == "far"

    script.reply(invite, 183, headers=reliable(9))  # the eighth was lost
    assert script.requests() == []
    script.reply(invite, 183, headers=reliable(8))
    (prack,) = script.requests()
    assert (prack.get("RAck"), prack.cseq) == ("8 1 INVITE", (3, "PRACK"))


def test_each_branch_of_a_fork_counts_for_itself(script: Script) -> None:
    script.call()
    (invite,) = script.requests()
    for tag in ("one", "other"):
        script.reply(invite, 180, tag=tag, headers=reliable(1))
        (prack,) = script.requests()
        assert (prack.to.tag, prack.cseq[0]) == (tag, 2)


def test_requests_after_the_answer_are_numbered_above_the_pracks(script: Script) -> None:
    handle = script.call()
    (invite,) = script.requests()
    script.reply(invite, 183, headers=reliable(1), body=ANSWER)
    script.reply(invite, 200, body=ANSWER)
    script.requests()
    script.us.hangup(handle, script.now)
    (bye,) = script.requests()

    assert (bye.method, bye.cseq[0]) == ("BYE", 3)


def test_a_description_that_came_reliably_is_the_answer(script: Script) -> None:
    """RFC 3262, section 5: what a later response describes changes nothing."""
    script.call()
    (invite,) = script.requests()
    script.reply(invite, 183, headers=reliable(1), body=ANSWER)
    script.reply(invite, 200, body=Session(THEIRS[0], 7000).encode())

    progress, answered = (event for event in script.events() if isinstance(event, Progress | Answered))
    assert progress.media == answered.media
    assert answered.media.port == 6000


def test_a_response_that_asks_for_no_prack_gets_none(script: Script) -> None:
    script.call()
    (invite,) = script.requests()
    for headers in ((), (("RSeq", "1"),), (("Require", "100rel"),), (("Require", "100rel"), ("RSeq", "x"))):
        script.reply(invite, 180, headers=headers)

    assert script.requests() == []


def test_what_rings_without_end_is_bounded(script: Script) -> None:
    script.call()
    (invite,) = script.requests()
    for number in range(100):
        script.reply(invite, 180, tag=f"far{number}", headers=reliable(1))

    assert len(script.requests()) == 16


# --- we are called


class Called(Line):
    """The far end calls us and wants its provisional responses to be certain."""

    def __init__(self) -> None:
        super().__init__()
        self.handle = self._call()

    def _call(self) -> str:
        self.them.invite(CALLER, CALLEE, Session(THEIRS[0], 6000), OURS, self.now)
        ((data, _),) = list(self.them.to_send(self.now))
        self.us.receive(data.replace(b"\r\nSupported:", b"\r\nRequire: 100rel\r\nSupported:"), THEIRS, self.now)
        self.run()
        (incoming,) = self.ours
        return incoming.call

    def early(self) -> Session:
        (incoming,) = self.ours
        return answer(incoming.offer, Session(OURS[0], 4000))  # type: ignore[union-attr]


def test_a_caller_that_demands_it_acknowledges_our_ringing() -> None:
    line = Called()
    line.us.ring(line.handle, line.now)
    line.run()
    line.until(20)

    (ringing,) = line.responses(180, ours=True)
    assert ringing.values("Require") == ["100rel"]
    (prack,) = line.requests("PRACK", ours=False)
    assert prack.get("RAck").split() == [ringing.get("RSeq"), "1", "INVITE"]


def test_a_provisional_response_that_was_lost_is_sent_again() -> None:
    line = Called()
    line.loses = lambda ours, _: ours and line.now < 1.4
    line.us.ring(line.handle, line.now)
    line.until(20)

    assert len(line.responses(180, ours=True)) == 3  # at 0, 0.5 and 1.5 s
    assert len(line.requests("PRACK", ours=False)) == 1


def test_a_caller_that_never_acknowledges_is_refused() -> None:
    line = Called()
    line.loses = lambda _, message: isinstance(message, Request) and message.method == "PRACK"
    line.us.ring(line.handle, line.now)
    line.until(60)

    assert line.ours[-1] == Failed(line.handle, 504, "refused by us", local=True)
    assert line.us.transactions == 0


def test_the_answer_waits_for_the_acknowledgement_of_what_was_described_before() -> None:
    line = Called()
    line.loses = lambda _, message: isinstance(message, Request) and message.method == "PRACK" and line.now < 3
    line.us.ring(line.handle, line.now, line.early())
    line.us.accept(line.handle, line.early(), line.now)
    line.until(2.9)
    assert [response for response in line.responses(200, ours=True) if response.cseq[1] == "INVITE"] == []
    line.until(5)

    assert [type(event) for event in line.ours][-1] is Answered


def test_a_second_response_waits_for_the_first() -> None:
    line = Called()
    line.us.ring(line.handle, line.now)
    line.us.ring(line.handle, line.now, line.early())
    line.run()

    (first,), (second,) = line.responses(180, ours=True), line.responses(183, ours=True)
    assert int(second.get("RSeq")) == int(first.get("RSeq")) + 1
    assert len(line.requests("PRACK", ours=False)) == 2


def test_a_prack_of_nothing_is_refused() -> None:
    line = Called()
    line.us.ring(line.handle, line.now)
    line.run()
    (prack,) = line.requests("PRACK", ours=False)
    stale = prack.encode().replace(b"branch=", b"branch=z9hG4bKx").replace(b"CSeq: 2", b"CSeq: 3")
    line.us.receive(stale, THEIRS, line.now)
    line.run()

    assert [response.cseq[1] for response in line.responses(481, ours=True)] == ["PRACK"]
