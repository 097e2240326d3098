"""Broadcasts of calls: what follows a call, people with several numbers, and what is told of it."""

from typing import Any

import pytest

from gateway.clock import now_ms
from gateway.store import calls, jobs
from gateway.store.database import Tx
from tests.api.conftest import PERSON, TOLL_FREE, Api, Said

PLAN = """
name: reminder
language: en-US
start: who
variables: {name: {default: "you"}}
nodes:
  who: {say: "This is City Water.", announces: identity, next: ask}
  ask:
    menu:
      prompt: {say: "Hello {{ name }}. Press 1, or 9 to be removed."}
      choices: {"1": yes, "9": remove}
      otherwise: bye
  yes: {outcome: confirmed, next: bye}
  remove: {opt_out: tenant, then: hangup}
  bye: {say: "Goodbye.", then: hangup}
machine: hangup
"""
OTHER = "+12125559876"


async def job(api: Api, *people: Any, plan: str = PLAN, query: Any = None, **more: Any) -> Said:
    await api.ask("PUT", "/v1/dialplans/reminder", data=plan, headers={"Content-Type": "application/yaml"})
    body = {"channel": "voice", "from": TOLL_FREE, "call": {"dialplan": "reminder"}, "recipients": list(people)}
    return await api.post("/v1/jobs", body | more, params=query or {})


async def end(api: Api, call_id: str, status: str) -> None:
    """What a trunk or a webhook does."""
    write = api.doors.database.write
    await write(lambda tx: tx.rows("calls_move", **_MOVE, ids=[call_id], status="ringing", now_ms=now_ms()))
    await write(lambda tx: calls.ended(tx, call_id, status, now_ms(), reason=status))


_MOVE: dict[str, Any] = {
    "sources": ["queued"],
    "reason": "",
    "until_ms": None,
    "error_code": "",
    "holder": None,
    "carrier": None,
}


async def test_a_busy_line_is_to_be_called_again_and_the_job_says_so(api: Api) -> None:
    await api.sender()
    person = {"to": PERSON, "alternatives": [OTHER, PERSON], "variables": {"name": "Ann"}}
    retries = {"busy": {"after": "5m", "attempts": 2, "number": "next"}}
    said = await job(api, person, retries=retries, hours={"from": "00:00", "to": "24:00"})
    assert said.status == 202, said.body
    (first,) = (await api.get("/v1/calls", params={"job_id": said.body["id"]})).body["items"]

    await end(api, first["id"], "busy")

    waits, ended = (await api.get("/v1/calls", params={"job_id": said.body["id"]})).body["items"]
    told = (await api.get(f"/v1/jobs/{said.body['id']}")).body
    why = (await api.get(f"/v1/calls/{waits['id']}/why")).body
    events = (await api.get(f"/v1/calls/{ended['id']}")).body["events"]
    assert (first["alternatives"], first["attempt"], first["first_id"]) == ([OTHER], 1, None)
    assert (waits["to"], waits["attempt"], waits["first_id"], waits["status"]) == (OTHER, 2, first["id"], "held")
    assert (waits["variables"], waits["alternatives"]) == ({"name": "Ann"}, [PERSON])
    assert told["retries"]["busy"] == {"after": "5m", "attempts": 2, "number": "next", "text": None}
    assert (told["hours"]["from"], told["hours"]["zone"], len(told["hours"]["days"])) == ("00:00", None, 7)
    assert told["counts"]["retries"] == {"calls": 1, "waiting": 1, "texts": {}}
    assert told["counts"]["by_state"] == {"busy": 1, "held": 1}
    assert told["abandoned"] == told["abandoned_30_days"] == {"calls": 0, "answered": 0, "share": 0.0}
    assert (why["waiting_for"], why["opens_at"]) == ("retry", waits["held_until"])
    assert events[-1]["data"]["next"]["id"] == waits["id"]
    ended_why = (await api.get(f"/v1/calls/{ended['id']}/why")).body
    assert waits["id"] in ended_why["explanation"]


