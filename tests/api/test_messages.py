"""One text: accepted, refused, listed, explained."""

from typing import Any

import pytest

from tests.api.conftest import PERSON, TOLL_FREE, Api


def text(**more: Any) -> dict[str, Any]:
    return {"to": PERSON, "from": TOLL_FREE, "body": "Your bill is due.", **more}


def nested(depth: int) -> dict[str, Any]:
    """So many objects in one another."""
    return {"in": nested(depth - 1)} if depth > 1 else {}


async def test_a_text_is_on_disk_when_it_is_accepted(api: Api) -> None:
    await api.sender()

    said = await api.post("/v1/messages", text(reference="bill 7", metadata={"batch": 3}, priority=2))

    assert said.status == 202
    assert (said.body["status"], said.body["segments"], said.body["encoding"]) == ("queued", 1, "GSM-7")
    kept = await api.get(f"/v1/messages/{said.body['id']}")
    assert kept.body | {"events": None} == said.body | {"events": None}
    assert (kept.body["to"], kept.body["from"], kept.body["metadata"]) == (PERSON, TOLL_FREE, {"batch": 3})


async def test_a_saved_template_and_signature_make_the_text(api: Api) -> None:
    await api.sender()
    await api.put("/v1/templates/reminder", {"body": 'Hello {{ name }}, you owe {{ amount|default:"something" }}.'})
    await api.put("/v1/signatures/water", {"body": "City Water. STOP ends."})

    said = await api.post(
        "/v1/messages",
        {"to": PERSON, "from": TOLL_FREE, "template": "reminder", "variables": {"name": "Ann"}, "signature": "water"},
    )

    assert said.body["body"] == "Hello Ann, you owe something.\nCity Water. STOP ends."


async def test_smart_encoding_is_done_only_where_it_is_asked_for(api: Api) -> None:
    await api.sender()

    plain = await api.post("/v1/messages", text(body="It\u2019s due"))
    smart = await api.post("/v1/messages", text(body="It\u2019s due", smart_encoding=True))

    assert (plain.body["encoding"], plain.body["body"]) == ("UCS-2", "It\u2019s due")
    assert (smart.body["encoding"], smart.body["body"]) == ("GSM-7", "It's due")


