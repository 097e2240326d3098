"""What the far end asks inside a call that is up: other media, a sign of life, its end."""

from gateway.sip.events import Changed, Ended, Info
from gateway.sip.message import Request, Response
from gateway.sip.sdp import Session
from tests.sip.script import ANSWER, THEIRS, Script


def test_a_reinvite_that_puts_us_on_hold_and_moves_the_media_is_agreed_to(script: Script) -> None:
    handle, ok = script.up()
    held = Session(THEIRS[0], 6100, direction="sendonly").encode()
    script.inside(ok, "INVITE", 1, held)
    (response,) = script.responses()

    assert (response.status, b"a=recvonly" in response.body) == (200, True)
    (changed,) = script.events()
    assert isinstance(changed, Changed)
    assert (changed.call, changed.media.port, changed.media.sends, changed.media.hears) == (handle, 6100, False, True)


def test_a_reinvite_that_we_cannot_follow_is_refused_and_the_call_goes_on(script: Script) -> None:
    handle, ok = script.up()
    script.inside(
        ok, "INVITE", 1, ANSWER.replace(b"PCM", b"XXX").replace(b"AVP 0 8", b"AVP 97 98").replace(b":0 ", b":97 ")
    )

    assert [response.status for response in script.responses()] == [488]
    script.us.hangup(handle, script.now)
    assert [request.method for request in script.requests()] == ["BYE"]


def test_a_reinvite_without_an_offer_gets_one_and_the_ack_brings_the_answer(script: Script) -> None:
    handle, ok = script.up()
    script.inside(ok, "INVITE", 1)
    (response,) = script.responses()
    assert b"m=audio 4000 RTP/AVP 0 8 101" in response.body
    assert b"o=- 1 2 IN" in response.body

    script.inside(ok, "ACK", 1, Session(THEIRS[0], 6200).encode())

    (changed,) = script.events()
    assert isinstance(changed, Changed)
    assert (changed.call, changed.media.port) == (handle, 6200)
    script.now = 10.0
    assert script.sent() == []


def test_options_info_and_update_inside_a_call_are_answered(script: Script) -> None:
    handle, ok = script.up()
    script.inside(ok, "OPTIONS", 1)
    script.inside(ok, "INFO", 2, b"Signal=5\r\n", kind="application/dtmf-relay")
    script.inside(ok, "UPDATE", 3)

    assert [response.status for response in script.responses()] == [200, 200, 200]
    assert script.events() == [Info(handle, "application/dtmf-relay", b"Signal=5\r\n")]


def test_a_request_that_comes_out_of_order_or_for_no_call_is_refused(script: Script) -> None:
    _, ok = script.up()
    script.inside(ok, "OPTIONS", 5)
    script.inside(ok, "INFO", 4)
    script.inside(ok, "INFO", 6, to="<sip:us@192.0.2.1>;tag=nobody")

    assert [response.status for response in script.responses()] == [200, 500, 481]


def test_a_bye_with_another_tag_than_the_far_ends_does_not_end_the_call(script: Script) -> None:
    _, ok = script.up()
    forged = Response(tuple((n, v.replace("tag=far", "tag=forged")) for n, v in ok.headers), b"", 200, "OK")
    script.inside(forged, "BYE", 9)

    assert [response.status for response in script.responses()] == [481]
    assert script.us.calls == 1


def test_an_unasked_refer_is_refused_and_dials_nobody(script: Script) -> None:
    _, ok = script.up()
    script.inside(ok, "REFER", 1)

    sent = script.sent()
    assert [message.status for message in sent if isinstance(message, Response)] == [405]
    assert not [message for message in sent if isinstance(message, Request)]


def test_a_bye_that_is_only_being_tried_has_not_ended_the_call_yet(script: Script) -> None:
    handle, _ = script.up()
    script.us.hangup(handle, script.now)
    (bye,) = script.requests()
    script.reply(bye, 100)
    assert script.events() == []

    script.reply(bye, 200)
    assert script.events() == [Ended(handle, "us", 200)]
