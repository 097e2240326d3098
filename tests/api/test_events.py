"""The numbered log: pages, and a stream that can be taken up where it broke."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import StreamReader

from gateway.api import auth, events
from gateway.clock import new_id, now_ms
from gateway.model.event import Event
from gateway.store import events as log
from gateway.store import lives, tenants
from tests.api.conftest import PERSON, TOLL_FREE, Api


async def happen(api: Api, *kinds: str, tenant: str = "acme", mode: str = "live", job_id: str | None = None) -> None:
    happened = [Event(kind, tenant, mode, new_id("msg"), now_ms(), {"n": n}, job_id) for n, kind in enumerate(kinds)]
    await api.doors.database.write(lambda tx: log.add(tx, *happened))
    api.doors.signals.wake("events")


async def test_events_are_read_in_order_from_any_number_on(api: Api) -> None:
    await happen(api, "message.sent", "message.delivered", "message.failed")

    first = (await api.get("/v1/events", params={"limit": 2})).body
    rest = (await api.get("/v1/events", params={"after": first["next_after"]})).body
    none = (await api.get("/v1/events", params={"after": rest["next_after"]})).body

    assert [each["type"] for each in first["items"]] == ["message.sent", "message.delivered"]
    assert [each["type"] for each in rest["items"]] == ["message.failed"]
    assert (none["items"], none["next_after"]) == ([], rest["next_after"])


async def test_events_filter_by_type_job_and_subject(api: Api) -> None:
    await api.sender()
    await happen(api, "message.sent", job_id="job_a")
    await happen(api, "message.failed", job_id="job_b")
    subject = (await api.get("/v1/events")).body["items"][0]["id"]

    for query, kinds in (
        ({"type": "message.failed"}, ["message.failed"]),
        ({"job_id": "job_a"}, ["message.sent"]),
        ({"subject": subject}, ["message.sent"]),
        ({"after": "newest"}, []),
    ):
        assert [each["type"] for each in (await api.get("/v1/events", params=query)).body["items"]] == kinds
    assert (await api.get("/v1/events", params={"after": "soon"})).status == 422


async def test_what_a_filter_leaves_out_is_not_looked_at_again(api: Api) -> None:
    await happen(api, "message.sent", "message.failed", "message.sent")

    few = (await api.get("/v1/events", params={"type": "message.failed", "limit": 1})).body
    all_of_them = (await api.get("/v1/events", params={"type": "message.failed"})).body
    newest = (await api.get("/v1/events")).body["items"][-1]["seq"]

    assert few["next_after"] == few["items"][0]["seq"] == newest - 1
    assert all_of_them["next_after"] == newest


async def test_nobody_reads_the_events_of_others(api: Api) -> None:
    await happen(api, "message.sent", tenant="gas")
    await happen(api, "message.sent", mode="test")

    assert (await api.get("/v1/events")).body["items"] == []


async def test_an_event_of_a_text_tells_whom_it_was_to(api: Api) -> None:
    await api.sender()
    made = (await api.post("/v1/messages", {"to": PERSON, "from": TOLL_FREE, "body": "Hi", "reference": "r"})).body[
        "id"
    ]
    await api.doors.database.write(
        lambda tx: lives.move(tx, "messages", [made], "failed", now_ms(), reason="refused", error_code="21211")
    )

    event = (await api.get(f"/v1/messages/{made}")).body["events"][0]

    assert (event["type"], event["data"]["to"], event["data"]["error_code"]) == ("message.failed", PERSON, "21211")
    assert (await api.get("/v1/events")).body["items"] == [event]
    why = (await api.get(f"/v1/messages/{made}/why")).body
    assert why["explanation"] == "The carrier refused it (refused); the carrier's code is 21211."


async def test_of_a_text_that_was_tried_for_days_the_last_events_are_told(api: Api) -> None:
    await api.sender()
    made = (await api.post("/v1/messages", {"to": PERSON, "from": TOLL_FREE, "body": "Hi"})).body["id"]

    async def throttled(tx: Any) -> None:
        for _ in range(150):
            await lives.move(tx, "messages", [made], "sending", now_ms())
            await lives.move(tx, "messages", [made], "queued", now_ms(), reason="carrier_throttled")
        await lives.move(tx, "messages", [made], "expired", now_ms())

    await api.doors.database.write(throttled)

    told = (await api.get(f"/v1/messages/{made}")).body["events"]
    assert [each["type"] for each in told[-3:]] == ["message.sending", "message.queued", "message.expired"]
    assert [each["seq"] for each in told] == sorted(each["seq"] for each in told)


@asynccontextmanager
async def stream(api: Api, query: str = "", **headers: str) -> AsyncIterator[StreamReader]:
    given = {"Authorization": f"Bearer {api.secret}", "Accept": "text/event-stream", **headers}
    async with api.client.get(f"/v1/events{query}", headers=given) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        yield response.content


async def read(content: StreamReader) -> dict[str, Any]:
    """The next message of a stream."""
    fields: dict[str, Any] = {}
    async with asyncio.timeout(5):
        while line := (await content.readline()).decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            fields[name] = value
    return fields


async def test_a_tenant_listens_to_so_many_streams_and_to_another_when_one_ends(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MOST_STREAMS", 1)
    async with stream(api):
        said = await api.get("/v1/events", headers={"Accept": "text/event-stream"})
        assert (said.status, said.slug) == (429, "too_many_streams")
        assert (await api.get("/v1/events")).status == 200
    async with asyncio.timeout(5):
        while api.client.app[events.STREAMS]["acme"]:  # it notices at its next look
            await asyncio.sleep(0.02)

    async with stream(api):
        pass


async def test_a_stream_tells_what_was_and_then_what_happens(api: Api) -> None:
    await happen(api, "message.sent")

    async with stream(api) as content:
        before = await read(content)
        await happen(api, "message.delivered")
        after = await read(content)

    assert (before["event"], after["event"]) == ("message.sent", "message.delivered")
    assert int(after["id"]) > int(before["id"])
    told = orjson.loads(after["data"])
    assert (told["type"], told["seq"]) == ("message.delivered", int(after["id"]))


async def test_a_broken_stream_is_taken_up_after_the_last_event_it_had(api: Api) -> None:
    await happen(api, "message.sent", "message.delivered")
    async with stream(api) as content:
        last = (await read(content))["id"]

    async with stream(api, **{"Last-Event-ID": last}) as content:
        assert (await read(content))["event"] == "message.delivered"


async def test_a_stream_can_begin_with_what_is_to_come(api: Api) -> None:
    await happen(api, "message.sent")

    async with stream(api, "?after=newest") as content:
        await happen(api, "message.failed")
        assert (await read(content))["event"] == "message.failed"


async def test_a_stream_ends_whole_where_the_database_cannot_be_read(api: Api, tmp_path: Path) -> None:
    """A problem behind half an answer is no HTTP: who listens would be told of a broken chunk."""
    async with stream(api, "?after=newest") as content:
        with contextlib.closing(sqlite3.connect(tmp_path / "gateway.db")) as other:
            other.execute("ALTER TABLE events RENAME TO events_gone")
        api.doors.signals.wake("events")
        async with asyncio.timeout(5):
            assert await content.read() == b""


async def test_a_quiet_stream_is_kept_alive(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.0)

    async with stream(api) as content:
        assert await read(content) == {"": "still here"}


async def test_a_bad_last_event_id_is_refused(api: Api) -> None:
    said = await api.get("/v1/events", headers={"Accept": "text/event-stream", "Last-Event-ID": "x"})

    assert said.wrong == {"Last-Event-ID": "wrong_type"}


async def test_a_stream_ends_with_the_key_that_opened_it(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(auth, "monotonic", lambda: now[0])

    async with stream(api) as content, asyncio.timeout(5):
        key = await api.doors.database.read(lambda tx: tenants.key_of(tx, tenants.fingerprint(api.secret)))
        assert key is not None
        await api.doors.database.write(lambda tx: tenants.revoke_key(tx, key.id, now_ms()))
        now[0] += 2.1
        await happen(api, "message.sent")
        assert await content.read() == b""


async def test_streams_end_when_the_server_stops(api: Api) -> None:
    async with stream(api) as content, asyncio.timeout(5):
        await api.client.server.close()
        await content.read()


async def test_texts_that_came_in_are_listed(api: Api) -> None:
    row = {
        "id": new_id("in"), "tenant_id": "acme", "mode": "live", "carrier": "twilio", "carrier_id": "SM1",
        "sender": TOLL_FREE, "person": PERSON, "body": "Who is this?", "keyword": "", "answers": None, "at_ms": now_ms(),
    }  # fmt: skip
    await api.doors.database.write(lambda tx: tx.run("inbound_insert", **row))

    page = (await api.get("/v1/inbound", params={"from": PERSON})).body

    assert [(each["from"], each["to"], each["body"]) for each in page["items"]] == [(PERSON, TOLL_FREE, "Who is this?")]
    assert (await api.get("/v1/inbound", params={"from": "+12125550000"})).body["items"] == []
