import pytest
from twilio.twiml.voice_response import Gather, VoiceResponse

from gateway.errors.practice import BadTwiml
from gateway.practice.twiml import parse


def test_what_twilios_own_builder_writes_is_read() -> None:
    response = VoiceResponse()
    gather = Gather(num_digits=1, timeout=4, action="/keys", action_on_empty_result=True)
    gather.say("Press 1.", language="en-US")
    gather.pause(length=2)
    response.append(gather)
    response.redirect("/again", method="GET")
    verbs = parse(str(response).encode())

    assert [verb.name for verb in verbs] == ["Gather", "Redirect"]
    assert [child.name for child in verbs[0].children] == ["Say", "Pause"]
    assert (verbs[0].number("timeout", 5), verbs[0].attributes["action"], verbs[1].text) == (4, "/keys", "/again")


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"", "not XML"),
        (b"<Response><Say>", "not XML"),
        (b"<Answer/>", "root"),
        (b"<Response><Shout>x</Shout></Response>", "Shout"),
        (b"<Response><say>x</say></Response>", "say"),
        (b'<Response><Say volume="11">x</Say></Response>', "volume"),
        (b"<Response><Say></Say></Response>", "empty"),
        (b'<Response><Pause length="long"/></Response>', "number"),
        (b"<Response><Gather><Hangup/></Gather></Response>", "Hangup"),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><Response/>", "entity"),
        (b"<Response>" + b" " * 65536 + b"</Response>", "64 kB"),
    ],
)
def test_what_twilio_would_not_run_is_refused_with_the_reason(document: bytes, why: str) -> None:
    with pytest.raises(BadTwiml, match=why):
        parse(document)
