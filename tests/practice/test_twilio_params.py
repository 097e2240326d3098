import json
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.practice import twilio_params as params
from gateway.practice.twilio_json import Call, Message, page
from tests.practice.conftest import SENDER, FarEnd

OK_TEXT = [("To", "+12125551234"), ("From", SENDER), ("Body", "Hello")]
OK_CALL = [("To", "+12125551234"), ("From", SENDER), ("Url", "https://example.com/voice")]
MESSAGES, CALLS = "/2010-04-01/Accounts/{AccountSid}/Messages", "/2010-04-01/Accounts/{AccountSid}/Calls"


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    """Twilio's own OpenAPI description."""
    folder = os.environ.get("GATEWAY_VECTORS")
    if not folder or not (Path(folder) / "twilio_api_v2010.json").exists():
        pytest.skip("GATEWAY_VECTORS names no folder with twilio_api_v2010.json")
    return json.loads((Path(folder) / "twilio_api_v2010.json").read_text())  # type: ignore[no-any-return]


def resolved(schema: dict[str, Any], description: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return description["components"]["schemas"][name] if name else schema  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("path", "declared"),
    [
        (f"{MESSAGES}.json", params.CREATE_MESSAGE),
        (f"{MESSAGES}/{{Sid}}.json", params.UPDATE_MESSAGE),
        (f"{CALLS}.json", params.CREATE_CALL),
        (f"{CALLS}/{{Sid}}.json", params.UPDATE_CALL),
    ],
)
def test_the_declared_parameters_are_those_of_twilios_description(
    path: str, declared: params.Declared, description: dict[str, Any]
) -> None:
    form = description["paths"][path]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    theirs = {name: resolved(schema, description) for name, schema in form["properties"].items()}

    assert declared.keys() == theirs.keys()
    for name, schema in theirs.items():
        kind = declared[name]
        assert kind.is_list == (schema["type"] == "array"), name
        for word in schema.get("enum", []):
            assert kind.fits(word), name
        if "enum" in schema or schema["type"] in {"integer", "boolean", "number"} or "pattern" in schema:
            assert not kind.fits("no such value"), name


@pytest.mark.parametrize(
    ("path", "declared"), [(f"{MESSAGES}.json", params.LIST_MESSAGE), (f"{CALLS}.json", params.LIST_CALL)]
)
def test_the_declared_filters_are_those_of_twilios_description(
    path: str, declared: params.Declared, description: dict[str, Any]
) -> None:
    theirs = {found["name"] for found in description["paths"][path]["get"]["parameters"] if found["in"] == "query"}

    assert declared.keys() == theirs


def test_answers_have_exactly_the_fields_of_twilios_description(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]
    lists = description["paths"][f"{MESSAGES}.json"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    message = Message("AC1", "+12125551234", SENDER, "Hello", 1)

    assert message.json().keys() == schemas["api.v2010.account.message"]["properties"].keys()
    assert Call("AC1", "+12125551234", SENDER).json().keys() == schemas["api.v2010.account.call"]["properties"].keys()
    assert page("messages", "/", [message], {}).keys() == lists["properties"].keys()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ([("Too", "much")], 20001),
        ([("Body", "twice")], 20422),
        ([("ValidityPeriod", "soon")], 20422),
        ([("ValidityPeriod", "36001")], 20422),
        ([("StatusCallback", "localhost/status")], 20422),
        ([("SmartEncoded", "yes")], 20422),
        ([("ContentSid", "HX" + "0" * 32)], 20422),
        ([("MessagingServiceSid", "MG1")], 20422),
        ([("SendAt", "2026-12-01T00:00:00Z")], 35118),
    ],
    ids=lambda value: value[0][0] if isinstance(value, list) else str(value),
)
def test_what_twilio_does_not_know_is_refused(change: list[tuple[str, str]], code: int) -> None:
    with pytest.raises(params.TwilioError) as caught:
        params.check_message([*OK_TEXT, *change])

    assert (caught.value.status, caught.value.code) == (400, code)


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ([("From", SENDER), ("Body", "x")], 21604),
        ([("To", "+12125551234"), ("Body", "x")], 21603),
        ([("To", "+12125551234"), ("From", SENDER)], 21602),
        ([("To", "+12125551234"), ("From", SENDER), ("Body", "")], 21602),
        ([("To", "+12125551234"), ("From", SENDER), ("Body", "x" * 1601)], 21617),
        ([("To", "2125551234"), ("From", SENDER), ("Body", "x")], 21211),
        ([("To", "+12120000001"), ("From", SENDER), ("Body", "x")], 21211),
        ([("To", "+12125551234"), ("From", "bank"), ("Body", "x")], 21212),
    ],
)
def test_what_a_text_needs_is_asked_for_by_twilios_code(form: list[tuple[str, str]], code: int) -> None:
    with pytest.raises(params.TwilioError) as caught:
        params.check_message(form)

    assert caught.value.code == code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ([("Twiml", "<Response/>")], 21205),
        ([("StatusCallbackEvent", "hung-up")], 21626),
        ([("MachineDetection", "Maybe")], 20422),
        ([("Timeout", "601")], 20422),
        ([("Body", "x")], 20001),
    ],
)
def test_what_a_call_may_not_ask_is_refused(change: list[tuple[str, str]], code: int) -> None:
    assert params.check_call(OK_CALL)["Url"] == ["https://example.com/voice"]
    with pytest.raises(params.TwilioError) as caught:
        params.check_call([*OK_CALL, *change])

    assert caught.value.code == code


def test_short_codes_send_but_do_not_receive() -> None:
    assert params.check_message([("To", "+12125551234"), ("From", "55512"), ("Body", "x")])
    with pytest.raises(params.TwilioError):
        params.check_message([("To", "55512"), ("From", SENDER), ("Body", "x")])


async def test_a_refused_request_is_a_complaint_in_the_ledger(far_end: FarEnd) -> None:
    status, problem = await far_end.post("Messages", [*OK_TEXT, ("Priority", "high")])
    _, ledger = await far_end.practice("GET", "ledger")

    assert (status, problem["code"], problem["message"]) == (400, 20001, "Unknown parameter: Priority")
    assert (len(ledger["arrivals"]), len(ledger["complaints"])) == (0, 1)