async def test_a_text_that_follows_is_checked_for_every_person_and_counted_apart(api: Api) -> None:
    await api.sender(carrier="twilio")
    retries = {"no_answer": {"text": {"body": "We called you, {{ name }}."}}}
    refused = await job(api, {"to": PERSON}, retries=retries)
    assert refused.wrong == {"variables.name": "missing_variable"}

    said = await job(api, {"to": PERSON, "variables": {"name": "Ann"}}, retries=retries)
    (call,) = (await api.get("/v1/calls", params={"job_id": said.body["id"]})).body["items"]
    await end(api, call["id"], "no_answer")

    (text,) = (await api.get("/v1/messages", params={"job_id": said.body["id"]})).body["items"]
    counts = (await api.get(f"/v1/jobs/{said.body['id']}")).body["counts"]
    assert (text["body"], text["to"], text["reason"]) == ("We called you, Ann.", PERSON, "retry")
    why = (await api.get(f"/v1/jobs/{said.body['id']}/why")).body
    assert counts["retries"] == {"calls": 0, "waiting": 0, "texts": {"held": 1}}
    assert (why["waiting_for"], why["held"][0]["count"]) == ("retry", 1)


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ({"retries": {"busy": {"after": "5 minutes"}}}, {"retries.busy.after": "bad_duration"}),
        ({"retries": {"busy": {"attempts": 11}}}, {"retries.busy.attempts": "out_of_range"}),
        ({"retries": {"busy": {"after": "5m"}}}, {"retries.busy": "missing_field"}),
        ({"retries": {"busy": {"number": "next", "text": {"body": "Hi"}}}}, {"retries.busy": "missing_field"}),
        ({"retries": {"busy": {"number": "other"}}}, {"retries.busy.number": "not_one_of"}),
        ({"retries": {"late": {"attempts": 1}}}, {"retries.late": "not_one_of"}),
        ({"retries": {"busy": {"text": {"body": "{{ }}"}}}}, {"retries.busy.text.body": "bad_template"}),
        ({"retries": {"busy": {"text": {}}}}, {"retries.busy.text.body": "missing_field"}),
        ({"hours": {"from": "21:00", "to": "08:00"}}, {"hours": "bad_hours"}),
        ({"hours": {"from": "09:00", "to": "20:00", "zone": "Mars"}}, {"hours": "unknown_zone"}),
        ({"hours": {"from": "09:00"}}, {"hours.to": "missing_field"}),
        ({"category": "marketing"}, {"category": "not_one_of"}),
        ({"channel": "sms", "call": None, "message": {"body": "Hi"}, "category": "healthcare", "retries": {"busy": {"attempts": 1}}},
         {"category": "unknown_field", "retries": "unknown_field"}),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_the_table_is_told_by_field(api: Api, more: Any, wrong: dict[str, str]) -> None:
    await api.sender(carrier="twilio")

    said = await job(api, {"to": PERSON}, **more)

    assert (said.status, said.wrong) == (422, wrong)


async def test_a_dry_run_ends_within_the_hours_of_everybodys_zones(api: Api) -> None:
    await api.sender()
    anywhere, here = {"to": "+18005550123"}, {"to": PERSON}
    brief = {"from": "09:00", "to": "09:30"}
    today = {"hours": brief, "start_at": "2037-06-01T18:00:00Z"}  # 14:00 in New York

    found = await job(api, here, anywhere, **today, plan=PLAN, query={"dry_run": "true"})
    alone = await job(api, here, query={"dry_run": "true"})

    assert found.status == 200, found.body
    assert (found.body["starts_at"], found.body["limited_by"]) == ("2037-06-02T13:00:00.000Z", "hours")
    assert found.body["finish_at"].startswith("2037-06-02T13:00:0")
    assert (found.body["never_in_hours"], found.body["accepted"]) == (1, 2)
    assert (alone.body["limited_by"], alone.body["never_in_hours"]) == ("rate", 0)


async def test_what_kept_a_job_from_its_first_call_stands_in_it_and_in_why(api: Api) -> None:
    await api.sender()
    made = (await job(api, {"to": PERSON})).body
    job_id = made["id"]
    found = [
        {"node": "ask", "line": 7, "severity": "warning", "text": "comes late"},
        {"node": "bye", "line": 13, "severity": "error", "text": "is silent (in es-US)"},
    ]
    known = await api.doors.database.read(lambda tx: jobs.get(tx, "acme", made["mode"], job_id))
    assert known is not None

    await jobs.refuse_launch(api.doors.database, api.doors.signals, known, found, now_ms())

    told = (await api.get(f"/v1/jobs/{job_id}")).body
    why = (await api.get(f"/v1/jobs/{job_id}/why")).body
    events = (await api.get("/v1/events", params={"type": "job.paused"})).body["items"]
    assert (told["status"], told["reason"], told["launch"]) == ("paused", "launch", found)
    assert why["waiting_for"] == "launch"
    assert "node bye is silent (in es-US). The job is paused with 1 waiting" in why["explanation"]
    assert (events[-1]["data"]["reason"], events[-1]["data"]["problems"]) == ("launch", found)
    resumed = (await api.post(f"/v1/jobs/{job_id}/resume", {})).body
    assert (resumed["status"], resumed["reason"]) == ("running", "")


