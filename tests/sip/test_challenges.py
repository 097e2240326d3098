"""Who is shown a password, and how often."""

import re

import pytest

from gateway.sip.digest import Credentials
from gateway.sip.events import Ended, Failed
from gateway.sip.options import Options
from gateway.sip.user_agent import UserAgent
from tests.sip.script import ANSWER, CHALLENGE, OURS, OURS_TO_USE, Script


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


def test_a_challenge_to_a_bye_is_never_answered() -> None:
    script = Script(credentials=OURS_TO_USE)
    handle, _ = script.up()
    script.us.hangup(handle, script.now)
    (bye,) = script.requests()
    script.reply(bye, 401, headers=(("WWW-Authenticate", CHALLENGE.format("n1", "")),))

    assert script.requests() == []
    assert script.events() == [Ended(handle, "us", 401)]
