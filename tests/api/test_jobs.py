"""Broadcasts: accepted whole or not at all, told in full, paused, resumed, cancelled."""

from typing import Any

import pytest

from gateway.clock import now_ms
from gateway.store import lives
from tests.api.broadcasts import NDJSON, PLAN, job_of, number, publish, sms, states, texts, upload
from tests.api.conftest import PERSON, TOLL_FREE, Api


async def test_a_job_and_all_its_texts_are_on_disk_when_it_is_accepted(api: Api) -> None:
    await api.sender()
    people = [{"to": number(0), "variables": {"name": "Ann"}, "reference": "a"}, {"to": number(1)}]

    said = await api.post("/v1/jobs", sms(*people, reference="June", priority=3, metadata={"wave": 1}))

    assert said.status == 202
    assert (said.body["accepted"], said.body["segments"], said.body["skipped"]["count"]) == (2, 2, 0)
    kept = await texts(api, said.body["id"])
    assert kept[number(0)]["body"] == "Hello Ann."
    assert (kept[number(0)]["reference"], kept[number(0)]["priority"]) == ("a", 3)
    assert kept[number(1)]["body"] == "Hello customer."
    told = (await api.get(f"/v1/jobs/{said.body['id']}")).body
    assert told["counts"] == {
        "total": 2, "by_state": {"queued": 2}, "held": {}, "segments": 2, "copies": 0, "outcomes": [],
        "retries": None,
    }  # fmt: skip
    assert (told["reference"], told["metadata"], told["status"]) == ("June", {"wave": 1}, "running")


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"channel": "fax"}, {"channel": "not_one_of"}),
        ({"from": "+18005550198"}, {"from": "unknown_sender"}),
        ({"message": None}, {"message": "missing_field"}),
        ({"call": {"dialplan": "reminder"}}, {"call": "unknown_field"}),
        ({"message": {}}, {"message.body": "missing_field"}),
        ({"message": {"body": "Hello {{ na me }}"}}, {"message.body": "bad_template"}),
        ({"message": {"body": ""}}, {"message.body": "bad_text"}),
        ({"message": {"body": "x" * 1601}}, {"message.body": "bad_text"}),
        ({"message": {"body": "x", "colour": 1}}, {"message.colour": "unknown_field"}),
        ({"message": {"template": "none"}}, {"message.template": "unknown_template"}),
        ({"recipients": {"to": PERSON}}, {"recipients": "wrong_type"}),
        ({"start_at": "tomorrow"}, {"start_at": "bad_time"}),
        ({"expires_at": "2020-01-01T00:00:00Z"}, {"expires_at": "in_the_past"}),
        ({"on_invalid": "ignore"}, {"on_invalid": "not_one_of"}),
        ({"channel": "voice", "message": None, "call": {"dialplan": "none"}}, {"call.dialplan": "unknown_dialplan"}),
    ],
    ids=str,
)
async def test_what_is_wrong_with_a_job_is_told_by_field(api: Api, changes: dict[str, Any], wrong: Any) -> None:
    await api.sender()

    said = await api.post("/v1/jobs", sms({"to": PERSON}) | changes)

    assert (said.status, said.wrong) == (422, wrong)


async def test_a_job_for_later_is_held_as_scheduled(api: Api) -> None:
    await api.sender()

    job = await job_of(api, 2, start_at="2038-01-01T00:00:00Z")

    assert (await api.get(f"/v1/jobs/{job}")).body["counts"]["held"] == {"scheduled": 2}
    why = (await api.get(f"/v1/jobs/{job}/why")).body
    assert (why["waiting_for"], why["opens_at"]) == ("scheduled", "2038-01-01T00:00:00.000Z")
    assert why["held"] == [{"reason": "scheduled", "count": 2, "opens_at": "2038-01-01T00:00:00.000Z"}]


