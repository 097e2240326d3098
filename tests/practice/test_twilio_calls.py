import asyncio
from typing import Any

import pytest
from twilio.twiml.voice_response import Gather, VoiceResponse

from gateway.media import tones, wav
from tests.practice.conftest import OLD_AUTH, SENDER, FarEnd, Hook, Receiver, Start, eventually

pytestmark = pytest.mark.filterwarnings(OLD_AUTH)
ALL_EVENTS = ["initiated", "ringing", "answered", "completed"]


def menu(**attributes: Any) -> tuple[str, bytes]:
    """A prompt and a Gather of one key that posts to /keys; without a key it says goodbye."""
    response = VoiceResponse()
    gather = Gather(**({"num_digits": 1, "timeout": 5, "action": "/keys"} | attributes))
    gather.say("Press 1 to confirm.")
    response.append(gather)
    response.say("Goodbye.")
    return "text/xml", str(response).encode()


async def place(far_end: FarEnd, receiver: Receiver, last_four: str, **more: str) -> str:
    """Place a call as a gateway would, with all progress events; returns its SID."""
    form = [("To", f"+1212555{last_four}"), ("From", SENDER), ("Url", f"{receiver.url}/voice")]
    form += [("StatusCallback", f"{receiver.url}/status"), *(("StatusCallbackEvent", event) for event in ALL_EVENTS)]
    status, call = await far_end.post("Calls", [*form, *more.items()])
    assert (status, call["status"], call["direction"]) == (201, "queued", "outbound-api")
    return str(call["sid"])


async def completed(receiver: Receiver) -> Hook:
    """Return the last progress event once it has come."""
    return await eventually(lambda: next((h for h in receiver.at("/status") if "CallDuration" in h.params), None))  # type: ignore[no-any-return]


async def test_a_person_hears_the_menu_and_presses_its_key(far_end: FarEnd, receiver: Receiver) -> None:
    receiver.answers["/voice"] = menu()
    receiver.answers["/keys"] = ("text/xml", b"<Response><Say>Thank you.</Say><Hangup/></Response>")
    sid = await place(far_end, receiver, "0101")
    last = await completed(receiver)
    (keys,) = receiver.at("/keys")
    events = receiver.at("/status")

    assert keys.params["Digits"] == "1"
    assert keys.params["CallSid"] == sid
    assert [hook.params["CallStatus"] for hook in events] == ["initiated", "ringing", "in-progress", "completed"]
    assert [hook.params["SequenceNumber"] for hook in events] == ["0", "1", "2", "3"]
    assert (last.params["SipResponseCode"], last.params["Duration"].isdecimal()) == ("200", True)
    assert all(hook.signed for hook in receiver.hooks)


@pytest.mark.parametrize(
    ("last_four", "digits", "attributes"),
    [
        ("0117", [None, "7"], {"action": "/voice"}),
        ("0303", ["1234"], {"num_digits": None}),
        ("0303", ["12"], {"num_digits": 2}),
        ("0302", [""], {}),
        ("0301", ["*"], {}),
        ("0304", ["1"], {}),
    ],
)
async def test_keys_are_gathered_as_twilio_does(
    last_four: str, digits: list[str | None], attributes: dict[str, Any], far_end: FarEnd, receiver: Receiver
) -> None:
    receiver.answers["/voice"] = menu(**attributes)
    if len(digits) > 1:
        response = receiver.answers["/voice"][1].replace(b"<Say>Goodbye.</Say>", b"<Redirect>/voice2</Redirect>")
        receiver.answers["/voice"] = ("text/xml", response)
        receiver.answers["/voice2"] = menu()
    await place(far_end, receiver, last_four)
    await completed(receiver)

    assert [hook.params["Digits"] for hook in receiver.at("/keys")] == [
        pressed for pressed in digits if pressed is not None
    ]


@pytest.mark.parametrize(
    ("last_four", "ending", "sip"), [("0400", "busy", "486"), ("0401", "no-answer", "0"), ("0404", "failed", "404")]
)
async def test_a_call_that_is_not_answered_asks_for_no_twiml(
    last_four: str, ending: str, sip: str, far_end: FarEnd, receiver: Receiver
) -> None:
    await place(far_end, receiver, last_four, Timeout="5")
    last = await completed(receiver)

    assert last.params["CallStatus"] == ending
    assert last.params["CallDuration"] == "0"
    assert sip in {last.params["SipResponseCode"], "0"}
    assert not receiver.at("/voice")


@pytest.mark.parametrize(
    ("last_four", "mode", "answered_by"),
    [
        ("5555", "Enable", "human"),
        ("0500", "Enable", "machine_start"),
        ("0500", "DetectMessageEnd", "machine_end_beep"),
    ],
)
async def test_machine_detection_tells_who_answered_before_the_first_document(
    last_four: str, mode: str, answered_by: str, far_end: FarEnd, receiver: Receiver
) -> None:
    await place(far_end, receiver, last_four, MachineDetection=mode)
    await completed(receiver)

    assert receiver.at("/voice")[0].params["AnsweredBy"] == answered_by


