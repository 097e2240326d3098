"""Whole calls between two user agents, over a wire that a test can cut and by a clock that a test moves."""

from dataclasses import replace

import pytest

from gateway.sip.events import Answered, Changed, Ended, Failed, Incoming, Progress, Ringing, Trying
from gateway.sip.message import Request
from gateway.sip.sdp import Session
from tests.sip.line import OURS, THEIRS, Line, lose_all, lose_first


def test_a_call_rings_is_answered_and_ends_on_both_sides(line: Line) -> None:
    handle = line.call()
    line.them.ring(line.incoming().call, line.now)
    line.run()
    theirs = line.answer()
    line.us.hangup(handle, line.now)
    line.run()

    assert [type(event) for event in line.ours] == [Trying, Ringing, Answered, Ended]
    assert [type(event) for event in line.theirs] == [Incoming, Answered, Ended]
    assert line.ours[-1] == Ended(handle, "us", 200)
    assert line.theirs[-1] == Ended(theirs, "them", 200)


def test_a_finished_call_leaves_nothing_behind(line: Line) -> None:
    handle = line.call()
    line.answer()
    line.us.hangup(handle, line.now)
    line.run()
    line.until(60.0)

    assert (line.us.calls, line.us.transactions, line.us.next_deadline()) == (0, 0, None)
    assert (line.them.calls, line.them.transactions, line.them.next_deadline()) == (0, 0, None)


@pytest.mark.parametrize(
    ("kind", "ours"),
    [("INVITE", True), ("100", False), ("200", False), ("ACK", True), ("BYE", True)],
)
def test_a_call_survives_the_loss_of_any_one_message(line: Line, kind: str, ours: bool) -> None:
    line.loses = lose_first(kind, ours=ours)
    handle = line.call()
    line.until(1.0)
    line.answer()
    line.until(2.0)
    line.us.hangup(handle, line.now)
    line.until(4.0)

    assert isinstance(line.ours[-2], Answered)
    assert line.ours[-1] == Ended(handle, "us", 200)
    assert [type(event) for event in line.theirs] == [Incoming, Answered, Ended]


def test_the_2xx_is_sent_again_until_its_ack_comes_and_then_no_more(line: Line) -> None:
    line.loses = lambda ours, message: (
        ours and isinstance(message, Request) and message.method == "ACK" and line.now < 3
    )
    line.call()
    line.answer()
    line.until(20.0)

    assert len(line.responses(200)) == 4  # at 0, 0.5, 1.5 and 3.5 s
    assert len(line.requests("ACK")) == 4
    assert isinstance(line.theirs[-1], Answered)


def test_a_call_whose_ack_never_comes_is_ended_after_64_t1(line: Line) -> None:
    line.loses = lambda ours, message: ours and isinstance(message, Request) and message.method == "ACK"
    handle = line.call()
    theirs = line.answer()
    line.until(40.0)

    assert line.theirs[-1] == Ended(theirs, "timeout", 408)
    assert line.ours[-1] == Ended(handle, "them", 200)


def test_a_busy_far_end_is_told_and_acknowledged_with_its_tag(line: Line) -> None:
    handle = line.call()
    line.them.reject(line.incoming().call, 486, line.now)
    line.run()

    assert line.ours[-1] == Failed(handle, 486, "Busy Here")
    (ack,) = line.requests("ACK")
    (busy,) = line.responses(486)
    assert ack.to.tag == busy.to.tag != ""
    assert ack.via.branch == line.requests("INVITE")[0].via.branch


def test_a_far_end_that_says_nothing_fails_after_64_t1_and_seven_invites(line: Line) -> None:
    line.loses = lose_all
    handle = line.call()
    line.until(40.0)

    assert line.ours == [Failed(handle, 408, "no response", local=True, in_doubt=True)]
    assert len(line.requests("INVITE")) == 7  # RFC 3261, 17.1.1.2: at 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s
    assert line.us.transactions == 0


def test_cancel_ends_a_ringing_call_on_both_sides(line: Line) -> None:
    handle = line.call()
    line.them.ring(line.incoming().call, line.now)
    line.run()
    line.us.hangup(handle, line.now)
    line.run()

    assert line.ours[-1] == Failed(handle, 487, "Request Terminated")
    assert line.theirs[-1] == Failed(line.incoming().call, 487, "cancelled by the caller")