async def test_pause_resume_and_cancel_move_what_waits(api: Api) -> None:
    await api.sender()
    job = await job_of(api, 3)

    assert (await api.post(f"/v1/jobs/{job}/pause")).body["status"] == "paused"
    assert await states(api, job) == {"held": 3}
    why = (await api.get(f"/v1/jobs/{job}/why")).body
    assert (why["waiting_for"], why["opens_at"]) == ("paused", None)
    assert (await api.post(f"/v1/jobs/{job}/pause")).status == 200

    assert (await api.post(f"/v1/jobs/{job}/resume")).body["status"] == "running"
    assert await states(api, job) == {"queued": 3}

    assert (await api.post(f"/v1/jobs/{job}/cancel")).body["status"] == "cancelled"
    assert await states(api, job) == {"cancelled": 3}
    said = await api.post(f"/v1/jobs/{job}/resume")
    assert (said.status, said.slug) == (409, "job_not_open")


async def test_a_job_of_somebody_else_is_not_there(api: Api) -> None:
    await api.sender()
    job = await job_of(api, 1)
    other = await api.key(tenant="gas")

    for method, path in (("GET", ""), ("GET", "/why"), ("POST", "/pause"), ("POST", "/cancel")):
        assert (await api.ask(method, f"/v1/jobs/{job}{path}", secret=other)).status == 404
    said = await api.ask(
        "POST", f"/v1/jobs/{job}/recipients", data=b"to\n", headers={"Content-Type": "text/csv"}, secret=other
    )
    assert said.status == 404
    assert await states(api, job) == {"queued": 1}


async def test_jobs_are_listed_newest_first_by_pages(api: Api) -> None:
    await api.sender()
    made = [await job_of(api, 1, reference=f"r{n}") for n in range(3)]

    first = (await api.get("/v1/jobs", params={"limit": 2})).body
    second = (await api.get("/v1/jobs", params={"limit": 2, "cursor": first["next_cursor"]})).body

    assert [each["id"] for each in first["items"] + second["items"]] == made[::-1]
    only = (await api.get("/v1/jobs", params={"reference": "r1"})).body["items"]
    assert [each["id"] for each in only] == [made[1]]


async def test_words_of_a_job_stay_as_they_were_when_its_template_is_edited(api: Api) -> None:
    await api.sender()
    await api.put("/v1/templates/notice", {"body": "First."})
    job = await job_of(api, 1, message={"template": "notice"})
    await api.put("/v1/templates/notice", {"body": "Second."})

    await upload(api, job, NDJSON, b'{"to": "+12125559876"}')

    assert {each["body"] for each in (await texts(api, job)).values()} == {"First."}


async def test_a_voice_job_pins_its_dialplan_and_checks_every_persons_variables(api: Api) -> None:
    await api.sender()
    assert (await publish(api)).body["version"] == 1
    call = {"channel": "voice", "from": TOLL_FREE, "call": {"dialplan": "reminder", "variables": {"amount": "$5"}}}

    refused = await api.post("/v1/jobs", {**call, "recipients": [{"to": PERSON}]})
    assert [(each["field"], each["slug"]) for each in refused.body["errors"]] == [("variables.name", "bad_variables")]

    misspelt = {**call, "call": {"dialplan": "reminder", "variables": {"amuont": "$5"}}}
    refused = await api.post("/v1/jobs", {**misspelt, "recipients": [{"to": PERSON, "variables": {"name": "Ann"}}]})
    assert [(each["field"], each["slug"]) for each in refused.body["errors"]] == [
        ("call.variables.amuont", "bad_variables")
    ]

    said = await api.post("/v1/jobs", {**call, "recipients": [{"to": PERSON, "variables": {"name": "Ann"}}]})
    assert (said.status, said.body["accepted"], said.body["spec"]["version"]) == (202, 1, 1)
    await publish(api, PLAN.replace("Goodbye", "Good day"))
    await upload(api, said.body["id"], NDJSON, b'{"to": "+12125559876", "variables": {"name": "Bo"}}')
    kept = (await api.get("/v1/calls", params={"job_id": said.body["id"]})).body["items"]
    assert [each["dialplan_version"] for each in kept] == [1, 1]
    assert kept[1]["variables"] == {"name": "Ann", "amount": "$5"}
    counts = (await api.get(f"/v1/jobs/{said.body['id']}")).body["counts"]
    assert (counts["by_state"], counts["outcomes"]) == (
        {"queued": 2},
        [],
    )


