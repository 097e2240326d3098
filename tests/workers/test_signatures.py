"""Who may post what a carrier posts: whoever signed it, for the address that it was sent to."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import pytest
import structlog
from twilio.request_validator import RequestValidator

from gateway.api import carrier_webhooks
from gateway.api.carrier_webhooks import signature
from tests.workers.test_inbound import PERSON, log, opted_out, text_in


async def test_an_unsigned_or_wrongly_signed_webhook_has_no_effect(sending: Any, http: Any) -> None:
    assert await text_in(sending, http, "STOP", token="not-ours") == 403
    async with http.post(f"{sending.url}/carriers/twilio/inbound", data={"Body": "STOP", "From": PERSON}) as response:
        assert response.status == 403

    assert not await opted_out(sending)
    assert await log(sending, "inbound.received") == []


async def test_a_flood_of_unsigned_webhooks_is_told_of_in_a_line_now_and_then_whatever_their_host_says(
    sending: Any, http: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refusing one costs a fiftieth of finding out why it does not verify."""
    monkeypatch.setattr(carrier_webhooks, "_TOLD_EVERY_S", 60.0)
    with structlog.testing.capture_logs() as logged:
        for host in ("gw.example", "gw.example:port", "[::1", "gw.example"):
            assert await text_in(sending, http, "STOP", token="not-ours", Host=host) in {400, 403}

    assert [each["refused"] for each in logged if each["event"] == "bad_signature"] == [1]


async def test_a_url_is_signed_with_its_port_or_without(sending: Any, http: Any) -> None:
    whole = f"{sending.url}/carriers/twilio/inbound"
    bare = whole.replace(f":{urlsplit(whole).port}", "")

    assert [await text_in(sending, http, "hello", sign_as=each) for each in (whole, bare)] == [200, 200]


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"MessageSid": "SM1", "From": PERSON, "Body": "a+b & c=d"},
        {"b": "2", "a": "Hé ✓ 😀", "B": "", "aa": " x "},
    ],
    ids=["empty", "plain", "order, case, blanks and other scripts"],
)
def test_a_signature_is_the_twilio_packages(form: dict[str, str]) -> None:
    url = "https://gw.example/carriers/twilio/status?id=msg_1"

    assert signature("token", url, form) == RequestValidator("token").compute_signature(url, form)


@pytest.mark.parametrize(
    ("form", "status"), [({f"field{number}": "" for number in range(201)}, 400), ({"Body": "x" * 65_536}, 413)]
)
async def test_a_form_of_more_than_any_carrier_sends_is_refused(
    sending: Any, http: Any, form: dict[str, str], status: int
) -> None:
    url = f"{sending.url}/carriers/twilio/inbound"
    signed = RequestValidator(sending.far_end.parts.options.auth_token).compute_signature(url, form)

    async with http.post(url, data=form, headers={"X-Twilio-Signature": signed}) as response:
        assert response.status == status


async def test_a_signature_over_another_url_is_refused(sending: Any, http: Any) -> None:
    """With `public_url` set, only that counts, whatever host headers say."""
    elsewhere = "https://elsewhere.example/carriers/twilio/inbound"

    status = await text_in(sending, http, "STOP", sign_as=elsewhere, Host="elsewhere.example")

    assert status == 403


async def test_a_host_of_bytes_that_are_no_text_is_refused_like_any_that_was_not_signed(sending: Any) -> None:
    reader, writer = await asyncio.open_connection(*sending.url.removeprefix("http://").split(":"))
    form = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\na=b"
    writer.write(b"POST /carriers/twilio/inbound HTTP/1.1\r\nHost: \xff\r\nX-Twilio-Signature: abc\r\n" + form)

    assert (await reader.readline()).startswith(b"HTTP/1.1 403 ")
    writer.close()