async def test_asynchronous_detection_comes_in_a_webhook_of_its_own(far_end: FarEnd, receiver: Receiver) -> None:
    receiver.answers["/voice"] = ("text/xml", b'<Response><Pause length="20"/></Response>')
    more = {"MachineDetection": "Enable", "AsyncAmd": "true", "AsyncAmdStatusCallback": f"{receiver.url}/amd"}
    await place(far_end, receiver, "0500", **more)
    (hook,) = await receiver.wait(1, "/amd")

    assert (hook.params["AnsweredBy"], hook.signed) == ("machine_start", True)
    assert "AnsweredBy" not in receiver.at("/voice")[0].params


async def test_played_audio_is_fetched_and_measured(far_end: FarEnd, receiver: Receiver) -> None:
    receiver.answers["/voice"] = ("text/xml", b"<Response><Play>/prompt.wav</Play></Response>")
    receiver.answers["/prompt.wav"] = ("audio/wav", wav.write(tones.silence(1.5)))
    sid = await place(far_end, receiver, "5555")
    await completed(receiver)
    _, call = await far_end.practice("GET", f"calls/{sid}")

    assert {"played": f"{receiver.url}/prompt.wav", "seconds": 1.5} in call["transcript"]
    assert receiver.at("/prompt.wav")[0].signed


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (("text/xml", b"<Response><Play>/text</Play></Response>"), "not a WAV file"),
        (("text/xml", b"<Response><Shout/></Response>"), "Shout"),
        (("text/plain", b"hello"), "Content-Type"),
        (("text/xml", b"<Response><Redirect>/voice</Redirect></Response>"), "200 documents"),
    ],
)
async def test_what_twilio_could_not_run_is_complained_of_and_the_call_ends(
    answer: tuple[str, bytes], complaint: str, far_end: FarEnd, receiver: Receiver
) -> None:
    receiver.answers["/voice"] = answer
    receiver.answers["/text"] = ("audio/wav", b"hello")
    await place(far_end, receiver, "5555")
    await completed(receiver)
    _, ledger = await far_end.practice("GET", "ledger")

    assert complaint in ledger["complaints"][0]


async def test_the_client_can_end_and_redirect_a_call(start: Start, receiver: Receiver) -> None:
    far_end = await start(speed=10.0)
    receiver.answers["/voice"] = ("text/xml", b'<Response><Pause length="600"/></Response>')
    receiver.answers["/elsewhere"] = receiver.answers["/voice"]
    sid = await place(far_end, receiver, "5555")
    await receiver.wait(1, "/voice")
    async with far_end.client() as client:
        await client.calls(sid).update_async(url=f"{receiver.url}/elsewhere")
        await receiver.wait(1, "/elsewhere")
        await client.calls(sid).update_async(status="completed")
        last = await completed(receiver)
        listed = await client.calls.list_async(status="completed")

    assert last.params["CallStatus"] == "completed"
    assert [call.sid for call in listed] == [sid]


async def test_a_ringing_call_can_be_cancelled(far_end: FarEnd, receiver: Receiver) -> None:
    sid = await place(far_end, receiver, "0401")
    await receiver.wait(2, "/status")
    await far_end.post(f"Calls/{sid}", {"Status": "canceled"})

    assert (await completed(receiver)).params["CallStatus"] == "canceled"


async def test_a_person_hangs_up_into_the_prompt(far_end: FarEnd, receiver: Receiver) -> None:
    receiver.answers["/voice"] = ("text/xml", b'<Response><Pause length="600"/></Response>')
    async with asyncio.timeout(5):
        await place(far_end, receiver, "0601")
        last = await completed(receiver)

    assert last.params["CallStatus"] == "completed"


async def test_a_person_can_call_a_sender(far_end: FarEnd, receiver: Receiver) -> None:
    receiver.answers["/voice"] = menu()
    urls = {"voice_url": f"{receiver.url}/voice", "status_url": f"{receiver.url}/status"}
    await far_end.practice("PUT", f"senders/{SENDER}", urls)
    told = {"from": "+12125557777", "to": SENDER, "via": "twilio", "keys": ["9"]}
    status, placed = await far_end.practice("POST", "call-in", told)
    await completed(receiver)
    first = receiver.at("/voice")[0]

    assert status == 200
    assert (first.params["Direction"], first.params["CallSid"]) == ("inbound", placed["id"])
    assert (first.params["From"], first.params["To"]) == ("+12125557777", SENDER)
    assert receiver.at("/keys")[0].params["Digits"] == "9"


async def test_reset_forgets_calls_that_are_over(far_end: FarEnd, receiver: Receiver) -> None:
    await place(far_end, receiver, "0404")
    await completed(receiver)
    before = (await far_end.practice("GET", "calls"))[1]["calls"]
    await far_end.practice("POST", "reset")
    after = (await far_end.practice("GET", "calls"))[1]["calls"]

    assert (len(before), len(after)) == (1, 0)
