"""Dialplans and prompts: published whole or not at all, tried out, called with."""

import io
import wave
from pathlib import Path

import numpy as np
import pytest

from tests.api.conftest import PERSON, TOLL_FREE, Api, Said

ROOT = Path(__file__).parents[2]
SHIPPED = {
    path.stem: path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "dialplans").glob("*.yaml"))
    if ".test." not in path.name
}

BROKEN = """name: broken
language: en-US
start: greet
nodes:
  greet: {say: "Hello.", next: nowhere}
  again: {say: "Hello {{ who }}.", next: again}
"""


async def publish(api: Api, name: str, source: str | bytes) -> Said:
    return await api.ask("PUT", f"/v1/dialplans/{name}", data=source, headers={"Content-Type": "application/yaml"})


@pytest.mark.parametrize("name", SHIPPED)
async def test_every_shipped_plan_can_be_published_and_read_back(api: Api, name: str) -> None:
    source = SHIPPED[name]

    said = await publish(api, name, source)

    assert (said.status, said.body["version"]) == (200, 1), said.body
    kept = (await api.get(f"/v1/dialplans/{name}")).body
    assert (kept["source"], kept["version"]) == (source, 1)
    assert [each["name"] for each in (await api.get("/v1/dialplans")).body["items"]] == [name]


async def test_a_new_version_is_made_only_of_new_words(api: Api) -> None:
    source = SHIPPED["payment-reminder"]
    changed = source.replace("Goodbye", "Good day")

    versions = [(await publish(api, "payment-reminder", each)).body["version"] for each in (source, source, changed)]

    assert versions == [1, 1, 2]
    assert (await api.get("/v1/dialplans/payment-reminder")).body["source"] == changed
    assert (await api.get("/v1/dialplans/payment-reminder", params={"version": 1})).body["source"] == source
    assert (await api.get("/v1/dialplans/payment-reminder", params={"version": 9})).status == 404


async def test_all_that_is_wrong_with_a_plan_is_told_by_file_line_and_node_and_the_old_one_stays(api: Api) -> None:
    good = "name: broken\nlanguage: en-US\nstart: greet\nnodes:\n  greet: {say: Hello., then: hangup}\n"
    assert (await publish(api, "broken", good)).status == 200

    said = await publish(api, "broken", BROKEN)

    assert (said.status, said.slug) == (422, "bad_dialplan")
    told = {(each["file"], each["line"], each["node"]) for each in said.body["errors"]}
    assert {("broken.yaml", 5, "greet"), ("broken.yaml", 6, "again")} <= told
    assert (await api.get("/v1/dialplans/broken")).body["source"] == good


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"", "empty"),
        (b"\xff\xfe", "UTF-8"),
        (b"name: other\nlanguage: en-US\nstart: a\nnodes:\n  a: {say: Hi., then: hangup}\n", "'name' is 'other'"),
        (b"name: plan\nlanguage: en-US\nstart: a\nnodes:\n  a: {play: jingle, then: hangup}\n", "'jingle'"),
        (
            b"name: plan\nlanguage: en-US\nstart: a\nnodes:\n  a: {say: Hi., next: b}\n  b: {say: Ho., next: a}\n",
            "loops without waiting for a key",
        ),
    ],
    ids=["empty", "not utf-8", "another name", "a missing prompt", "a cycle without input"],
)
async def test_a_plan_that_should_not_run_is_refused(api: Api, source: bytes, words: str) -> None:
    said = await publish(api, "plan", source)

    assert (said.status, said.slug) == (422, "bad_dialplan")
    assert any(words in each["detail"] for each in said.body["errors"]), said.body["errors"]
    assert (await api.get("/v1/dialplans")).body["items"] == []


async def test_a_plan_is_published_only_if_it_passes_its_own_tests(api: Api) -> None:
    source = SHIPPED["payment-reminder"]
    passing = '- name: stops\n  keys: ["9"]\n  expect: {opted_out: tenant}\n'
    failing = passing + '- name: pays\n  keys: ["9"]\n  expect: {outcome: confirmed}\n'
    path = "/v1/dialplans/payment-reminder"

    refused = await api.put(path, {"source": source, "tests": failing})
    unreadable = await api.put(path, {"source": source, "tests": "- name: x\n  keys: [loudly]\n  expect: {}\n"})
    nameless = await api.put(path, {"tests": passing})
    assert (await api.get(path)).status == 404
    taken = await api.put(path, {"source": source, "tests": passing})

    assert (refused.status, refused.body["type"].rpartition("/")[2]) == (422, "bad_dialplan")
    assert "payment-reminder.test.yaml:4: error: test 'pays': outcome: expected confirmed, got opted_out" in str(
        refused
    )
    assert "payment-reminder.test.yaml:2: error: 'loudly' is not digits" in str(unreadable)
    assert nameless.wrong == {"source": "missing_field"}
    assert (taken.status, taken.body["version"]) == (200, 1)


