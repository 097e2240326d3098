"""Session timers (RFC 4028) between two of our agents, by a clock that a test moves; and the crossing of offers."""

from typing import Any

import pytest

from gateway.sip.events import Changed, Ended, Failed
from gateway.sip.hop import Hop
from gateway.sip.message import Request, Response
from gateway.sip.sdp import Session
from gateway.sip.session_timer import SessionLimits
from tests.sip.line import Line, lose_all
from tests.sip.script import ANSWER, THEIRS, Script


def up(**options: Any) -> Line:
    line = Line(**options)
    line.call()
    line.answer()
    return line


def refreshing(expires: str, **headers: str) -> tuple[Script, str]:
    """A call of ours whose far end agreed to a session timer."""
    script = Script()
    handle = script.call()
    (invite,) = script.requests()
    more = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    script.reply(invite, 200, headers=(("Session-Expires", expires), ("Require", "timer"), *more), body=ANSWER)
    script.requests()
    script.events()
    return script, handle


def test_both_ends_keep_a_call_alive_with_updates_at_half_its_life() -> None:
    line = up()
    invite, ok = line.requests("INVITE")[0], line.responses(200)[0]
    assert invite.get("Session-Expires") == "1800"
    assert (ok.get("Session-Expires"), ok.values("Require")) == ("1800;refresher=uac", ["timer"])
    line.until(899)
    assert line.requests("UPDATE") == []
    line.until(5000)

    assert len(line.requests("UPDATE")) == 5
    assert line.us.calls == line.them.calls == 1
    assert not any(isinstance(event, Ended) for event in line.ours)


def test_a_far_end_that_vanished_ends_the_call_when_it_is_refreshed() -> None:
    line = up()
    (handle,) = line.us.handles()
    line.loses = lose_all
    line.until(900 + 33)

    assert line.ours[-1] == Ended(handle, "timeout", 408)
    assert line.us.calls == 0


def test_a_caller_whose_refreshes_stop_is_released_before_its_session_expires() -> None:
    line = up()
    line.loses = lambda ours, _: ours
    line.until(1800 - 33)
    assert line.them.calls == 1
    line.until(1800 - 31)

    assert line.them.calls == 0
    assert isinstance(line.theirs[-1], Ended)
    assert line.theirs[-1].by == "timeout"


def test_without_a_timer_nothing_is_refreshed() -> None:
    line = up(session=SessionLimits(expires=0))
    line.until(10_000)

    assert line.requests("UPDATE") == line.requests("UPDATE", ours=False) == []
    assert line.us.next_deadline() is None


def test_a_far_end_that_refreshes_is_waited_for() -> None:
    script, handle = refreshing("300;refresher=uas")
    script.now = 267.0
    assert script.requests() == []
    script.now = 268.0  # 300 - 32
    assert [request.method for request in script.requests()] == ["BYE"]

    assert script.events() == [Ended(handle, "timeout", 408)]


def test_a_far_end_without_update_is_refreshed_by_a_re_invite_that_changes_nothing() -> None:
    script, handle = refreshing("300;refresher=uac", Allow="INVITE, ACK, BYE")
    script.now = 150.0
    (again,) = script.requests()
    assert (again.method, again.cseq) == ("INVITE", (2, "INVITE"))
    assert again.body == Session("192.0.2.1", 4000).encode()
    assert again.get("Session-Expires") == "1800;refresher=uac"
    script.reply(again, 200, headers=(("Session-Expires", "300;refresher=uac"),), body=ANSWER)
    script.reply(again, 200, headers=(("Session-Expires", "300;refresher=uac"),), body=ANSWER)
    assert [(ack.method, ack.cseq[0]) for ack in script.requests()] == [("ACK", 2), ("ACK", 2)]
    assert isinstance(script.events()[0], Changed)
    script.now = 299.0

    assert script.requests() == []
    assert script.us.handles() == (handle,)


def test_a_far_end_that_knows_no_update_after_all_gets_a_re_invite() -> None:
    script, _ = refreshing("300;refresher=uac")
    script.now = 150.0
    (update,) = script.requests()
    script.reply(update, 501)

    assert [request.method for request in script.requests()] == ["INVITE"]


@pytest.mark.parametrize("status", [408, 481])
def test_a_far_end_that_lost_the_call_ends_it(status: int) -> None:
    script, handle = refreshing("300;refresher=uac")
    script.now = 150.0
    (update,) = script.requests()
    script.reply(update, status)

    assert script.events() == [Ended(handle, "timeout", status)]


def test_refreshes_that_crossed_are_tried_again_after_a_pause_of_the_one_who_placed_the_call() -> None:
    script, _ = refreshing("300;refresher=uac")
    script.now = 150.0
    (update,) = script.requests()
    script.reply(update, 491)
    script.now = 152.0
    assert script.requests() == []
    script.now = 154.0

    assert [request.method for request in script.requests()] == ["UPDATE"]