async def test_a_text_for_later_is_held_until_then(api: Api) -> None:
    await api.sender()

    said = await api.post("/v1/messages", text(send_at="2038-01-01T09:00:00-05:00"))

    assert (said.body["status"], said.body["reason"]) == ("held", "scheduled")
    assert said.body["held_until"] == "2038-01-01T14:00:00.000Z"
    why = await api.get(f"/v1/messages/{said.body['id']}/why")
    assert (why.body["waiting_for"], why.body["opens_at"]) == ("scheduled", "2038-01-01T14:00:00.000Z")


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"to": "2125551234"}, {"to": "invalid_number"}),
        ({"to": "+12120000000"}, {"to": "invalid_number"}),
        ({"to": "+1212555123456789"}, {"to": "invalid_number"}),
        ({"to": 12125551234}, {"to": "wrong_type"}),
        ({"to": None}, {"to": "wrong_type"}),
        ({"from": "+18005550198"}, {"from": "unknown_sender"}),
        ({"from": "nobody"}, {"from": "invalid_number"}),
        ({"body": ""}, {"body": "bad_text"}),
        ({"body": " \n "}, {"body": "bad_text"}),
        ({"body": "a" * 1601}, {"body": "bad_text"}),
        ({"body": "é" * 1601}, {"body": "bad_text"}),
        ({"body": "a\x00b"}, {"body": "bad_text"}),
        ({"body": None}, {"body": "missing_field"}),
        ({"template": "reminder"}, {"body": "missing_field"}),
        ({"body": None, "template": "nothing"}, {"template": "unknown_template"}),
        ({"signature": "nothing"}, {"signature": "unknown_signature"}),
        ({"bdoy": "x"}, {"bdoy": "unknown_field"}),
        ({"send_at": "2038-01-01T09:00:00"}, {"send_at": "bad_time"}),
        ({"send_at": "2038-02-30T09:00:00Z"}, {"send_at": "bad_time"}),
        ({"send_at": 1767225600}, {"send_at": "bad_time"}),
        ({"send_at": "9999-12-31T23:59:59-23:59"}, {"send_at": "bad_time"}),
        ({"expires_at": "2020-01-01T00:00:00Z"}, {"expires_at": "in_the_past"}),
        (
            {"send_at": "2038-01-01T09:00:00Z", "expires_at": "2038-01-01T08:00:00Z"},
            {"expires_at": "before_the_start"},
        ),
        ({"priority": 10}, {"priority": "out_of_range"}),
        ({"priority": "high"}, {"priority": "wrong_type"}),
        ({"metadata": []}, {"metadata": "wrong_type"}),
        ({"metadata": {"a": "x" * 5000}}, {"metadata": "too_long"}),
        ({"metadata": nested(17)}, {"metadata": "too_deep"}),
        ({"metadata": nested(600)}, {"metadata": "too_deep"}),
        ({"reference": "x" * 256}, {"reference": "too_long"}),
        ({"variables": {"name": []}}, {"variables": "bad_variable"}),
        ({"variables": {"na me": "x"}}, {"variables": "bad_variable"}),
        ({"callback_url": "ftp://example.com"}, {"callback_url": "bad_url"}),
        ({"callback_url": "https://user:pw@example.com/"}, {"callback_url": "bad_url"}),
        ({"callback_url": "http://127.0.0.1/hook"}, {"callback_url": "private_address"}),
        ({"callback_url": "http://[::1]/hook"}, {"callback_url": "private_address"}),
        ({"callback_url": "http://10.1.2.3:8080/hook"}, {"callback_url": "private_address"}),
        ({"callback_url": "http://localhost/hook"}, {"callback_url": "private_address"}),
    ],
    ids=lambda value: "-".join(f"{name}={str(each)[:24]}" for name, each in value.items()),
)
async def test_what_is_wrong_is_told_by_field_and_nothing_is_kept(
    api: Api, changes: dict[str, Any], wrong: dict[str, str]
) -> None:
    await api.sender()

    said = await api.post("/v1/messages", text(**changes))

    assert (said.status, said.slug, said.wrong) == (422, "invalid_request", wrong)
    assert said.headers["Content-Type"] == "application/problem+json"
    assert (await api.get("/v1/messages")).body["items"] == []


async def test_everything_that_is_wrong_is_told_at_once(api: Api) -> None:
    said = await api.post("/v1/messages", {"to": "x", "from": TOLL_FREE, "priority": -1, "colour": "red"})

    assert said.wrong == {"to": "invalid_number", "priority": "out_of_range", "colour": "unknown_field"}


async def test_a_mistyped_field_is_answered_with_the_one_that_was_meant(api: Api) -> None:
    said = await api.post("/v1/messages", {**text(), "referense": "x"})

    assert said.body["errors"][0]["detail"] == "there is no such field; did you mean reference?"


async def test_a_missing_variable_is_named(api: Api) -> None:
    await api.sender()
    await api.put("/v1/templates/reminder", {"body": "Hello {{ name }}."})

    said = await api.post("/v1/messages", {"to": PERSON, "from": TOLL_FREE, "template": "reminder"})

    assert said.wrong == {"variables.name": "missing_variable"}


async def test_variables_that_the_template_does_not_ask_for_are_told_with_those_that_are_missing(api: Api) -> None:
    await api.sender()
    await api.put("/v1/templates/reminder", {"body": "Hello {{ name }}, see you on {{ day }}."})

    said = await api.post("/v1/messages", text(body=None, template="reminder", variables={"nmae": "Ann"}))
    as_it_stands = await api.post("/v1/messages", text(variables={"name": "Ann"}))

    assert said.wrong == {
        "variables.name": "missing_variable", "variables.day": "missing_variable", "variables.nmae": "bad_variable",
    }  # fmt: skip
    assert as_it_stands.wrong == {"variables.name": "bad_variable"}


async def test_an_error_never_repeats_what_was_given(api: Api) -> None:
    said = await api.post("/v1/messages", text(to="+12120000001", body="a secret", callback_url="ftp://my.secret"))

    assert not any(word in str(said.body) for word in ("0000001", "secret"))