async def test_a_sender_that_writes_no_texts_lets_none_follow(api: Api) -> None:
    await api.sender(carrier="")

    said = await job(api, {"to": PERSON}, retries={"busy": {"text": {"body": "Hi"}}})

    assert said.wrong == {"from": "no_road"}


@pytest.mark.parametrize(
    ("alternatives", "slug"),
    [
        ("+1212", "invalid_number"),
        (7, "bad_alternatives"),
        ([OTHER] * 6, "bad_alternatives"),
        (["x"], "invalid_number"),
    ],
)
async def test_other_numbers_are_numbers_and_few(api: Api, alternatives: Any, slug: str) -> None:
    await api.sender()

    said = await job(api, {"to": PERSON, "alternatives": alternatives})

    assert [(each["field"], each["slug"]) for each in said.body["errors"]] == [("alternatives", slug)]


async def test_a_file_has_other_numbers_in_a_column(api: Api) -> None:
    await api.sender()
    made = await job(api)
    data = f"to,alternatives,name\n{PERSON},{OTHER}; (212) 555-9877,Ann\n".encode()

    said = await api.ask(
        "POST", f"/v1/jobs/{made.body['id']}/recipients", data=data, headers={"Content-Type": "text/csv"}
    )

    assert said.status == 202, said.body
    (call,) = (await api.get("/v1/calls", params={"job_id": made.body["id"]})).body["items"]
    assert (call["alternatives"], call["variables"]) == ([OTHER, "+12125559877"], {"name": "Ann"})


async def test_calls_are_listed_by_direction(api: Api) -> None:
    await api.sender()
    await job(api, {"to": PERSON})

    sizes = [len((await api.get("/v1/calls", params={"direction": way})).body["items"]) for way in ("in", "out", "")]
    wrong = await api.get("/v1/calls", params={"direction": "up"})

    assert sizes == [0, 1, 1]
    assert wrong.wrong == {"direction": "not_one_of"}


_TOLD = [
    ("failed", "unknown_prompt", "It could not be made (unknown_prompt)."),
    ("failed", "media_down", "It broke off (media_down)."),
    ("unknown", "worker_gone", "The process that held it is gone, so nobody knows how it ended; it is not repeated"),
    ("cancelled", "gateway_stopped", "It was cancelled before anybody answered (gateway_stopped)."),
]


async def test_why_of_an_ended_call_blames_the_carrier_for_nothing_else(api: Api) -> None:
    await api.sender()
    said = await job(api, *({"to": f"+1212555010{n}"} for n in range(len(_TOLD) + 1)))
    _, *made = (await api.get("/v1/calls", params={"job_id": said.body["id"]})).body["items"]
    write = api.doors.database.write
    await write(
        lambda tx: tx.rows("calls_move", **_MOVE, ids=[each["id"] for each in made], status="ringing", now_ms=1)
    )
    for each, (status, reason, told) in zip(made, _TOLD, strict=True):
        await _ended(api, each["id"], status, reason)

        assert (await api.get(f"/v1/calls/{each['id']}/why")).body["explanation"].startswith(told)


async def _ended(api: Api, call_id: str, status: str, reason: str) -> None:
    async def work(tx: Tx) -> None:
        if reason == "media_down":
            await calls.answered(tx, call_id, now_ms(), "human")
        await calls.ended(tx, call_id, status, now_ms(), reason=reason)

    await api.doors.database.write(work)


async def test_why_of_a_job_tells_how_many_of_its_calls_go_on(api: Api) -> None:
    await api.sender()
    said = await job(api, {"to": PERSON})
    ((going_on),) = (await api.get("/v1/calls", params={"job_id": said.body["id"]})).body["items"]
    write = api.doors.database.write
    await write(lambda tx: tx.rows("calls_move", **_MOVE, ids=[going_on["id"]], status="ringing", now_ms=now_ms()))

    of_job = (await api.get(f"/v1/jobs/{said.body['id']}/why")).body
    assert of_job["explanation"] == "All have been dialled; calls that go on: 1."
