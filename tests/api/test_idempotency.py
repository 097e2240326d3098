"""The same Idempotency-Key: one effect, one answer."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from gateway.clock import now_ms
from tests.api.conftest import PERSON, TOLL_FREE, Api


def text(**more: Any) -> dict[str, Any]:
    return {"to": PERSON, "from": TOLL_FREE, "body": "Your bill is due.", **more}


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


async def count(api: Api, things: str = "messages") -> int:
    return len((await api.get(f"/v1/{things}")).body["items"])


async def test_the_same_request_again_is_answered_alike_and_does_nothing(api: Api) -> None:
    await api.sender()

    first = await api.post("/v1/messages", text(), headers=keyed("a-1"))
    again = await api.post("/v1/messages", text(), headers=keyed("a-1"))

    assert (again.status, again.body) == (first.status, first.body)
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert await count(api) == 1


async def test_another_request_under_the_same_key_is_refused(api: Api) -> None:
    await api.sender()
    await api.post("/v1/messages", text(), headers=keyed("a-1"))

    said = await api.post("/v1/messages", text(priority=1), headers=keyed("a-1"))

    assert (said.status, said.slug, await count(api)) == (409, "idempotency_mismatch", 1)


async def test_of_many_at_once_one_creates_and_the_others_repeat_its_answer(api: Api) -> None:
    await api.sender()

    said = await asyncio.gather(*(api.post("/v1/messages", text(), headers=keyed("race")) for _ in range(20)))

    assert {each.status for each in said} == {202}
    assert len({each.body["id"] for each in said}) == 1
    replayed = Counter(each.headers.get("Idempotent-Replayed", "") for each in said)
    assert replayed == {"": 1, "true": 19}
    assert await count(api) == 1


async def test_a_key_is_one_tenants_and_apart_for_live_and_test(api: Api) -> None:
    await api.sender()
    await api.post("/v1/messages", text(), headers=keyed("shared"))

    practice = await api.post("/v1/messages", text(), headers=keyed("shared"), secret=await api.key(mode="test"))
    other = await api.post("/v1/messages", text(), headers=keyed("shared"), secret=await api.key(tenant="gas"))

    assert (practice.status, "Idempotent-Replayed" in practice.headers) == (202, False)
    assert other.wrong == {"from": "unknown_sender"}


async def test_what_was_refused_may_be_mended_under_the_same_key(api: Api) -> None:
    assert (await api.post("/v1/messages", text(), headers=keyed("k"))).status == 422
    await api.sender()

    assert (await api.post("/v1/messages", text(), headers=keyed("k"))).status == 202


@pytest.mark.parametrize("key", ["", "two words", "x" * 256, "é"])
async def test_a_key_that_is_none_is_refused(api: Api, key: str) -> None:
    await api.sender()

    said = await api.post("/v1/messages", text(), headers=keyed(key))

    assert (said.status, said.slug, await count(api)) == (400, "bad_idempotency_key", 0)


async def test_a_job_and_an_upload_are_repeated_too(api: Api) -> None:
    await api.sender()
    job = {"channel": "sms", "from": TOLL_FREE, "message": {"body": "Hi"}, "recipients": [{"to": PERSON}]}
    first, again = [await api.post("/v1/jobs", job, headers=keyed("j")) for _ in range(2)]
    assert (again.body, await count(api, "jobs")) == (first.body, 1)

    csv = {"data": b"to\n+12125551235\n", "headers": {"Content-Type": "text/csv", **keyed("u")}}
    path = f"/v1/jobs/{first.body['id']}/recipients"
    added, repeated = [await api.ask("POST", path, **csv) for _ in range(2)]
    assert (added.status, added.body["accepted"], repeated.body) == (202, 1, added.body)
    assert repeated.headers["Idempotent-Replayed"] == "true"
    assert await count(api) == 2


async def test_an_answer_is_forgotten_after_its_time(api: Api) -> None:
    await api.sender()
    first = await api.post("/v1/messages", text(), headers=keyed("old"))
    await api.doors.database.write(lambda tx: tx.run("idempotency_forget", before_ms=now_ms() + 1))

    second = await api.post("/v1/messages", text(), headers=keyed("old"))

    assert second.body["id"] != first.body["id"]
