"""The people of a broadcast: all that is wrong with each is told, and what of theirs nothing asks for."""

import pytest

from gateway.api import people
from tests.api.broadcasts import NDJSON, PLAN, number, publish, sms, upload
from tests.api.conftest import PERSON, TOLL_FREE, Api


async def test_one_person_who_cannot_be_reached_refuses_the_whole_job(api: Api) -> None:
    await api.sender()

    said = await api.post(
        "/v1/jobs", sms({"to": number(0)}, {"to": "+12120000000"}, {"to": number(2)}, {"to": number(0)})
    )

    assert (said.status, said.slug) == (422, "invalid_recipients")
    assert [(each["line"], each["field"], each["slug"]) for each in said.body["errors"]] == [
        (2, "to", "invalid_number"),
        (4, "to", "duplicate"),
    ]
    assert (await api.get("/v1/jobs")).body["items"] == []
    assert (await api.get("/v1/messages")).body["items"] == []


async def test_skip_leaves_them_out_and_tells_each(api: Api) -> None:
    await api.sender()
    bad = [{"to": "x"}, "no object", {"to": number(3), "colour": "red"}, {"to": number(4), "variables": {"a": []}}]

    said = await api.post("/v1/jobs", sms({"to": number(0)}, *bad, on_invalid="skip"))

    assert (said.status, said.body["accepted"]) == (202, 1)
    told = said.body["skipped"]
    assert told["count"] == 4
    assert [(each["line"], each["slug"]) for each in told["entries"]] == [
        (2, "invalid_number"), (3, "not_an_object"), (4, "unknown_field"), (5, "bad_variable"),
    ]  # fmt: skip


async def test_of_very_many_who_are_wrong_a_thousand_are_told_and_all_are_counted(api: Api) -> None:
    await api.sender()

    said = await api.post("/v1/jobs", sms(*({"to": "x"} for _ in range(1500)), on_invalid="skip"))

    assert (said.body["skipped"]["count"], len(said.body["skipped"]["entries"])) == (1500, 1000)


async def test_people_whose_texts_would_fill_the_memory_are_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short list with a long text: 32 MB that come in would be gigabytes here."""
    monkeypatch.setattr(people, "MOST_BYTES", 100_000)
    await api.sender()

    said = await api.post("/v1/jobs", sms(*({"to": number(n)} for n in range(100)), message={"body": "x" * 1600}))

    assert (said.status, said.wrong) == (422, {"recipients": "too_long"})
    assert (await api.get("/v1/jobs")).body["items"] == []


async def test_a_person_whose_text_cannot_be_filled_in_is_told_by_variable(api: Api) -> None:
    await api.sender()

    said = await api.post("/v1/jobs", sms({"to": number(0)}, message={"body": "Hello {{ name }}."}))

    assert [(each["field"], each["slug"]) for each in said.body["errors"]] == [("variables.name", "missing_variable")]


async def test_all_that_is_wrong_with_a_person_is_told_at_once(api: Api) -> None:
    await api.sender()
    person = {"to": "x", "reference": {}, "network": "mars", "variables": {"name": " ", "a b": "x", "day": None}}

    said = await api.post("/v1/jobs", sms(person, message={"body": "Hello {{ name }}, see you on {{ day }}."}))

    assert said.body["detail"].startswith("1 recipient is invalid")
    assert [(each["line"], each["field"], each["slug"]) for each in said.body["errors"]] == [
        (1, "reference", "bad_reference"),
        (1, "network", "not_one_of"),
        (1, "to", "invalid_number"),
        (1, "variables.a b", "bad_variable"),
        (1, "variables.name", "missing_variable"),
        (1, "variables.day", "missing_variable"),
    ]


async def test_what_a_person_of_calls_lacks_for_the_plan_and_for_the_text_is_told_at_once(api: Api) -> None:
    await api.sender(carrier="twilio")
    await publish(api, PLAN.replace('amount: {default: "your balance"}', "amount: {type: money, required: true}"))
    retries = {"busy": {"text": {"body": "{{ name }}, we called on {{ day }}."}}}
    job = {"channel": "voice", "from": TOLL_FREE, "call": {"dialplan": "reminder"}, "retries": retries}

    said = await api.post("/v1/jobs", {**job, "recipients": [{"to": PERSON, "variables": {"amount": "much"}}]})

    assert said.wrong == {
        "variables.name": "bad_variables", "variables.amount": "bad_variables", "variables.day": "missing_variable",
    }  # fmt: skip


async def test_fields_of_the_other_channel_are_refused_with_the_person_who_has_them(api: Api) -> None:
    await api.sender()
    await publish(api)
    texts = await api.post("/v1/jobs", sms({"to": PERSON, "alternatives": [number(1)]}, {"to": number(2)}))
    calls = {"channel": "voice", "from": TOLL_FREE, "call": {"dialplan": "reminder", "variables": {"name": "Ann"}}}
    people = [{"to": PERSON, "network": "att"}, {"to": number(1), "network": None}]
    made = await api.post("/v1/jobs", {**calls, "recipients": people, "on_invalid": "skip"})
    added = await upload(api, made.body["id"], NDJSON, b'{"to": "+12125559876", "network": "verizon"}')

    assert [(each["line"], each["field"], each["slug"]) for each in texts.body["errors"]] == [
        (1, "alternatives", "unknown_field")
    ]
    assert (made.status, made.body["accepted"]) == (202, 1)
    (told,) = made.body["skipped"]["entries"]
    assert (told["field"], told["detail"]) == ("network", "does not belong to channel voice")
    assert (added.status, added.wrong) == (422, {"network": "unknown_field"})


async def test_variables_that_nothing_asks_for_are_told_with_what_may_have_been_meant(api: Api) -> None:
    await api.sender()
    people = [{"to": number(n), "variables": {"Name": "Ann", "city": "Troy"} if n else {}} for n in range(3)]
    told = [
        {"name": "Name", "count": 2, "first_line": 2, "did_you_mean": "name"},
        {"name": "city", "count": 2, "first_line": 2, "did_you_mean": None},
    ]

    thought = await api.post("/v1/jobs", sms(*people), params={"dry_run": "true"})
    made = await api.post("/v1/jobs", sms(*people))
    added = await upload(api, made.body["id"], "text/csv", b"to,name,city\n+12125559876,Bo,Rome\n")

    assert thought.body["unused_variables"] == made.body["unused_variables"] == told
    assert added.body["unused_variables"] == [{"name": "city", "count": 1, "first_line": 2, "did_you_mean": None}]


async def test_what_the_plan_or_a_text_after_the_call_asks_for_is_no_unused_variable(api: Api) -> None:
    await api.sender(carrier="twilio")
    await publish(api)
    job = {"channel": "voice", "from": TOLL_FREE, "call": {"dialplan": "reminder"}}
    person = {"to": PERSON, "variables": {"name": "Ann", "day": "Monday", "amuont": "$5"}}

    said = await api.post(
        "/v1/jobs", {**job, "recipients": [person], "retries": {"busy": {"text": {"body": "On {{ day }}."}}}}
    )

    assert [(each["name"], each["did_you_mean"]) for each in said.body["unused_variables"]] == [("amuont", "amount")]


async def test_of_a_file_with_a_thousand_columns_a_hundred_names_are_told(api: Api) -> None:
    await api.sender()
    people = [{"to": number(n), "variables": {f"c{at}": "x" for at in range(n * 500, 500)}} for n in range(1)]

    said = await api.post("/v1/jobs", sms(*people))

    assert (said.status, len(said.body["unused_variables"])) == (202, 100)
