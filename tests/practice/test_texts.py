import asyncio

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException

from tests.practice.conftest import OLD_AUTH, SENDER, FarEnd, Receiver, Start, key

pytestmark = pytest.mark.filterwarnings(OLD_AUTH)


def text(last_four: str, **more: str) -> dict[str, str]:
    return {"To": f"+1212555{last_four}", "From": SENDER, "Body": "Your bill is due.", **more}


async def test_twilios_client_sends_fetches_and_lists(far_end: FarEnd, receiver: Receiver) -> None:
    async with far_end.client() as client:
        sent = await client.messages.create_async(
            to="+12125559999", from_=SENDER, body="Grüße", status_callback=f"{receiver.url}/status"
        )
        hooks = await receiver.wait(2)
        fetched = await client.messages(sent.sid).fetch_async()
        listed = await client.messages.list_async(to="+12125559999", from_=SENDER)

    assert (sent.status, sent.num_segments, sent.body) == ("queued", "1", "Grüße")
    assert [(hook.params["MessageStatus"], hook.signed) for hook in hooks] == [("sent", True), ("delivered", True)]
    assert {hook.params["MessageSid"] for hook in hooks} == {sent.sid}
    assert fetched.status == "delivered"
    assert fetched.date_created is not None
    assert [message.sid for message in listed] == [sent.sid]


@pytest.mark.parametrize(
    ("last_four", "states", "code"),
    [
        ("0001", ["sent", "undelivered"], "30003"),
        ("0006", ["failed"], "30001"),
        ("0011", ["sent"], None),
        ("0012", ["sent", "sent", "delivered", "delivered"], None),
        ("0013", ["delivered", "sent"], None),
        ("5555", ["sent", "delivered"], None),
    ],
)
async def test_the_last_four_digits_decide_the_reports(
    last_four: str, states: list[str], code: str | None, far_end: FarEnd, receiver: Receiver
) -> None:
    status, created = await far_end.post("Messages", text(last_four, StatusCallback=f"{receiver.url}/status"))
    hooks = await receiver.wait(len(states))

    assert status == 201
    assert created["status"] == "queued"
    assert [hook.params["MessageStatus"] for hook in hooks] == states
    assert hooks[-1].params.get("ErrorCode") == code
    assert all(hook.signed for hook in hooks)


async def test_a_repeated_report_differs_only_in_its_token(far_end: FarEnd, receiver: Receiver) -> None:
    await far_end.post("Messages", text("0012", StatusCallback=f"{receiver.url}/status"))
    first, second, *_ = await receiver.wait(2)

    assert first.params == second.params
    assert first.token != second.token


@pytest.mark.parametrize(
    ("last_four", "status", "code"),
    [("0030", 400, 21211), ("0031", 400, 21610), ("0041", 429, 20429), ("0050", 500, 20500), ("0052", 503, 20503)],
)
async def test_a_refusal_is_twilios_error_and_nothing_is_accepted(
    last_four: str, status: int, code: int, far_end: FarEnd
) -> None:
    answered, problem = await far_end.post("Messages", text(last_four))
    _, counts = await far_end.practice("GET", "counts")

    assert (answered, problem["code"], problem["status"]) == (status, code, status)
    assert problem["more_info"].endswith(f"/{code}")
    assert counts["messages_received"] == 0


async def test_a_throttling_number_takes_the_fourth_request(far_end: FarEnd) -> None:
    answers = [(await far_end.post("Messages", text("0040")))[0] for _ in range(4)]

    assert answers == [429, 429, 429, 201]


@pytest.mark.parametrize(("last_four", "accepted"), [("0062", 0), ("0063", 1)])
async def test_a_reset_connection_says_nothing_of_what_was_accepted(
    last_four: str, accepted: int, far_end: FarEnd
) -> None:
    with pytest.raises(aiohttp.ClientConnectionError):
        await far_end.post("Messages", text(last_four))
    _, counts = await far_end.practice("GET", "counts")

    assert counts["messages_received"] == accepted


async def test_an_answer_that_never_comes_hides_an_accepted_text(far_end: FarEnd, receiver: Receiver) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await far_end.post("Messages", text("0060", StatusCallback=f"{receiver.url}/status"))

    assert [hook.params["MessageStatus"] for hook in await receiver.wait(2)] == ["sent", "delivered"]


async def test_500_can_come_although_the_text_was_accepted(far_end: FarEnd, receiver: Receiver) -> None:
    status, _ = await far_end.post("Messages", text("0051", StatusCallback=f"{receiver.url}/status"))

    assert status == 500
    assert len(await receiver.wait(2)) == 2


