"""One trunk, several addresses: when the next one is tried, and over what a request goes."""

import pytest

from gateway.sip.events import Answered, Failed
from gateway.sip.hop import Hop
from gateway.sip.message import Request, Response, parse
from gateway.sip.options import Options
from gateway.sip.sdp import Session
from gateway.sip.user_agent import UserAgent
from tests.sip.script import ANSWER, CALLEE, CALLER, OURS, tokens

FIRST = Hop("198.51.100.7", 5060)
SECOND = Hop("198.51.100.8", 5060)
STREAM = Hop("198.51.100.7", 5060, "TCP")


class Trunk:
    """Our agent, and a trunk with the addresses given."""

    def __init__(self, *hops: Hop, **options: object) -> None:
        self.now = 0.0
        self.hops = hops
        self.us = UserAgent(Options(OURS, ("198.51.100.0/28",), **options), tokens())  # type: ignore[arg-type]

    def call(self, **more: object) -> str:
        first, *others = self.hops
        return self.us.invite(CALLEE, CALLER, Session(OURS[0], 4000), first, self.now, others=tuple(others), **more)  # type: ignore[arg-type]

    def sent(self) -> list[tuple[Request, Hop]]:
        found = [(parse(data), hop) for data, hop in self.us.to_send(self.now)]
        return [(message, hop) for message, hop in found if isinstance(message, Request)]

    def reply(self, request: Request, source: Hop, status: int, body: bytes = b"") -> None:
        kind = (("Content-Type", "application/sdp"),) if body else ()
        headers = (("Contact", f"<sip:callee@{source.host}>"), *kind)
        self.us.receive(request.respond(status, f"far{source.host[-1]}", headers, body).encode(), source, self.now)


def methods(sent: list[tuple[Request, Hop]]) -> list[tuple[str, Hop]]:
    return [(request.method, hop) for request, hop in sent]


def test_an_address_that_says_nothing_for_eight_t1_is_left_for_the_next() -> None:
    trunk = Trunk(FIRST, SECOND)
    trunk.call()
    (first, _), *_ = trunk.sent()
    trunk.now = 4.0
    *_, (second, hop) = trunk.sent()

    assert hop == SECOND
    assert (second.call_id, second.cseq) == (first.call_id, (2, "INVITE"))
    assert second.via.branch != first.via.branch


def test_the_last_address_is_given_all_of_timer_b() -> None:
    trunk = Trunk(FIRST, SECOND)
    handle = trunk.call()
    trunk.now = 4.0
    trunk.sent()
    trunk.now = 4.0 + 31.9
    trunk.sent()
    assert list(trunk.us.events()) == []
    trunk.now = 4.0 + 32.0
    trunk.sent()

    assert list(trunk.us.events()) == [Failed(handle, 408, "no response", local=True, in_doubt=True)]


def test_an_address_that_rings_is_waited_for() -> None:
    trunk = Trunk(FIRST, SECOND)
    trunk.call()
    ((invite, _),) = trunk.sent()
    trunk.reply(invite, FIRST, 180)
    trunk.now = 30.0

    assert trunk.sent() == []


def test_an_address_out_of_service_is_left_for_the_next() -> None:
    trunk = Trunk(FIRST, SECOND)
    handle = trunk.call()
    ((invite, _),) = trunk.sent()
    trunk.reply(invite, FIRST, 503)
    assert methods(trunk.sent()) == [("ACK", FIRST), ("INVITE", SECOND)]

    trunk = Trunk(FIRST)
    handle = trunk.call()
    ((invite, _),) = trunk.sent()
    trunk.reply(invite, FIRST, 503)
    assert [event for event in trunk.us.events() if isinstance(event, Failed)] == [
        Failed(handle, 503, "Service Unavailable")
    ]


@pytest.mark.parametrize("status", [486, 500, 603])
def test_a_refusal_is_not_taken_elsewhere(status: int) -> None:
    trunk = Trunk(FIRST, SECOND)
    trunk.call()
    ((invite, _),) = trunk.sent()
    trunk.reply(invite, FIRST, status)

    assert methods(trunk.sent()) == [("ACK", FIRST)]


def test_a_late_answer_of_the_first_address_is_the_call_and_the_second_is_released() -> None:
    trunk = Trunk(FIRST, SECOND)
    handle = trunk.call()
    ((first, _),) = trunk.sent()
    trunk.now = 4.0
    *_, (second, _) = trunk.sent()
    trunk.reply(second, SECOND, 180)
    trunk.reply(first, FIRST, 200, ANSWER)

    assert methods(trunk.sent()) == [("ACK", FIRST), ("CANCEL", SECOND)]
    trunk.reply(second, SECOND, 487)
    assert methods(trunk.sent()) == [("ACK", SECOND)]
    assert [type(event) for event in trunk.us.events()][-1] is Answered
    assert trunk.us.handles() == (handle,)


def test_no_connection_is_no_answer_and_the_next_address_is_tried_at_once() -> None:
    trunk = Trunk(STREAM, SECOND)
    handle = trunk.call()
    trunk.sent()
    trunk.us.unreachable(STREAM, trunk.now)
    assert methods(trunk.sent()) == [("INVITE", SECOND)]
    trunk.us.unreachable(SECOND, trunk.now)

    assert list(trunk.us.events()) == [Failed(handle, 503, "unreachable", local=True)]
    assert trunk.us.transactions == 0


def test_nothing_is_sent_twice_over_a_stream_but_the_answer_of_an_invite() -> None:
    trunk = Trunk(STREAM, transport="TCP")
    trunk.call()
    ((invite, hop),) = trunk.sent()
    assert (hop, invite.via.transport) == (STREAM, "TCP")
    assert invite.contact.endswith(";transport=tcp")
    trunk.now = 31.0
    assert trunk.sent() == []