@pytest.mark.parametrize(
    ("data", "place"), [(b'{"to": ', "line 1, column 8"), (b'{"to":\n1,}', "line 2"), (b"", "empty"), (b"\xff", "JSON")]
)
async def test_malformed_json_is_told_with_its_place(api: Api, data: bytes, place: str) -> None:
    said = await api.ask("POST", "/v1/messages", data=data, headers={"Content-Type": "application/json"})

    assert (said.status, said.slug) == (400, "bad_json")
    assert place in said.body["detail"]


async def test_a_body_that_is_no_json_object_is_refused(api: Api) -> None:
    assert (await api.post("/v1/messages", [1])).wrong == {"": "not_an_object"}
    said = await api.ask("POST", "/v1/messages", data=b"to=1", headers={"Content-Type": "text/plain"})
    assert (said.status, said.slug) == (415, "bad_media_type")


async def test_a_sender_without_a_carrier_sends_no_texts(api: Api) -> None:
    await api.sender(carrier="")

    assert (await api.post("/v1/messages", text())).wrong == {"from": "no_road"}


async def test_a_sender_of_another_tenant_is_unknown(api: Api) -> None:
    other = await api.key(tenant="gas")
    await api.sender()

    assert (await api.post("/v1/messages", text(), secret=other)).wrong == {"from": "unknown_sender"}


async def test_pages_follow_one_another_to_the_end_and_filter(api: Api) -> None:
    await api.sender()
    ids = [(await api.post("/v1/messages", text(reference=f"r{n % 2}"))).body["id"] for n in range(5)]

    seen, cursor = [], ""
    while True:
        page = await api.get("/v1/messages", params={"limit": 2, "cursor": cursor})
        seen += [each["id"] for each in page.body["items"]]
        cursor = page.body["next_cursor"]
        if cursor is None:
            break

    assert seen == ids[::-1]
    odd = await api.get("/v1/messages", params={"reference": "r1"})
    assert [each["id"] for each in odd.body["items"]] == [ids[3], ids[1]]
    assert (await api.get("/v1/messages", params={"to": "+12125550000"})).body["items"] == []
    assert len((await api.get(f"/v1/messages?to={PERSON}")).body["items"]) == 5
    assert (await api.get("/v1/messages", params={"limit": 201})).wrong == {"limit": "out_of_range"}
    assert (await api.get("/v1/messages", params={"colour": "red"})).wrong == {"colour": "unknown_field"}


async def test_live_and_test_keys_and_tenants_do_not_see_each_other(api: Api) -> None:
    await api.sender()
    made = (await api.post("/v1/messages", text())).body["id"]

    for secret in (await api.key(mode="test"), await api.key(tenant="gas")):
        assert (await api.get("/v1/messages", secret=secret)).body["items"] == []
        assert (await api.get(f"/v1/messages/{made}", secret=secret)).status == 404
        assert (await api.get(f"/v1/messages/{made}/why", secret=secret)).status == 404


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("/v1/messages?status=deliverd", {"status": "not_one_of"}),
        ("/v1/calls?status=delivered", {"status": "not_one_of"}),
        ("/v1/jobs?status=done&channel=fax", {"status": "not_one_of", "channel": "not_one_of"}),
        ("/v1/messages?to=Ann", {"to": "invalid_number"}),
        ("/v1/inbound?from=12125551234", {"from": "invalid_number"}),
        ("/v1/messages?cursor=7", {"cursor": "bad_cursor"}),
        ("/v1/jobs?cursor=%00", {"cursor": "bad_cursor"}),
        ("/v1/opt-outs?cursor=next", {"cursor": "invalid_number"}),
        ("/v1/events?after=soon", {"after": "bad_seq"}),
        ("/v1/events?after=-1", {"after": "bad_seq"}),
    ],
)
async def test_a_filter_that_can_match_nothing_is_refused_and_not_answered_with_an_empty_list(
    api: Api, path: str, wrong: dict[str, str]
) -> None:
    said = await api.get(path)

    assert (said.status, said.slug, said.wrong) == (422, "invalid_request", wrong)


async def test_a_body_that_is_not_utf8_is_told_with_the_byte(api: Api) -> None:
    headers = {"Content-Type": "application/json"}
    said = await api.ask("POST", "/v1/messages", data=b'{"body": "caf\xe9"}', headers=headers)

    assert (said.status, said.slug) == (400, "bad_json")
    assert said.body["detail"] == "not JSON: byte 14 is not UTF-8"
