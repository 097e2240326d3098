"""People streamed into a job: NDJSON, CSV and XLSX, small and large, all of them or none."""

import asyncio
from typing import Any

import pytest

from gateway.clock import now_ms
from gateway.store import jobs
from tests.api.broadcasts import NDJSON, job_of, number, sms, states, texts, upload
from tests.api.conftest import Api
from tests.campaign.sheets import text as cell
from tests.campaign.sheets import workbook

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PEOPLE_CELLS = {2: [cell("A2", "+12125551234"), cell("B2", "Ann")], 3: [cell("A3", "+12125551235")]}


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (NDJSON, b'{"to": "+12125551234", "variables": {"name": "Ann"}}\n{"to": "+12125551235"}'),
        ("text/csv", b"to,name\n+12125551234,Ann\n+12125551235,\n"),
        ("application/json", b'[{"to": "+12125551234", "variables": {"name": "Ann"}}, {"to": "+12125551235"}]'),
        (XLSX, workbook({1: [cell("A1", "to"), cell("B1", "name")], **PEOPLE_CELLS})),
    ],
    ids=["ndjson", "csv", "json", "xlsx"],
)
async def test_people_can_be_streamed_in(api: Api, kind: str, data: bytes) -> None:
    await api.sender()
    job = await job_of(api, 0)

    said = await upload(api, job, kind, data)

    assert (said.status, said.body["accepted"]) == (202, 2)
    assert {to: each["body"] for to, each in (await texts(api, job)).items()} == {
        "+12125551234": "Hello Ann.",
        "+12125551235": "Hello customer.",
    }


async def test_nobody_is_in_a_job_twice(api: Api) -> None:
    await api.sender()
    job = await job_of(api, 2)
    data = b"to\n" + number(1).encode() + b"\n" + number(2).encode() + b"\n"

    refused = await upload(api, job, "text/csv", data)
    assert [(each["line"], each["slug"]) for each in refused.body["errors"]] == [(2, "duplicate")]
    assert await states(api, job) == {"queued": 2}

    skipped = await upload(api, job, "text/csv", data, on_invalid="skip")
    assert (skipped.body["accepted"], skipped.body["skipped"]["count"]) == (1, 1)
    assert await states(api, job) == {"queued": 3}


@pytest.mark.parametrize(
    ("kind", "data", "status", "slug"),
    [
        ("text/csv", b"number\n+12125551234\n", 422, "bad_recipients"),
        ("text/csv", b"to\n\xff\xfe\n", 422, "bad_recipients"),
        ("application/json", b"{", 422, "bad_recipients"),
        ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", b"PK", 422, "bad_recipients"),
        ("application/pdf", b"%PDF", 415, "bad_media_type"),
        (NDJSON, b'{"to": "+12125551234"}\n{oops', 422, "invalid_recipients"),
    ],
)
async def test_of_an_upload_that_cannot_be_read_nothing_is_kept(
    api: Api, kind: str, data: bytes, status: int, slug: str
) -> None:
    await api.sender()
    job = await job_of(api, 0)

    said = await upload(api, job, kind, data)

    assert (said.status, said.slug) == (status, slug)
    assert await states(api, job) == {}


