"""Our REFER, against a far end that a test speaks for."""

import pytest

from gateway.errors.sip import UnsafeSipValue
from gateway.sip.digest import Credentials
from gateway.sip.events import Ended, Referred
from gateway.sip.message import Request
from gateway.sip.refer import refer_to
from gateway.sip.uri import SipUri
from tests.sip.script import CHALLENGE, Script

OPERATOR = SipUri("+12125550100", "198.51.100.7")
US = "sip:+18005550199@192.0.2.1"


def referred(script: Script, *headers: tuple[str, str]) -> tuple[str, Request, object]:
    handle, ok = script.up()
    script.us.refer(handle, refer_to(OPERATOR, headers), US, script.now)
    (refer,) = script.requests()
    return handle, refer, ok


def notify(script: Script, ok: object, number: int, fragment: bytes, state: str, event: str = "refer") -> int:
    """Let the far end tell; returns what it was answered."""
    told = (("Event", event), ("Subscription-State", state))
    script.inside(ok, "NOTIFY", number, fragment, kind="message/sipfrag;version=2.0", headers=told)
    (response,) = script.responses()
    return response.status


def test_a_call_is_handed_over_and_the_far_end_tells_how_that_goes() -> None:
    script = Script()
    handle, refer, ok = referred(script, ("X-Account", "12 34&x=%;\u00e9"))

    assert refer.method == "REFER"
    assert refer.get("Refer-To") == "<sip:+12125550100@198.51.100.7?X-Account=12%2034%26x%3D%25%3B%C3%A9>"
    assert refer.get("Referred-By") == f"<{US}>"
    script.reply(refer, 202)
    assert notify(script, ok, 10, b"SIP/2.0 180 Ringing\r\n", "active;expires=60") == 200
    assert notify(script, ok, 11, b"SIP/2.0 200 OK", "terminated;reason=noresource") == 200
    assert script.events() == [Referred(handle, 100, False), Referred(handle, 180, False), Referred(handle, 200, True)]

    script.us.hangup(handle, script.now)
    (bye,) = script.requests()
    script.reply(bye, 200)
    assert script.events() == [Ended(handle, "us", 200)]


def test_a_refused_refer_and_a_target_that_is_busy_are_told_apart() -> None:
    script = Script()
    handle, refer, _ = referred(script)
    script.reply(refer, 603)
    assert script.events() == [Referred(handle, 603, True, refused=True)]

    script = Script()
    handle, refer, ok = referred(script)
    script.reply(refer, 202)
    notify(script, ok, 10, b"SIP/2.0 486 Busy Here\r\n", "terminated")
    notify(script, ok, 11, b"SIP/2.0 200 OK\r\n", "terminated")
    assert script.events() == [Referred(handle, 100, False), Referred(handle, 486, True)]


def test_a_refer_that_nobody_answers_is_refused_in_the_end() -> None:
    script = Script()
    handle, _, _ = referred(script)
    while not (told := script.events()):
        script.now += 0.5
        script.sent()

    assert told == [Referred(handle, 408, True, refused=True)]
    assert 31 <= script.now <= 33


def leave(script: Script, ok: object, number: int) -> None:
    """Let the far end say BYE."""
    script.inside(ok, "BYE", number)
    assert [response.status for response in script.responses()] == [200]


@pytest.mark.parametrize(("fragment", "status"), [(b"SIP/2.0 200 OK", 200), (b"SIP/2.0 486 Busy Here", 486)])
def test_how_it_went_may_be_told_after_the_far_ends_bye(fragment: bytes, status: int) -> None:
    script = Script()
    handle, refer, ok = referred(script)
    script.reply(refer, 202)
    leave(script, ok, 10)
    script.inside(ok, "INVITE", 11)
    assert [response.status for response in script.responses()] == [481]
    assert script.events() == [Referred(handle, 100, False)]

    assert notify(script, ok, 12, fragment, "terminated;reason=noresource") == 200
    assert script.events() == [Referred(handle, status, True), Ended(handle, "them", 200)]
    assert notify(script, ok, 13, fragment, "terminated;reason=noresource") == 481


def test_a_far_end_that_leaves_without_a_word_is_waited_for_two_seconds() -> None:
    script = Script()
    handle, refer, ok = referred(script)
    script.reply(refer, 202)
    leave(script, ok, 10)
    script.events()
    script.now = 1.9
    assert (script.sent(), script.events()) == ([], [])
    script.now = 2.0
    assert script.sent() == []

    assert script.events() == [Ended(handle, "them", 200)]


def test_a_hangup_of_ours_ends_a_call_that_was_left_already() -> None:
    script = Script()
    handle, refer, ok = referred(script)
    script.reply(refer, 202)
    leave(script, ok, 10)
    script.us.hangup(handle, script.now)

    assert script.sent() == []
    assert script.events()[-1] == Ended(handle, "them", 200)


@pytest.mark.parametrize("answer", [0, 486, 603], ids=["not answered yet", "busy", "declined"])
def test_a_bye_ends_a_call_at_once_where_nothing_more_is_to_be_told(answer: int) -> None:
    script = Script()
    handle, refer, ok = referred(script)
    if answer:
        script.reply(refer, answer)
    leave(script, ok, 10)

    assert script.events()[-1] == Ended(handle, "them", 200)


def test_a_challenge_to_a_refer_is_answered_once() -> None:
    script = Script(credentials=Credentials("campaign", "made-up"))
    handle, refer, _ = referred(script)
    challenge = ("Proxy-Authenticate", CHALLENGE.format("n1", ""))
    script.reply(refer, 407, headers=(challenge,))
    (again,) = script.requests()
    script.reply(again, 407, headers=(("Proxy-Authenticate", CHALLENGE.format("n2", "")),))

    assert again.get("Proxy-Authorization").startswith("Digest ")
    assert again.cseq[0] == refer.cseq[0] + 1
    assert script.requests() == []
    assert script.events() == [Referred(handle, 407, True, refused=True)]


@pytest.mark.parametrize(
    ("event", "fragment", "answer"),
    [("refer", b"hello", 400), ("refer", b"", 400), ("presence", b"SIP/2.0 200 OK", 489)],
)
def test_a_notify_that_says_nothing_of_it_is_refused(event: str, fragment: bytes, answer: int) -> None:
    script = Script()
    _, refer, ok = referred(script)
    script.reply(refer, 202)
    script.events()

    assert notify(script, ok, 10, fragment, "active", event) == answer
    assert script.events() == []


def test_nobody_hands_calls_over_to_us_and_nobody_notifies_us_unasked() -> None:
    script = Script()
    _, ok = script.up()
    script.inside(ok, "REFER", 10, headers=(("Refer-To", "<sip:+19005550100@198.51.100.7>"),))
    (refused,) = script.responses()

    assert refused.status == 405
    assert notify(script, ok, 11, b"SIP/2.0 200 OK", "terminated") == 481
    assert (script.requests(), script.events()) == ([], [])


@pytest.mark.parametrize(
    "headers",
    [
        [("Route", "<sip:x>")],
        [("X-A", "1\r\nRoute: <sip:x>")],
        [("X-A", "a" * 201)],
        [("X-A b", "1")],
        [(f"X-{n}", "1") for n in range(11)],
    ],
)
def test_contact_data_cannot_become_another_header(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(UnsafeSipValue):
        refer_to(OPERATOR, tuple(headers))
