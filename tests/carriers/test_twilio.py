"""What the Twilio carrier writes to the wire, held against Twilio's own description, and how it reads what comes back."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import encode_basic_auth, web
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from gateway.carriers.twilio import TwilioAccount, TwilioSms
from gateway.carriers.twilio_codes import REFUSALS
from gateway.errors.carriers import BadReport, CarrierListUnread
from gateway.model.message import Message
from gateway.model.outcome import Accepted, NotSent, Refused, Throttled, Unknown
from gateway.net.http_client import HttpClient

VECTORS = os.environ.get("GATEWAY_VECTORS", "")
DESCRIPTION = Path(VECTORS, "twilio_api_v2010.json")
SID = "AC" + "1" * 32
TEXT = Message("msg_1", "acme", "live", "+18005550199", "+12125551234", "Hé ✓", "ucs2", 1)


class Twilio:
    """The other end of the wire: keeps the request, answers as it is told to."""

    def __init__(self, status: int = 201, answer: object = None, **headers: str) -> None:
        self.status = status
        self.headers = headers
        self.answer = answer if answer is not None else {"sid": "SM" + "2" * 32, "status": "queued"}
        self.requests: list[tuple[str, dict[str, str], dict[str, str]]] = []

    async def take(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        self.requests.append((request.path, dict(form), dict(request.headers)))
        if self.status == 0:
            request.transport.abort()
        return web.json_response(self.answer, status=self.status or 200, headers=self.headers)


@asynccontextmanager
async def carrier(twilio: Twilio | None) -> AsyncIterator[TwilioSms]:
    app = web.Application()
    if twilio is not None:
        app.router.add_post("/{path:.*}", twilio.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    if twilio is None:
        await runner.cleanup()
    async with HttpClient() as http:
        account = TwilioAccount(
            "twilio", SID, "token", f"http://127.0.0.1:{port}", "https://gw.example/carriers/twilio"
        )
        yield TwilioSms(account, http)
    await runner.cleanup()


async def ready() -> bool:
    return True


async def offer(twilio: Twilio | None, **more: Any) -> Any:
    options = {"timeout_s": 1.0, "validity_s": 600, **more}
    async with carrier(twilio) as road:
        return await road.send(TEXT, options.pop("ready", ready), lambda: None, **options)


async def test_a_text_is_posted_with_our_id_in_its_status_url() -> None:
    twilio = Twilio()

    outcome = await offer(twilio)

    ((path, form, headers),) = twilio.requests
    assert outcome == Accepted("SM" + "2" * 32, "queued")
    assert path == f"/2010-04-01/Accounts/{SID}/Messages.json"
    assert form == {
        "To": TEXT.recipient, "From": TEXT.sender, "Body": "Hé ✓", "ValidityPeriod": "600", "SmartEncoded": "false",
        "StatusCallback": "https://gw.example/carriers/twilio/status?id=msg_1",
    }  # fmt: skip
    assert headers["Authorization"].startswith("Basic ")


class Package(AsyncHttpClient):
    """Keeps what the `twilio` package would post."""

    async def request(self, method: str, url: str, **rest: Any) -> Response:
        self.asked = (method, url, rest["data"], rest["headers"], rest["auth"])
        return Response(201, orjson.dumps({"sid": "SM" + "2" * 32}).decode())


@pytest.mark.parametrize("body", ["Hé ✓", "a+b & c=d%20\r\n#?", "~-._* 'quoted' \u20ac"])
async def test_what_is_posted_is_what_the_twilio_package_would_post(body: str) -> None:
    twilio, package = Twilio(), Package(logging.getLogger("twilio"), True, None)
    text = replace(TEXT, body=body, recipient="+12125551234")
    async with carrier(twilio) as road:
        await road.send(text, ready, lambda: None, timeout_s=1.0, validity_s=90_000)
    callback = "https://gw.example/carriers/twilio/status?id=msg_1"
    await Client(SID, "token", http_client=package).messages.create_async(
        to=text.recipient, from_=text.sender, body=body, status_callback=callback, validity_period=36_000,
        smart_encoded=False,
    )  # fmt: skip

    ((path, form, headers),) = twilio.requests
    method, url, fields, named, auth = package.asked
    assert (method, url) == ("POST", f"https://api.twilio.com{path}")
    assert form == {name: str(value) for name, value in fields.items()}
    assert headers["Authorization"] == encode_basic_auth(*auth)
    assert all(headers[name] == named[name] for name in ("Accept", "Content-Type"))


@pytest.mark.skipif(not DESCRIPTION.is_file(), reason="GATEWAY_VECTORS names no folder with twilio_api_v2010.json")
async def test_every_parameter_stands_in_twilios_own_description() -> None:
    twilio = Twilio()
    await offer(twilio)
    ((_, form, _),) = twilio.requests

    described = orjson.loads(DESCRIPTION.read_bytes())  # noqa: ASYNC240
    operation = described["paths"]["/2010-04-01/Accounts/{AccountSid}/Messages.json"]["post"]
    schema = operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]

    assert form.keys() <= schema["properties"].keys()
    assert set(schema.get("required", ())) <= form.keys()
    for name, value in form.items():
        kind = schema["properties"][name].get("type")
        assert kind != "integer" or value.isdigit()
        assert kind != "boolean" or value.lower() in {"true", "false"}


@pytest.mark.parametrize(
    ("status", "answer", "outcome"),
    [
        (400, {"code": 21211, "message": "no", "status": 400}, Refused("21211", "invalid_number")),
        (400, {"code": 21610, "message": "no", "status": 400}, Refused("21610", "opted_out_at_carrier", "suppressed")),
        (400, {"code": 99999, "message": "no", "status": 400}, Refused("99999", "carrier_refused")),
        (429, {"code": 20429, "message": "slow", "status": 429}, Throttled("20429")),
        (400, {"code": 21611, "message": "full", "status": 400}, Throttled("21611")),
        (400, {"code": 10004, "message": "calls", "status": 400}, Throttled("10004")),
        (400, {"code": 21217, "message": "no number", "status": 400}, Refused("21217", "invalid_number")),
        (401, {"code": 20003, "message": "who", "status": 401}, NotSent("carrier_account")),
        (500, {"code": 20500, "message": "oh", "status": 500}, Unknown("http_500")),
        (503, {}, Unknown("http_503")),
        (0, None, Unknown("connection_broken")),
        (201, ["not", "a", "message"], Unknown("unreadable")),
        (201, {"status": "queued"}, Unknown("unreadable")),
        (400, ["not", "an", "error"], Refused("400", "carrier_refused")),
        (429, {}, Throttled("429")),
        (408, {}, Unknown("http_408")),
        (303, {}, Unknown("http_303")),
        (403, {"code": 20003, "type": "t", "title": "who", "status": 403}, NotSent("carrier_account")),
        (403, {"code": 21610, "message": "no", "status": 403}, Refused("21610", "opted_out_at_carrier", "suppressed")),
        (404, {"code": 20404, "message": "no such account", "status": 404}, NotSent("carrier_account")),
        (404, "a page of a web server", NotSent("carrier_account")),
        (301, {}, NotSent("carrier_account")),
    ],
)
async def test_what_twilio_answers_becomes_one_of_five_outcomes(status: int, answer: Any, outcome: Any) -> None:
    twilio = Twilio(status, answer)

    assert await offer(twilio) == outcome
    assert len(twilio.requests) == 1


@pytest.mark.parametrize(
    ("wish", "wait_s"),
    [("7", 7.0), ("86400", 300.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("\u0663", None), ("-1", None)],
    ids=["seconds", "a day", "a date", "no digit of ours", "negative"],
)
async def test_a_carrier_that_says_when_to_ask_again_is_heard(wish: str, wait_s: float | None) -> None:
    twilio = Twilio(429, {"code": 20429}, **{"Retry-After": wish})

    assert await offer(twilio) == Throttled("20429", wait_s)


async def test_a_connection_that_is_refused_sent_nothing() -> None:
    assert await offer(None) == NotSent("connection_refused")


async def test_a_message_that_is_taken_back_never_reaches_the_wire() -> None:
    async def no() -> bool:
        return False

    twilio = Twilio()
    assert await offer(twilio, ready=no) == NotSent("taken_back")
    assert twilio.requests == []


@pytest.mark.parametrize(
    ("word", "code", "status", "reason"),
    [
        ("sent", "", "sent", ""),
        ("delivered", "", "delivered", ""),
        ("read", "", "delivered", ""),
        ("undelivered", "30003", "undelivered", "unreachable"),
        ("failed", "30036", "expired", "validity_expired"),
        ("canceled", "", "failed", "cancelled_at_carrier"),
        ("partially_delivered", "", "", ""),
    ],
)
async def test_a_report_says_what_its_status_means_to_us(word: str, code: str, status: str, reason: str) -> None:
    async with carrier(Twilio()) as road:
        report = road.read_report({"MessageSid": "SM1", "MessageStatus": word, "ErrorCode": code}, {"id": "msg_1"})

    assert (report.message_id, report.status, report.reason) == ("msg_1", status, reason)


async def test_a_report_without_its_fields_is_refused() -> None:
    async with carrier(Twilio()) as road:
        with pytest.raises(BadReport):
            road.read_report({"MessageSid": "SM1"}, {})
        with pytest.raises(BadReport, match="From"):
            road.read_incoming({"MessageSid": "SM1", "To": "+18005550199"})


def test_every_refusal_ends_in_a_final_state() -> None:
    assert {final for _, final in REFUSALS.values()} <= {"failed", "expired", "suppressed"}


def listed_text(number: int, *, made: str = "Sat, 21 Nov 2026 20:00:00 +0000", **more: Any) -> dict[str, Any]:
    return {"sid": f"SM{number:032}", "body": f"text {number}", "date_created": made, "status": "queued", **more}


class Lists(Twilio):
    """A list of two pages, the second of which begins with what the first ended with."""

    def __init__(self, second: int = 200) -> None:
        super().__init__()
        self.second = second
        self.queries: list[dict[str, str]] = []

    async def give(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(dict(request.query))
        following = f"{request.path}?{request.query_string}&Page=1&PageToken=PASM"
        if "Page" not in request.query:
            newest = [listed_text(3, status="failed", error_code=30036), listed_text(2, status="sent")]
            return web.json_response({"messages": newest, "next_page_uri": following})
        old = listed_text(0, made="Sat, 21 Nov 2026 19:00:00 +0000")
        last = [listed_text(2, status="delivered"), listed_text(1), old]
        return web.json_response({"messages": last, "next_page_uri": following}, status=self.second)


@asynccontextmanager
async def listing(twilio: Lists) -> AsyncIterator[TwilioSms]:
    app = web.Application()
    app.router.add_get("/{path:.*}", twilio.give)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with HttpClient() as http:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield TwilioSms(TwilioAccount("twilio", SID, "token", url, "https://gw.example/carriers/twilio"), http)
    await runner.cleanup()


SINCE_MS = 1_795_289_400_000  # 19:30 on that day


async def test_a_list_is_read_to_the_moment_asked_about_and_each_text_is_in_it_once() -> None:
    twilio = Lists()
    async with listing(twilio) as road:
        found = await road.listed(TEXT.sender, TEXT.recipient, SINCE_MS, timeout_s=1.0)

    assert twilio.queries[0] == {"From": TEXT.sender, "To": TEXT.recipient, "PageSize": "100"}
    assert [(each.body, each.report.status, each.report.reason) for each in found] == [
        ("text 3", "expired", "validity_expired"),
        ("text 2", "delivered", ""),
        ("text 1", "sent", ""),
    ]
    assert {each.created_ms for each in found} == {SINCE_MS + 1_800_000}


async def test_a_list_that_breaks_off_is_not_taken_for_a_whole_one() -> None:
    async with listing(Lists(second=503)) as road:
        with pytest.raises(CarrierListUnread):
            await road.listed(TEXT.sender, TEXT.recipient, SINCE_MS, timeout_s=1.0)