async def test_an_upload_larger_than_the_server_takes_is_refused(api: Api) -> None:
    await api.sender()
    job = await job_of(api, 0)
    most = api.doors.settings.http.max_body_bytes

    async def endless() -> Any:
        for _ in range(most // 65536 + 2):
            yield b"\n" * 65536

    said = await api.ask("POST", f"/v1/jobs/{job}/recipients", data=endless(), headers={"Content-Type": NDJSON})

    assert (said.status, said.slug) == (413, "body_too_large")


async def test_people_added_to_a_paused_job_wait_for_its_resumption(api: Api) -> None:
    await api.sender()
    job = await job_of(api, 1)
    await api.post(f"/v1/jobs/{job}/pause")

    await upload(api, job, NDJSON, b'{"to": "+12125559876"}')

    assert (await api.get(f"/v1/jobs/{job}")).body["counts"]["held"] == {"paused": 2}
    await api.post(f"/v1/jobs/{job}/resume")
    assert await states(api, job) == {"queued": 2}


async def test_a_completed_job_runs_again_and_a_cancelled_one_takes_nobody(api: Api) -> None:
    await api.sender()
    job = await job_of(api, 1)
    await api.put(f"/v1/opt-outs/{number(0)}", {})  # nobody is left to write to
    await api.doors.database.write(lambda tx: jobs.complete_finished(tx, now_ms()))
    assert (await api.get(f"/v1/jobs/{job}")).body["status"] == "completed"

    assert (await upload(api, job, NDJSON, b'{"to": "+12125551234"}')).status == 202
    assert (await api.get(f"/v1/jobs/{job}")).body["status"] == "running"

    await api.post(f"/v1/jobs/{job}/cancel")
    said = await upload(api, job, NDJSON, b'{"to": "+12125551235"}')
    assert (said.status, said.slug) == (409, "job_not_open")


async def test_of_two_uploads_at_once_only_one_adds_a_person(api: Api) -> None:
    await api.sender()
    job = await job_of(api, 0)
    data = b"".join(b'{"to": "%s"}\n' % number(n).encode() for n in range(300))

    said = await asyncio.gather(*(upload(api, job, NDJSON, data, on_invalid="skip") for _ in range(4)))

    assert sorted(each.body["accepted"] for each in said) == [0, 0, 0, 300]
    assert sorted(each.body["skipped"]["count"] for each in said) == [0, 300, 300, 300]
    assert await states(api, job) == {"queued": 300}


async def test_a_dry_run_of_an_upload_stores_nothing(api: Api) -> None:
    await api.sender()
    job = await job_of(api, 0)

    said = await upload(api, job, NDJSON, b'{"to": "+12125551234"}\n{"to": "x"}', dry_run="true")

    assert (said.status, said.body["accepted"], said.body["invalid"]["count"]) == (200, 1, 1)
    assert await states(api, job) == {}


def many(first: int, count: int) -> list[dict[str, str]]:
    return [{"to": f"+1212{n:07}"} for n in range(first, first + count)]


def lines(people: list[dict[str, str]]) -> bytes:
    return b"".join(b'{"to": "%s"}\n' % each["to"].encode() for each in people)


async def test_a_large_job_is_all_there_when_it_is_accepted_and_its_repeat_is_told_the_same(api: Api) -> None:
    await api.sender()
    body = sms(*many(2_000_000, 2_500))

    said = [await api.post("/v1/jobs", body, headers={"Idempotency-Key": "one"}) for _ in range(2)]

    assert [each.status for each in said] == [202, 202]
    assert said[0].body == said[1].body
    assert await states(api, said[0].body["id"]) == {"queued": 2_500}
    assert len((await api.get("/v1/jobs")).body["items"]) == 1
    assert await api.doors.database.read(lambda tx: tx.rows("load_blocks_numbers", load_id="", limit=9)) == []


async def test_of_large_uploads_at_once_each_person_is_added_by_one(api: Api) -> None:
    await api.sender()
    job = await job_of(api, 0)
    parts = [(2_000_000, 1_800), (2_001_000, 1_800), (2_002_500, 500)]

    said = await asyncio.gather(*(upload(api, job, NDJSON, lines(many(*each)), on_invalid="skip") for each in parts))

    assert [each.status for each in said] == [202, 202, 202]
    assert sum(each.body["accepted"] for each in said) == 3_000
    assert sum(each.body["skipped"]["count"] for each in said) == 1_100
    assert await states(api, job) == {"queued": 3_000}


async def test_a_large_upload_with_somebody_who_is_in_the_job_leaves_nothing_behind(api: Api) -> None:
    await api.sender()
    job = await job_of(api, 0)
    await upload(api, job, NDJSON, lines(many(2_002_000, 1)))

    said = await upload(api, job, NDJSON, lines(many(2_000_000, 2_500)))

    assert [(each["line"], each["slug"]) for each in said.body["errors"]] == [(2_001, "duplicate")]
    assert await states(api, job) == {"queued": 1}
    assert (await upload(api, job, NDJSON, lines(many(2_000_000, 2_000)))).body["accepted"] == 2_000