async def test_tests_are_kept_with_the_version_and_hold_for_the_next_one(api: Api) -> None:
    source, path = SHIPPED["payment-reminder"], "/v1/dialplans/payment-reminder"
    tests = '- name: stops\n  keys: ["9"]\n  expect: {opted_out: tenant}\n'
    mended = tests.replace("stops", "is removed")
    other_words, other_way = source.replace("Goodbye", "Good day"), source.replace("opt_out: tenant", "opt_out: sender")
    assert source not in {other_words, other_way}

    await api.put(path, {"source": source, "tests": tests})
    refused = await publish(api, "payment-reminder", other_way)
    kept = (await api.get(path)).body
    second = await publish(api, "payment-reminder", other_words)
    again = await api.put(path, {"source": other_words, "tests": mended})
    newest, first = (await api.get(path)).body, (await api.get(path, params={"version": 1})).body
    third = await api.put(path, {"source": other_way, "tests": ""})

    assert (refused.status, refused.slug) == (422, "bad_dialplan")
    assert "payment-reminder.test.yaml:1: error: test 'stops'" in str(refused)
    assert (kept["version"], kept["tests"]) == (1, tests)
    assert (second.body["version"], again.body["version"]) == (2, 2)
    assert (newest["tests"], first["tests"]) == (mended, tests)
    assert (third.body["version"], (await api.get(path)).body["tests"]) == (3, "")


async def test_a_version_that_no_database_can_hold_is_refused_by_name(api: Api) -> None:
    await publish(api, "payment-reminder", SHIPPED["payment-reminder"])
    path = "/v1/dialplans/payment-reminder"

    for version in (0, 2**31, 2**63, 10**20):
        asked = await api.get(path, params={"version": str(version)})
        tried = await api.post(f"{path}/simulate", {"keys": ["1" * 41], "version": version})

        assert (asked.status, set(asked.wrong)) == (422, {"version"})
        assert (tried.status, set(tried.wrong)) == (422, {"version", "keys.0"})


async def test_a_plan_of_another_tenant_is_not_there(api: Api) -> None:
    await publish(api, "payment-reminder", SHIPPED["payment-reminder"])
    other = await api.key(tenant="gas")

    assert (await api.get("/v1/dialplans/payment-reminder", secret=other)).status == 404
    assert (await api.get("/v1/dialplans", secret=other)).body["items"] == []


async def test_a_simulation_gives_a_transcript(api: Api) -> None:
    await publish(api, "payment-reminder", SHIPPED["payment-reminder"])
    path = "/v1/dialplans/payment-reminder/simulate"

    said = await api.post(path, {"keys": ["silence", "1"], "variables": {"name": "Ann"}})

    assert (said.status, said.body["outcome"]) == (200, "confirmed")
    assert any("Ann" in line["text"] for line in said.body["lines"])
    assert (await api.post(path, {"keys": ["1"]})).wrong == {"variables.name": "bad_variables"}
    assert (await api.post(path, {"keys": ["hum"], "variables": {"name": "Ann"}})).wrong == {"keys": "bad_keys"}
    assert (await api.post(path, {"variables": {"name": "Ann"}, "version": 9})).wrong == {"version": "unknown_dialplan"}
    assert (await api.post("/v1/dialplans/none/simulate", {})).status == 404


def call(**more: object) -> dict[str, object]:
    return {"to": PERSON, "from": TOLL_FREE, "dialplan": "payment-reminder", "variables": {"name": "Ann"}, **more}


async def test_a_call_is_on_disk_with_its_plans_version_when_it_is_accepted(api: Api) -> None:
    await api.sender()
    await publish(api, "payment-reminder", SHIPPED["payment-reminder"])

    said = await api.post("/v1/calls", call(reference="r"), headers={"Idempotency-Key": "c"})
    again = await api.post("/v1/calls", call(reference="r"), headers={"Idempotency-Key": "c"})

    assert (said.status, said.body["status"], said.body["dialplan_version"]) == (202, "queued", 1)
    assert again.body == said.body
    assert (await api.get("/v1/calls")).body["items"] == [said.body]
    one = (await api.get(f"/v1/calls/{said.body['id']}")).body
    assert (one["variables"], one["events"]) == ({"name": "Ann"}, [])
    why = (await api.get(f"/v1/calls/{said.body['id']}/why")).body
    assert (why["waiting_for"], why["explanation"]) == ("rate", "It is the next of its sender to leave.")
    for path in (f"/v1/calls/{said.body['id']}", f"/v1/calls/{said.body['id']}/why"):
        assert (await api.get(path, secret=await api.key(tenant="gas"))).status == 404