def test_an_invite_whose_timer_is_too_short_is_sent_again_with_what_was_wanted() -> None:
    script = Script(session=SessionLimits(expires=90))
    script.call()
    (invite,) = script.requests()
    script.reply(invite, 422, headers=(("Min-SE", "600"),))
    ack, again = script.requests()

    assert (ack.method, again.method, again.cseq[0]) == ("ACK", "INVITE", 2)
    assert (again.get("Session-Expires"), again.get("Min-SE")) == ("600", "600")
    assert again.call_id == invite.call_id


def test_a_far_end_that_wants_ever_more_is_left() -> None:
    script = Script()
    script.call()
    for seconds in ("2000", "3000", "4000", "5000"):
        *_, invite = script.requests()
        script.reply(invite, 422, headers=(("Min-SE", seconds),))

    (failed,) = (event for event in script.events() if isinstance(event, Failed))
    assert failed.status == 422


def test_a_caller_whose_timer_is_too_short_is_told_our_minimum() -> None:
    line = Line(session=SessionLimits(expires=60, minimum=60))
    line.call()
    incoming = line.incoming()
    assert incoming.offer is not None
    line.them.accept(incoming.call, Session(THEIRS[0], 6000), line.now)
    line.run()

    (refused,) = line.responses(422)
    assert refused.get("Min-SE") == "90"
    assert [invite.get("Session-Expires") for invite in line.requests("INVITE")] == ["60", "90"]


@pytest.mark.parametrize(("allow", "method"), [("UPDATE", "UPDATE"), ("INVITE, ACK, BYE", "INVITE")])
def test_a_refresh_whose_connection_breaks_is_asked_again_and_ends_no_call(allow: str, method: str) -> None:
    script, _ = refreshing("300;refresher=uac", Allow=allow)
    script.now = 150.0
    assert [request.method for request in script.requests()] == [method]
    script.us.broken(Hop(*THEIRS), script.now)
    script.now = 160.0
    (again,) = [request for request in script.requests() if request.cseq[0] > 2]
    script.reply(again, 200, headers=(("Session-Expires", "300;refresher=uac"),), body=ANSWER)
    script.now = 190.0  # timer B of the first
    script.sent()

    assert not [event for event in script.events() if isinstance(event, Ended)]


# --- offers that cross


def asked(script: Script, ok: Response, method: str, number: int, body: bytes) -> Response:
    script.inside(ok, method, number, body)
    return script.responses()[-1]


def test_an_offer_that_crosses_a_re_invite_of_ours_gets_491() -> None:
    script, _ = refreshing("300;refresher=uac", Allow="INVITE, ACK, BYE")
    script.now = 150.0
    (again,) = script.requests()
    ok = again.respond(200, "far")

    assert asked(script, ok, "INVITE", 1, ANSWER).status == 491
    assert asked(script, ok, "UPDATE", 2, ANSWER).status == 491
    assert asked(script, ok, "UPDATE", 3, b"").status == 200  # no offer: nothing crosses


def test_an_offer_before_the_answer_gets_491_and_after_a_reliable_answer_200() -> None:
    script = Script()
    script.call()
    (invite,) = script.requests()
    script.reply(invite, 180)
    ok = invite.respond(200, "far")
    assert asked(script, ok, "UPDATE", 1, ANSWER).status == 491
    script.reply(invite, 183, headers=(("Require", "100rel"), ("RSeq", "1")), body=ANSWER)
    script.requests()
    moved = Session(THEIRS[0], 7000).encode()

    assert asked(script, ok, "UPDATE", 2, moved).status == 200
    assert [event.media.port for event in script.events() if isinstance(event, Changed)] == [7000]


def test_an_offer_while_theirs_waits_for_our_answer_gets_500_and_a_time_to_come_back() -> None:
    line = Line()
    line.them.invite(
        "sip:+18005550199@192.0.2.1", "sip:x@198.51.100.7", Session(THEIRS[0], 6000), ("192.0.2.1", 5060), 0
    )
    line.run()
    (incoming,) = line.ours
    line.us.ring(incoming.call, 0.0)
    line.run()
    (ringing,) = line.responses(180, ours=True)
    (invite,) = line.requests("INVITE", ours=False)
    headers = tuple(header for header in invite.headers if header[0] not in {"Via", "To", "CSeq", "Supported"})
    more = (("Via", "SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKup"), ("To", ringing.get("To")), ("CSeq", "2 UPDATE"))
    line.us.receive(Request((*more, *headers), ANSWER, "UPDATE", invite.uri).encode(), THEIRS, 0.0)
    line.run()

    (refused,) = line.responses(500, ours=True)
    assert 0 <= int(refused.get("Retry-After")) <= 10
