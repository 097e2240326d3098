"""Datagrams from outside: who may talk to us, what is answered, and by which status."""

from collections.abc import Callable
from itertools import count

import pytest

from gateway.errors.sip import TooManyCalls
from gateway.sip.events import Incoming
from gateway.sip.message import Request, Response, parse
from gateway.sip.options import Options
from gateway.sip.sdp import Session
from gateway.sip.user_agent import UserAgent

OURS = ("192.0.2.1", 5060)
THEIRS = ("198.51.100.7", 5060)
CALLEE = "sip:+12125551234@198.51.100.7"
CALLER = "sip:+18005550199@192.0.2.1"
ANSWER = Session(THEIRS[0], 6000).encode()


def _tokens() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"us{next(numbers):020d}"


def call(agent: UserAgent) -> str:
    return agent.invite(CALLEE, CALLER, Session(OURS[0], 4000), THEIRS, 0.0)


def responses(agent: UserAgent) -> list[Response]:
    """The responses among what leaves."""
    messages = [parse(data) for data, _ in agent.to_send(0.0)]
    return [message for message in messages if isinstance(message, Response)]


def invitation(body: bytes = b"", kind: str = "application/sdp", **other: str) -> bytes:
    """An INVITE from the trunk; `other` replaces or adds headers, with _ for -."""
    headers = {
        "Via": "SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKin1",
        "From": "<sip:+12125551234@198.51.100.7>;tag=in",
        "To": "<sip:+18005550199@192.0.2.1>",
        "Call-ID": "in-1",
        "CSeq": "1 INVITE",
        "Contact": "<sip:caller@198.51.100.7>",
        **({"Content-Type": kind} if body else {}),
        **{name.replace("_", "-"): value for name, value in other.items()},
    }
    method = headers["CSeq"].split()[1]
    kept = tuple((name, value) for name, value in headers.items() if value)
    return Request(kept, body, method, "sip:+18005550199@192.0.2.1").encode()


@pytest.fixture
def agent() -> UserAgent:
    """An agent whose only peer is the far end."""
    return UserAgent(Options(OURS, (THEIRS[0],)), _tokens())


def test_strangers_and_garbage_are_dropped_and_counted(agent: UserAgent) -> None:
    agent.receive(invitation(), ("203.0.113.66", 5060), 0.0)
    agent.receive(b"\x00\xff not SIP", THEIRS, 0.0)
    agent.receive(b"\r\n\r\n", THEIRS, 0.0)  # keep-alive
    agent.receive(b"SIP/2.0 200 OK\r\n\r\n", THEIRS, 0.0)

    assert (agent.counters.foreign, agent.counters.garbage) == (1, 2)
    assert list(agent.to_send(0.0)) == []
    assert list(agent.events()) == []


def test_nobody_may_talk_to_an_agent_without_peers() -> None:
    agent = UserAgent(Options(OURS, ()), lambda: "t")
    agent.receive(invitation(), THEIRS, 0.0)

    assert agent.counters.foreign == 1


def test_options_outside_a_call_are_answered_200_with_what_we_can(agent: UserAgent) -> None:
    agent.receive(invitation(CSeq="7 OPTIONS"), THEIRS, 0.0)
    (response,) = responses(agent)

    assert response.status == 200
    assert {"INVITE", "BYE", "UPDATE"} <= set(response.values("Allow"))
    assert response.to.tag


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (invitation(Require="precondition"), 420),
        (invitation(b"<xml/>", "application/xml"), 415),
        (invitation(b"v=0\r\n"), 488),
        (invitation(Contact=""), 400),
        (invitation(To="<sip:us@192.0.2.1>;tag=gone"), 481),
        (invitation(CSeq="1 BYE"), 481),
        (invitation(CSeq="1 CANCEL"), 481),
        (invitation(CSeq="1 PUBLISH"), 405),
        (invitation(Max_Forwards="lots"), 400),
    ],
    ids=["extension", "body", "sdp", "contact", "tag", "bye", "cancel", "method", "hops"],
)
def test_what_cannot_be_done_is_refused_by_its_own_status(agent: UserAgent, data: bytes, status: int) -> None:
    agent.receive(data, THEIRS, 0.0)

    assert [response.status for response in responses(agent) if response.status != 100] == [status]
    assert list(agent.events()) == []
    assert agent.counters.refused == 1


def test_an_inbound_call_tells_who_calls_whom(agent: UserAgent) -> None:
    agent.receive(invitation(ANSWER), THEIRS, 0.0)
    (incoming,) = list(agent.events())

    assert isinstance(incoming, Incoming)
    assert (incoming.from_user, incoming.to_user) == ("+12125551234", "+18005550199")


def test_the_same_invite_by_another_way_is_a_loop(agent: UserAgent) -> None:
    agent.receive(invitation(ANSWER), THEIRS, 0.0)
    agent.receive(invitation(ANSWER, Via="SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKin2"), THEIRS, 0.0)

    assert 482 in [response.status for response in responses(agent)]
    assert len(list(agent.events())) == 1


def test_more_calls_than_allowed_are_refused_both_ways() -> None:
    agent = UserAgent(Options(OURS, (THEIRS[0],), max_calls=1), _tokens())
    call(agent)
    agent.receive(invitation(ANSWER), THEIRS, 0.0)

    assert [response.status for response in responses(agent)] == [503]
    with pytest.raises(TooManyCalls):
        call(agent)


def test_without_rport_responses_go_to_the_port_that_the_via_names(agent: UserAgent) -> None:
    via = "SIP/2.0/UDP 198.51.100.7:5099;branch=z9hG4bKo"
    agent.receive(invitation(CSeq="7 OPTIONS", Via=via), (THEIRS[0], 40001), 0.0)

    assert [hop.address for _, hop in agent.to_send(0.0)] == [(THEIRS[0], 5099)]


def test_responses_go_back_to_the_port_they_came_from_where_rport_asks_for_it(agent: UserAgent) -> None:
    agent.receive(
        invitation(CSeq="7 OPTIONS", Via="SIP/2.0/UDP nat.example:5099;branch=z9hG4bKo;rport"), (THEIRS[0], 40001), 0.0
    )
    ((data, hop),) = list(agent.to_send(0.0))

    assert hop.address == (THEIRS[0], 40001)
    assert b";received=198.51.100.7;rport=40001" in data