async def test_a_call_that_cannot_be_placed_is_refused_by_field(api: Api) -> None:
    await api.sender()
    await api.sender("+12125550100", voice="")
    await publish(api, "payment-reminder", SHIPPED["payment-reminder"])
    await publish(api, "replay-or-opt-out", SHIPPED["replay-or-opt-out"])

    for changes, wrong in (
        ({"dialplan": "none"}, {"dialplan": "unknown_dialplan"}),
        ({"dialplan": "replay-or-opt-out"}, {"dialplan": "inbound_dialplan"}),
        ({"variables": {}}, {"variables.name": "bad_variables"}),
        ({"from": "+12125550100"}, {"from": "no_road"}),
        ({"to": "+1"}, {"to": "invalid_number"}),
        ({"body": "Hi"}, {"body": "unknown_field"}),
        ({"variables": {"name": "Ann", "amuont": "$5"}}, {"variables.amuont": "bad_variables"}),
    ):
        assert (await api.post("/v1/calls", call(**changes))).wrong == wrong
    assert (await api.get("/v1/calls")).body["items"] == []


def recording(seconds: float = 1.0) -> bytes:
    tone = (np.sin(np.arange(int(16000 * seconds)) / 16000 * 2 * np.pi * 440) * 12000).astype(np.int16)
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(16000)
        written.writeframes(tone.tobytes())
    return file.getvalue()


async def upload(api: Api, name: str, data: bytes, language: str = "en-US") -> Said:
    headers = {"Content-Type": "audio/wav"}
    return await api.ask("PUT", f"/v1/prompts/{name}", data=data, params={"language": language}, headers=headers)


async def test_a_recording_is_checked_kept_and_can_be_played_by_a_plan(api: Api) -> None:
    said = await upload(api, "jingle", recording())

    assert (said.status, said.body["format"], said.body["error"]) == (200, "wav", "")
    assert abs(said.body["seconds"] - 1.0) < 0.1
    assert (await api.get("/v1/prompts")).body["items"] == [said.body]
    assert (await api.get("/v1/prompts/jingle")).body == said.body
    assert (await api.get("/v1/prompts/jingle", params={"language": "es"})).slug == "unknown_prompt"
    source = "name: plan\nlanguage: en-US\nstart: a\nnodes:\n  a: {play: jingle, then: hangup}\n"
    assert (await publish(api, "plan", source)).status == 200


@pytest.mark.parametrize(
    ("name", "data", "language"),
    [
        ("jingle", b"no audio at all", "en-US"),
        ("jingle", b"", "en-US"),
        ("jingle", recording(0.001), "en-US"),
        ("Jingle!", recording(), "en-US"),
        ("jingle", recording(), "English"),
    ],
    ids=["noise", "empty", "too short", "a bad name", "a bad language"],
)
async def test_a_recording_that_cannot_be_played_is_refused_and_the_old_one_stays(
    api: Api, name: str, data: bytes, language: str
) -> None:
    kept = (await upload(api, "jingle", recording())).body

    said = await upload(api, name, data, language)

    assert (said.status, said.slug) == (422, "bad_prompt")
    assert (await api.get("/v1/prompts")).body["items"] == [kept]


async def test_saved_texts_are_read_back_and_listed(api: Api) -> None:
    await api.put("/v1/templates/reminder", {"body": "Hello {{ name }}"})
    await api.put("/v1/signatures/water", {"body": "City Water"})

    one = (await api.get("/v1/templates/reminder")).body
    assert (one["body"], one["variables"]) == ("Hello {{ name }}", ["name"])
    assert (await api.get("/v1/templates")).body["items"] == [one]
    assert [each["name"] for each in (await api.get("/v1/signatures")).body["items"]] == ["water"]
    assert (await api.get("/v1/signatures/water")).body["body"] == "City Water"
    assert (await api.get("/v1/templates/water")).status == 404


async def test_a_text_that_cannot_be_saved_is_refused(api: Api) -> None:
    assert (await api.put("/v1/templates/t", {"body": "Hello {{ }}"})).wrong == {"body": "bad_template"}
    assert (await api.put("/v1/templates/t", {"body": ""})).wrong == {"body": "too_short"}
    assert (await api.put("/v1/templates/t", {"body": " "})).wrong == {"body": "too_short"}
    assert (await api.put("/v1/templates/Bad Name", {"body": "x"})).wrong == {"name": "bad_name"}


async def test_who_rings_a_sender_is_answered_only_by_a_plan_that_answers(api: Api) -> None:
    for name in ("payment-reminder", "replay-or-opt-out"):
        await publish(api, name, SHIPPED[name])

    refused = await api.put(f"/v1/senders/{TOLL_FREE}", {"inbound_dialplan": "payment-reminder"})
    taken = await api.put(f"/v1/senders/{TOLL_FREE}", {"inbound_dialplan": "replay-or-opt-out"})

    assert (refused.status, refused.wrong) == (422, {"inbound_dialplan": "not_inbound"})
    assert taken.status == 200
