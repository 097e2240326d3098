"""Our user agent as the caller, against a far end that a test speaks for: what it follows and what not."""

import re
from collections.abc import Callable
from itertools import count

import pytest

from gateway.errors.sip import BadSipMessage, UnsafeSipValue
from gateway.sip.digest import Credentials
from gateway.sip.events import Answered, Changed, Ended, Event, Failed, Info
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


def _tokens() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"us{next(numbers):020d}"


class Script:
    """Our agent alone, and a test that speaks for the far end."""

    def __init__(self, **options: object) -> None:
        self.now = 0.0
        self.us = UserAgent(Options(OURS, (THEIRS[0],), **options), _tokens())  # type: ignore[arg-type]

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


@pytest.fixture
def script() -> Script:
    return Script()


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


# --- challenges


@pytest.mark.parametrize(
    ("status", "asks", "answers"),
    [(401, "WWW-Authenticate", "Authorization"), (407, "Proxy-Authenticate", "Proxy-Authorization")],
)
def test_a_challenge_is_answered_in_a_new_transaction_of_the_same_call(status: int, asks: str, answers: str) -> None:
    script = Script(credentials=OURS_TO_USE)
    script.call()
    (first,) = script.requests()
    script.reply(first, status, headers=((asks, CHALLENGE.format("n1", "")),))
    ack, second = script.requests()

    assert ack.method == "ACK"
    assert second.call_id == first.call_id
    assert second.from_.tag == first.from_.tag
    assert second.cseq == (2, "INVITE")
    assert second.via.branch != first.via.branch
    assert not second.to.tag
    assert re.search(r"qop=auth, nc=00000001, cnonce=", second.get(answers))


def test_credentials_stand_in_the_ack_of_the_2xx(script: Script) -> None:
    script = Script(credentials=OURS_TO_USE)
    script.call()
    (first,) = script.requests()
    script.reply(first, 401, headers=(("WWW-Authenticate", CHALLENGE.format("n1", "")),))
    _, second = script.requests()
    script.reply(second, 200, body=ANSWER)
    (ack,) = script.requests()

    assert ack.get("Authorization") == second.get("Authorization")
    assert ack.cseq == (2, "ACK")


def test_a_proxys_and_the_far_ends_challenge_are_both_answered() -> None:
    script = Script(credentials=OURS_TO_USE)
    script.call()
    (first,) = script.requests()
    script.reply(first, 407, headers=(("Proxy-Authenticate", CHALLENGE.format("n1", "")),))
    _, second = script.requests()
    script.reply(second, 401, headers=(("WWW-Authenticate", CHALLENGE.format("n2", "")),))
    _, third = script.requests()

    assert third.get("Proxy-Authorization") == second.get("Proxy-Authorization") != ""
    assert third.get("Authorization")


def test_a_stale_nonce_is_replaced_but_a_refused_password_is_not_tried_again() -> None:
    script = Script(credentials=OURS_TO_USE)
    handle = script.call()
    (first,) = script.requests()
    script.reply(first, 401, headers=(("WWW-Authenticate", CHALLENGE.format("n1", "")),))
    _, second = script.requests()
    script.reply(second, 401, headers=(("WWW-Authenticate", CHALLENGE.format("n2", ", stale=true")),))
    _, third = script.requests()
    assert 'nonce="n2"' in third.get("Authorization")

    script.reply(third, 401, headers=(("WWW-Authenticate", CHALLENGE.format("n3", "")),))

    assert [request.method for request in script.requests()] == ["ACK"]
    assert script.events()[-1] == Failed(handle, 401, "Unauthorized")


@pytest.mark.parametrize(
    "credentials", [None, Credentials("campaign", "made-up", realm="other.example")], ids=["none", "another realm's"]
)
def test_a_challenge_is_left_alone_without_credentials_for_its_realm(credentials: Credentials | None) -> None:
    script = Script(credentials=credentials)
    handle = script.call()
    (first,) = script.requests()
    script.reply(first, 401, headers=(("WWW-Authenticate", CHALLENGE.format("n1", "")),))

    assert [request.method for request in script.requests()] == ["ACK"]
    assert script.events()[-1] == Failed(handle, 401, "Unauthorized")


def test_a_challenge_from_another_address_than_the_one_called_is_left_alone() -> None:
    script = Script(credentials=OURS_TO_USE)
    script.us = UserAgent(Options(OURS, ("198.51.100.0/24",), OURS_TO_USE), script.us._context.token)
    script.call()
    (first,) = script.requests()
    response = first.respond(401, "far", (("WWW-Authenticate", CHALLENGE.format("n1", "")),))
    script.us.receive(response.encode(), ("198.51.100.99", 5060), script.now)

    assert [request.method for request in script.requests()] == ["ACK"]


def test_a_far_end_that_finds_every_nonce_stale_is_given_up() -> None:
    script = Script(credentials=OURS_TO_USE)
    handle = script.call()
    for number in range(4):
        invite = next(request for request in script.requests() if request.method == "INVITE")
        script.reply(invite, 401, headers=(("WWW-Authenticate", CHALLENGE.format(f"n{number}", ", stale=true")),))

    assert [request.method for request in script.requests()] == ["ACK"]
    assert script.events()[-1] == Failed(handle, 401, "Unauthorized")


def test_a_bye_that_is_only_being_tried_has_not_ended_the_call_yet(script: Script) -> None:
    handle, _ = script.up()
    script.us.hangup(handle, script.now)
    (bye,) = script.requests()
    script.reply(bye, 100)
    assert script.events() == []

    script.reply(bye, 200)
    assert script.events() == [Ended(handle, "us", 200)]


def test_a_challenge_to_a_bye_is_never_answered() -> None:
    script = Script(credentials=OURS_TO_USE)
    handle, _ = script.up()
    script.us.hangup(handle, script.now)
    (bye,) = script.requests()
    script.reply(bye, 401, headers=(("WWW-Authenticate", CHALLENGE.format("n1", "")),))

    assert script.requests() == []
    assert script.events() == [Ended(handle, "us", 401)]


# --- inside a call


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
