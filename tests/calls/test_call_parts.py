"""The small decisions of calls, each by itself."""

import pytest

from gateway.carriers.audio_urls import AudioUrls
from gateway.carriers.sip_outcomes import unanswered
from gateway.carriers.twilio_voice import Between, between
from gateway.model.call import Call
from gateway.model.sender import Sender
from gateway.sip.events import Failed
from gateway.sms.pipeline import Hold, Reject, Send
from gateway.voice import engine, filling
from gateway.voice.dialplan import Say
from gateway.voice.loader import load
from gateway.voice.twilio_call import TwilioCall
from gateway.workers.call_desk import Backoff, Facts, decide

SENDER = Sender("+18005550199", "acme", "toll_free", status="unverified", voice="main")
CALL = Call("call_1", "acme", "live", SENDER.number, "+12125551234", "bill", 1, expires_ms=1_000)


@pytest.mark.parametrize(
    ("status", "local", "in_doubt", "outcome", "reason"),
    [
        (486, False, False, "busy", "busy"),
        (600, False, False, "busy", "busy"),
        (480, False, False, "no_answer", "no_answer"),
        (408, False, False, "no_answer", "no_answer"),
        (487, True, False, "no_answer", "no_answer"),
        (487, True, True, "unknown", "no_response"),
        (408, True, True, "unknown", "no_response"),
        (503, False, False, "queued", "carrier_throttled"),
        (401, False, False, "queued", "carrier_account"),
        (407, False, False, "queued", "carrier_account"),
        (403, False, False, "failed", "forbidden"),
        (404, False, False, "failed", "invalid_number"),
        (603, False, False, "failed", "declined"),
        (500, False, False, "failed", "carrier_refused"),
        (302, False, False, "failed", "carrier_refused"),
        (503, True, False, "queued", "carrier_unreachable"),
        (503, True, True, "unknown", "no_response"),
        (503, False, True, "unknown", "no_response"),
        (486, False, True, "busy", "busy"),
    ],
)
def test_a_final_status_becomes_one_outcome(
    status: int, local: bool, in_doubt: bool, outcome: str, reason: str
) -> None:
    found = unanswered(Failed("call", status, "words", local, in_doubt))

    assert (found.outcome, found.reason, found.code) == (outcome, reason, "" if local else str(status))


def test_an_unverified_senders_calls_are_unaffected_and_people_come_before_senders() -> None:
    said_stop = {CALL.recipient}

    assert decide(CALL, Facts(SENDER, set(), {}), 999) == Send()
    assert decide(CALL, Facts(SENDER, said_stop, {}), 1_000) == Reject("expired", "expired")
    assert decide(CALL, Facts(None, said_stop, {}), 999) == Reject("suppressed", "opted_out")
    assert decide(CALL, Facts(None, set(), {}), 999) == Hold("sender_unknown", None)


def test_a_road_that_takes_no_calls_is_left_alone_for_longer_each_time() -> None:
    backoff = Backoff()
    waits = []
    for _ in range(9):
        backoff.failed(100.0)
        waits.append(backoff.not_before - 100.0)

    assert 0.4 < waits[0] < 0.6
    assert waits == sorted(waits)
    assert 26 < waits[-1] < 34


def test_an_address_of_audio_is_good_for_its_audio_and_its_time() -> None:
    urls = AudioUrls("https://gateway.example", b"key", 60)
    query = dict(pair.split("=") for pair in urls.url("abc").split("?")[1].split("&"))

    assert urls.allows("abc", query)
    assert not urls.allows("abd", query)
    assert not AudioUrls(urls.base, b"other", 60).allows("abc", query)
    assert not urls.allows("abc", {**query, "expires": "9999999999"})
    assert not urls.allows("abc", {"expires": "x", "sig": "é"})
    assert not urls.allows("abc", {})


PLAN = load(
    """
name: pin
language: en-US
start: greet
variables: {name: {required: true}}
nodes:
  greet: {say: "Hello {{ name }}.", next: ask}
  ask:
    collect: {prompt: {say: "Your code, please."}, into: code, max_digits: 4, timeout: 2s, attempts: 2, otherwise: bye}
    next: back
  back: {say: "You typed {{ code }}.", next: bye}
  bye: {say: "Goodbye {{ name }}.", then: hangup}
""",
    file="pin.yaml",
)


def test_all_that_is_known_before_a_call_is_foreseen_and_what_people_type_is_not() -> None:
    foreseen = filling.foreseen(engine.start(PLAN, {"name": "Ana"}))

    assert [part.text for part in foreseen if isinstance(part, Say)] == [
        "Hello Ana.",
        "Your code, please.",
        "Goodbye Ana.",
    ]


def test_what_was_heard_of_an_answer_is_as_much_as_there_was_time_for() -> None:
    waiting = Between(
        TwilioCall(engine.start(PLAN, {"name": "Ana"})),
        handed_at=100.0,
        pieces=(({"text": "a"}, 2.0), (None, 1.0), ({"text": "b"}, 2.0), ({"text": "c"}, 2.0)),
    )
    kept = between(PLAN, waiting.to_json())

    assert kept == waiting
    assert kept.heard(104.0) == [{"text": "a", "seconds": 2.0}, {"text": "b", "seconds": 1.0}]
    assert kept.heard(100.0) == []
    assert [each["seconds"] for each in kept.heard(200.0)] == [2.0, 2.0, 2.0]