async def test_reports_can_overtake_the_answer(far_end: FarEnd, receiver: Receiver) -> None:
    post = asyncio.create_task(far_end.post("Messages", text("0014", StatusCallback=f"{receiver.url}/status")))
    hooks = await receiver.wait(2)

    assert not post.done()
    assert hooks[-1].params["MessageStatus"] == "delivered"
    assert (await post)[1]["sid"] == hooks[-1].params["MessageSid"]


@pytest.mark.parametrize(
    ("last_four", "words"),
    [("0020", "STOP"), ("0021", "HELP"), ("0022", "START"), ("0024", "Stop. Thank you")],
)
async def test_people_text_back_over_a_signed_webhook(
    last_four: str, words: str, start: Start, receiver: Receiver
) -> None:
    far_end = await start(inbound_url=f"{receiver.url}/inbound")
    await far_end.post("Messages", text(last_four))
    (hook,) = await receiver.wait(1)

    assert hook.signed
    assert hook.params["Body"] == words
    assert (hook.params["From"], hook.params["To"]) == (f"+1212555{last_four}", SENDER)
    assert hook.params["NumSegments"] == "1"
    assert "OptOutType" not in hook.params


async def test_keyword_handling_blocks_after_stop_and_lifts_after_start(start: Start, receiver: Receiver) -> None:
    far_end = await start(inbound_url=f"{receiver.url}/inbound", keyword_handling=True)
    said = {"from": "+12125557777", "to": SENDER}

    await far_end.practice("POST", "inbound", {**said, "body": " stop "})
    blocked = await far_end.post("Messages", text("7777"))
    await far_end.practice("POST", "inbound", {**said, "body": "START"})
    lifted = await far_end.post("Messages", text("7777"))

    assert [hook.params["OptOutType"] for hook in receiver.hooks] == ["STOP", "START"]
    assert (blocked[0], blocked[1]["code"], lifted[0]) == (400, 21610, 201)


async def test_an_inbound_text_can_be_repeated_under_its_sid(start: Start, receiver: Receiver) -> None:
    far_end = await start()
    await far_end.practice("PUT", f"senders/{SENDER}", {"inbound_url": f"{receiver.url}/mine"})
    said = {"from": "+12125557777", "to": SENDER, "body": "Wrong number"}
    _, first = await far_end.practice("POST", "inbound", said)
    _, again = await far_end.practice("POST", "inbound", {**said, "sid": first["sid"]})

    assert first["status"] == again["status"] == 200
    assert [hook.params["MessageSid"] for hook in receiver.at("/mine")] == [first["sid"]] * 2


async def test_an_inbound_answer_that_would_send_a_text_is_complained_of(start: Start, receiver: Receiver) -> None:
    far_end = await start(inbound_url=f"{receiver.url}/inbound")
    receiver.answers["/inbound"] = ("text/xml", b"<Response><Message>Hi</Message></Response>")
    await far_end.practice("POST", "inbound", {"from": "+12125557777", "to": SENDER, "body": "Hello"})
    _, ledger = await far_end.practice("GET", "ledger")

    assert "empty TwiML" in ledger["complaints"][0]


async def test_a_wrong_key_is_not_let_in(far_end: FarEnd) -> None:
    async with far_end.http.post(f"{far_end.path}/Messages.json", data=text("5555"), headers=key("wrong")) as answer:
        problem = await answer.json()

    assert (answer.status, problem["code"]) == (401, 20003)


async def test_twilios_client_reads_our_errors_as_its_own(far_end: FarEnd) -> None:
    async with far_end.client() as client:
        with pytest.raises(TwilioRestException) as caught:
            await client.messages.create_async(to="+12125550030", from_=SENDER, body="Hello")

    assert (caught.value.status, caught.value.code) == (400, 21211)


async def test_a_queued_text_can_be_cancelled_and_any_deleted(start: Start, receiver: Receiver) -> None:
    far_end = await start(report_delay_s=0.5)
    async with far_end.client() as client:
        sent = await client.messages.create_async(
            to="+12125555555", from_=SENDER, body="x", status_callback=f"{receiver.url}/status"
        )
        cancelled = await client.messages(sent.sid).update_async(status="canceled")
        assert await client.messages(sent.sid).delete_async()
        with pytest.raises(TwilioRestException):
            await client.messages(sent.sid).fetch_async()

    assert cancelled.status == "canceled"


async def test_lists_are_paged_newest_first(far_end: FarEnd) -> None:
    made = [(await far_end.post("Messages", text("5555", Body=f"text {n}")))[1]["sid"] for n in range(5)]
    async with far_end.client() as client:
        listed = await client.messages.list_async(page_size=2)

    assert [message.sid for message in listed] == made[::-1]