def test_cancel_waits_for_the_first_provisional_response(line: Line) -> None:
    line.loses = lambda _ours, _message: line.now < 0.4
    handle = line.call()
    line.us.hangup(handle, line.now)
    line.run()
    assert not line.requests("CANCEL")

    line.until(1.0)

    assert len(line.requests("CANCEL")) == 1
    assert line.ours[-1] == Failed(handle, 487, "Request Terminated")


def test_an_answer_that_crosses_the_cancel_is_acknowledged_and_hung_up(line: Line) -> None:
    line.loses = lambda _ours, message: isinstance(message, Request) and message.method == "CANCEL"
    handle = line.call()
    line.us.hangup(handle, line.now)
    theirs = line.answer()

    assert line.ours[-1] == Failed(handle, 487, "answered while being cancelled", local=True)
    assert line.theirs[-1] == Ended(theirs, "them", 200)
    assert len(line.requests("ACK")) == len(line.requests("BYE")) == 1


def test_a_cancel_that_is_ignored_gives_up_after_64_t1(line: Line) -> None:
    handle = line.call()
    line.loses = lose_all
    line.us.hangup(handle, line.now)
    line.until(40.0)

    assert line.ours[-1] == Failed(handle, 487, "cancelled", local=True)
    assert line.us.calls == line.us.transactions == 0


def test_a_bye_that_nobody_answers_ends_the_call_after_64_t1(line: Line) -> None:
    handle = line.call()
    line.answer()
    line.loses = lose_all
    line.us.hangup(handle, line.now)
    line.until(40.0)

    assert line.ours[-1] == Ended(handle, "us", 408)


def test_byes_that_cross_end_the_call_once_on_each_side(line: Line) -> None:
    handle = line.call()
    theirs = line.answer()
    line.us.hangup(handle, line.now)
    line.them.hangup(theirs, line.now)
    line.run()

    assert [type(event) for event in line.ours].count(Ended) == 1
    assert [type(event) for event in line.theirs].count(Ended) == 1


def test_a_callee_that_hangs_up_before_the_ack_waits_for_it(line: Line) -> None:
    line.loses = lose_first("ACK", ours=True)
    line.call()
    theirs = line.answer()
    line.them.hangup(theirs, line.now)
    line.run()
    assert not line.requests("BYE", ours=False)

    line.until(1.0)

    assert len(line.requests("BYE", ours=False)) == 1
    assert line.theirs[-1] == Ended(theirs, "us", 200)


def test_an_inbound_call_that_nobody_takes_is_refused_in_the_end(line: Line) -> None:
    handle = line.call()
    line.until(181.0)

    assert line.ours[-1] == Failed(handle, 480, "Temporarily Unavailable")


def test_early_media_is_told_once(line: Line) -> None:
    line.call()
    early = Session(THEIRS[0], 6000)
    for _ in range(2):
        line.them.ring(line.incoming().call, line.now, early)
        line.run()

    (progress,) = [event for event in line.ours if isinstance(event, Progress)]
    assert progress.media.port == 6000


def test_tags_call_ids_and_branches_differ_from_call_to_call(line: Line) -> None:
    line.call()
    line.call()
    first, second = line.requests("INVITE")

    assert first.call_id != second.call_id
    assert first.from_.tag != second.from_.tag
    assert first.via.branch != second.via.branch


def test_an_invite_without_an_offer_gets_ours_and_its_answer_comes_in_the_ack(line: Line) -> None:
    line.call()
    invite = line.requests("INVITE")[0]
    bare = replace(
        invite,
        headers=tuple((name, value.replace("us0", "xx0")) for name, value in invite.headers if name != "Content-Type"),
        body=b"",
    )
    line.them.receive(bare.encode(), OURS, line.now)
    line.run()
    late = [event for event in line.theirs if isinstance(event, Incoming)][-1]
    assert late.offer is None
    line.them.accept(late.call, Session(THEIRS[0], 6000), line.now)
    line.run()
    ok = line.responses(200)[-1]
    ack = Request(
        (
            ("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKack"),
            ("From", ok.get("From")),
            ("To", ok.get("To")),
            ("Call-ID", ok.call_id),
            ("CSeq", "1 ACK"),
        ),
        Session(OURS[0], 4444).encode(),
        "ACK",
        ok.contact,
    )
    line.them.receive(ack.encode(), OURS, line.now)
    line.run()

    answered = line.theirs[-1]
    assert isinstance(answered, Answered)
    assert (answered.call, answered.media.port) == (late.call, 4444)
    assert not any(isinstance(event, Changed) for event in line.theirs)