def test_a_request_too_large_for_a_datagram_goes_over_tcp_where_that_is_allowed() -> None:
    large = {"headers": (("X-Padding", "x" * 1300),)}
    for allowed, hop in ((True, STREAM), (False, FIRST)):
        trunk = Trunk(FIRST, large_over_tcp=allowed)
        trunk.call(**large)
        ((invite, chosen),) = trunk.sent()
        assert chosen == hop
        assert invite.via.transport == hop.transport
        trunk.call()
        assert trunk.sent()[0][1] == FIRST


def test_no_far_end_leads_a_call_off_tls() -> None:
    encrypted = Hop("198.51.100.7", 5061, "TLS")
    trunk = Trunk(encrypted, transport="TLS")
    trunk.call()
    ((invite, _),) = trunk.sent()
    trunk.reply(invite, encrypted, 200, ANSWER)

    assert methods(trunk.sent()) == [("ACK", Hop("198.51.100.7", 5061, "TLS"))]


@pytest.mark.parametrize(
    ("asked", "hop"), [("udp", STREAM), ("tcp", Hop(FIRST.host, 5070, "TCP")), ("", Hop(FIRST.host, 5070, "TCP"))]
)
def test_a_contact_is_followed_over_what_we_speak(asked: str, hop: Hop) -> None:
    trunk = Trunk(STREAM, transport="TCP")
    trunk.call()
    ((invite, _),) = trunk.sent()
    param = f";transport={asked}" if asked else ""
    kind = (("Content-Type", "application/sdp"), ("Contact", f"<sip:callee@{FIRST.host}:5070{param}>"))
    trunk.us.receive(invite.respond(200, "far", kind, ANSWER).encode(), STREAM, 0.0)

    assert methods(trunk.sent()) == [("ACK", hop)]


def test_responses_over_a_stream_go_back_where_the_request_came_from() -> None:
    trunk = Trunk(STREAM)
    source = Hop("198.51.100.7", 40123, "TCP")
    options = (
        b"OPTIONS sip:x@y SIP/2.0\r\nVia: SIP/2.0/TCP 198.51.100.7:5060;branch=z9hG4bK1\r\n"
        b"From: <sip:a@b>;tag=1\r\nTo: <sip:x@y>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
    trunk.us.receive(options, source, 0.0)
    ((data, hop),) = trunk.us.to_send(0.0)

    assert hop == source
    assert isinstance(parse(data), Response)


def test_a_connection_that_breaks_under_an_invite_is_left_for_the_next_address_at_once() -> None:
    trunk = Trunk(STREAM, SECOND)
    handle = trunk.call()
    ((first, _),) = trunk.sent()
    trunk.us.broken(STREAM, trunk.now)
    ((second, hop),) = trunk.sent()
    assert (hop, second.call_id, second.cseq) == (SECOND, first.call_id, (2, "INVITE"))

    trunk.us.unreachable(SECOND, trunk.now)  # this one has not left; the first may have
    assert list(trunk.us.events()) == [Failed(handle, 503, "unreachable", local=True, in_doubt=True)]


def test_who_got_an_invite_over_a_connection_that_broke_and_takes_the_call_late_is_released() -> None:
    trunk = Trunk(STREAM)
    handle = trunk.call()
    ((invite, _),) = trunk.sent()
    trunk.us.broken(STREAM, trunk.now)
    assert list(trunk.us.events()) == [Failed(handle, 408, "connection lost", local=True, in_doubt=True)]
    trunk.us.broken(STREAM, trunk.now)

    trunk.reply(invite, STREAM, 200, ANSWER)
    assert methods(trunk.sent()) == [("ACK", STREAM), ("BYE", STREAM)]
    assert list(trunk.us.events()) == []
    trunk.now += 64 * 0.5 + 33
    assert trunk.sent() == []
    assert trunk.us.transactions == 0


def test_a_far_end_that_rings_keeps_the_call_when_its_connection_breaks() -> None:
    trunk = Trunk(STREAM, SECOND)
    trunk.call()
    ((invite, _),) = trunk.sent()
    trunk.reply(invite, STREAM, 180)
    trunk.us.broken(STREAM, trunk.now)
    trunk.reply(invite, STREAM, 200, ANSWER)

    assert methods(trunk.sent()) == [("ACK", STREAM)]
    assert [type(event) for event in trunk.us.events()][-1] is Answered


@pytest.mark.parametrize("status", [503, 401])
def test_a_refusal_that_would_be_tried_again_is_in_doubt_where_an_address_before_it_said_nothing(status: int) -> None:
    trunk = Trunk(FIRST, SECOND)
    trunk.call()
    trunk.sent()
    trunk.now = 4.0
    *_, (second, _) = trunk.sent()
    trunk.reply(second, SECOND, status)

    (failed,) = [event for event in trunk.us.events() if isinstance(event, Failed)]
    assert (failed.status, failed.local, failed.in_doubt) == (status, False, True)


@pytest.mark.parametrize(("status", "body"), [(180, b""), (183, ANSWER)], ids=["180", "early media"])
def test_an_address_that_let_it_ring_before_it_refused_is_the_last(status: int, body: bytes) -> None:
    trunk = Trunk(FIRST, SECOND)
    trunk.call()
    ((invite, _),) = trunk.sent()
    trunk.reply(invite, FIRST, status, body)
    trunk.reply(invite, FIRST, 503)

    assert methods(trunk.sent()) == [("ACK", FIRST)]
    assert [event.status for event in trunk.us.events() if isinstance(event, Failed)] == [503]