async def test_a_plan_without_an_opt_out_key_is_no_broadcast(api: Api) -> None:
    await api.sender()
    await publish(
        api, PLAN.replace('"9": remove', '"9": bye').replace("  remove: {opt_out: tenant, then: hangup}\n", "")
    )
    call = {"channel": "voice", "from": TOLL_FREE, "call": {"dialplan": "reminder"}}

    said = await api.post("/v1/jobs", {**call, "recipients": [{"to": PERSON, "variables": {"name": "Ann"}}]})

    assert (said.status, said.slug) == (422, "bad_dialplan")
    assert "opt-out key" in said.body["errors"][0]["detail"]


async def test_a_voice_job_needs_a_sender_with_a_voice_road(api: Api) -> None:
    await api.sender(voice="")
    await publish(api)
    call = {"channel": "voice", "from": TOLL_FREE, "call": {"dialplan": "reminder"}, "recipients": []}

    assert (await api.post("/v1/jobs", call)).wrong == {"from": "no_road"}


async def test_why_names_the_place_in_the_queue_the_cap_and_the_end(api: Api) -> None:
    await api.sender(limits={"rate": "2/s"})
    job = await job_of(api, 5)
    last, first = [(await api.get("/v1/messages", params={"job_id": job})).body["items"][at]["id"] for at in (0, -1)]

    why = (await api.get(f"/v1/messages/{last}/why")).body
    assert (why["waiting_for"], why["explanation"]) == (
        "rate", "4 others of this sender leave before it, at 2 segments a second.",
    )  # fmt: skip
    assert (await api.get(f"/v1/messages/{first}/why")).body["explanation"].startswith("It is the next")

    api.doors.signals.note_gate("messages", TOLL_FREE, "live", "redis_away", None)
    assert (await api.get(f"/v1/messages/{last}/why")).body["waiting_for"] == "redis_away"
    assert (await api.get(f"/v1/jobs/{job}/why")).body["waiting_for"] == "redis_away"

    until = now_ms() + 60_000
    await api.doors.database.write(
        lambda tx: lives.move(tx, "messages", [last], "held", now_ms(), reason="cap_day", until_ms=until)
    )
    why = (await api.get(f"/v1/messages/{last}/why")).body
    assert (why["waiting_for"], why["opens_at"] is not None) == ("cap_day", True)
    await api.post(f"/v1/jobs/{job}/pause")
    assert (await api.get(f"/v1/messages/{last}/why")).body["waiting_for"] == "paused"

    await api.post(f"/v1/jobs/{job}/cancel")
    why = (await api.get(f"/v1/messages/{last}/why")).body
    assert (why["waiting_for"], why["status"]) == (None, "cancelled")
    assert "job_cancelled" in why["explanation"]


async def test_a_full_disk_is_told_and_nothing_of_the_job_is_kept(api: Api) -> None:
    await api.sender()

    async def fill(tx: Any) -> None:
        tx.connection.execute("PRAGMA max_page_count = 1")  # no page beyond those there are

    await api.doors.database.write(fill)

    said = await api.post("/v1/jobs", sms(*({"to": f"+1212{n:07}"} for n in range(2_000_000, 2_002_000))))

    assert (said.status, said.slug) == (503, "store_unavailable")
    assert (await api.get("/v1/jobs")).body["items"] == []
    assert (await api.get("/v1/messages")).body["items"] == []
