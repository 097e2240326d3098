"""Our user agent as the caller, against a far end that a test speaks for: what it follows and what not."""

import pytest

from gateway.errors.sip import BadSipMessage, UnsafeSipValue
from gateway.sip.events import Answered, Failed
from gateway.sip.sdp import Session
from tests.sip.script import ANSWER, CALLEE, CALLER, OURS, THEIRS, Script

# --- after the answer


def test_the_ack_goes_to_the_contact_with_the_far_ends_tag(script: Script) -> None:
    script.call()
    (invite,) = script.requests()
    script.reply(invite, 200, tag="chosen", body=ANSWER)
    (ack,) = script.requests()

    assert (ack.method, ack.uri, ack.to.tag) == ("ACK", "sip:callee@198.51.100.7:5060", "chosen")
    assert ack.cseq == (1, "ACK")
    assert ack.via.branch != invite.via.branch


def test_a_contact_that_sip_cannot_reach_is_not_followed(script: Script) -> None:
    script.call()
    (invite,) = script.requests()
    ok = invite.respond(200, "far", (("Contact", "<tel:+19005550100>"), ("Content-Type", "application/sdp")), ANSWER)
    script.us.receive(ok.encode(), THEIRS, script.now)
    (ack,) = script.requests()

    assert ack.uri == invite.uri


def test_routes_are_reversed_and_loose_hops_keep_the_contact_in_the_request_line(script: Script) -> None:
    handle = script.call()
    (invite,) = script.requests()
    recorded = (
        ("Record-Route", "<sip:far.example;lr>"),
        ("Record-Route", "<sip:198.51.100.7:5070;lr>, <sip:near.example;lr>"),
    )
    script.reply(invite, 200, headers=recorded, body=ANSWER)
    script.us.hangup(handle, script.now)

    for request in script.requests():
        assert request.uri == "sip:callee@198.51.100.7:5060"
        assert request.values("Route") == [
            "<sip:near.example;lr>",
            "<sip:198.51.100.7:5070;lr>",
            "<sip:far.example;lr>",
        ]


def test_requests_go_to_the_first_route_if_it_is_a_peer_and_else_back_to_where_the_answer_came_from(
    script: Script,
) -> None:
    for route, destination in (
        ("<sip:198.51.100.7:5070;lr>", ("198.51.100.7", 5070)),
        ("<sip:203.0.113.66:5060;lr>", THEIRS),  # a stranger: never
        ("<sip:name.example;lr>", THEIRS),
    ):
        script.call()
        (invite,) = script.requests()
        script.reply(invite, 200, headers=(("Record-Route", route),), body=ANSWER)
        ((_, hop),) = list(script.us.to_send(script.now))
        assert hop.address == destination


def test_a_strict_first_hop_takes_the_request_line_and_the_contact_goes_last(script: Script) -> None:
    script.call()
    (invite,) = script.requests()
    script.reply(invite, 200, headers=(("Record-Route", "<sip:far.example;lr>, <sip:198.51.100.7:5070>"),), body=ANSWER)
    (ack,) = script.requests()

    assert ack.uri == "sip:198.51.100.7:5070"
    assert ack.values("Route") == ["<sip:far.example;lr>", "<sip:callee@198.51.100.7:5060>"]


def test_of_a_forked_answer_the_first_wins_and_the_others_are_released(script: Script) -> None:
    handle = script.call()
    (invite,) = script.requests()
    script.reply(invite, 200, tag="one", body=ANSWER)
    script.reply(invite, 200, tag="two", body=ANSWER)
    sent = [(request.method, request.to.tag) for request in script.requests()]

    assert sent == [("ACK", "one"), ("ACK", "two"), ("BYE", "two")]
    assert [event.call for event in script.events() if isinstance(event, Answered)] == [handle]
    assert script.us.calls == 1


def test_a_repeated_2xx_is_acknowledged_again_with_the_same_ack(script: Script) -> None:
    script.call()
    (invite,) = script.requests()
    script.reply(invite, 200, body=ANSWER)
    first = list(script.us.to_send(script.now))
    script.reply(invite, 200, body=ANSWER)

    assert list(script.us.to_send(script.now)) == first


@pytest.mark.parametrize("body", [b"", b"v=0\r\n", Session(THEIRS[0], 0).encode()], ids=["none", "broken", "refused"])
def test_an_answer_without_usable_media_is_acknowledged_and_hung_up(script: Script, body: bytes) -> None:
    handle = script.call()
    (invite,) = script.requests()
    script.reply(invite, 200, body=body)

    assert [request.method for request in script.requests()] == ["ACK", "BYE"]
    assert script.events()[-1] == Failed(handle, 488, "no usable media", local=True)


# --- values from our own callers


@pytest.mark.parametrize(
    ("to", "display", "headers"),
    [
        (CALLEE, "Water\r\nX: y", ()),
        (CALLEE, "", (("X-Job", "1\r\nTo: x"),)),
        (CALLEE, "", (("X-Job\r\nTo", "x"),)),
        (CALLEE, "", (("Contact", "<sip:x@y>"),)),
        ("sip:x@y\r\nTo: z", "", ()),
        ("sip:x@y>;tag=1", "", ()),
        ("tel:+12125551234", "", ()),
    ],
)
def test_no_value_of_a_caller_can_add_a_header(
    script: Script, to: str, display: str, headers: tuple[tuple[str, str], ...]
) -> None:
    with pytest.raises((UnsafeSipValue, BadSipMessage)):
        script.us.invite(to, CALLER, Session(OURS[0], 4000), THEIRS, 0.0, display=display, headers=headers)

    assert script.sent() == []
    assert script.us.calls == 0


def test_names_with_quotes_and_further_headers_arrive_as_given(script: Script) -> None:
    script.us.invite(
        CALLEE,
        CALLER,
        Session(OURS[0], 4000),
        THEIRS,
        0.0,
        display='City "Water" \\ Ünit',
        headers=(("X-Job", "a, b"),),
    )
    (invite,) = script.requests()

    assert invite.from_.display == 'City "Water" \\ Ünit'
    assert invite.get("X-Job") == "a, b"
