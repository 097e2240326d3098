"""Around every request: problems, ids, headers, metrics, health, documentation."""

import asyncio
import contextlib
import hashlib
import io
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from structlog.testing import capture_logs
from yarl import URL

from gateway.api import health, messages
from gateway.api.server import Doors, build
from tests.api.conftest import PERSON, TOLL_FREE, Api

STATIC = Path(__file__).parents[2] / "gateway" / "api" / "static"


async def test_figures_are_told_also_while_the_database_cannot_be_read(api: Api, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "gateway.db")) as other:
        other.execute("ALTER TABLE messages RENAME TO messages_gone")

    said = await api.get("/metrics", secret="")

    assert said.status == 200
    assert b"gateway_http_requests" in said.body


async def test_an_unknown_path_and_a_wrong_method_are_problems_too(api: Api) -> None:
    nowhere = await api.get("/v1/nothing")
    wrong = await api.ask("DELETE", "/v1/messages")

    assert (nowhere.status, nowhere.slug) == (404, "not_found")
    assert (wrong.status, wrong.slug, "POST" in wrong.headers["Allow"]) == (405, "method_not_allowed", True)
    assert nowhere.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "field"), [("/v1/messages/a%00b", ""), ("/v1/jobs/a%00/why", ""), ("/v1/events?subject=a%00b", "subject")]
)
async def test_an_address_holds_no_character_that_postgresql_cannot_look_for(api: Api, path: str, field: str) -> None:
    assert (await api.ask("GET", URL(path, encoded=True))).wrong == {field: "bad_text"}


async def test_a_body_larger_than_the_server_takes_is_refused(api: Api) -> None:
    body = io.BytesIO(b"x" * (api.doors.settings.http.max_body_bytes + 1))
    said = await api.ask("POST", "/v1/messages", data=body, headers={"Content-Type": "application/json"})

    assert (said.status, said.slug) == (413, "body_too_large")


async def test_who_is_not_known_yet_cannot_fill_the_memory(api: Api) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    said = await api.ask("POST", "/oauth/token", data=io.BytesIO(b"a=" + b"x" * 70_000), headers=form)

    assert (said.status, said.slug) == (413, "body_too_large")


@pytest.mark.parametrize("path", ["/v1/messages", "/oauth/token", "/v1/nothing"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "x-none"])
async def test_a_body_that_must_be_unpacked_is_refused(api: Api, path: str, encoding: str) -> None:
    headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
    said = await api.ask("POST", path, data=b"", headers=headers)

    assert (said.status, said.slug) == (415, "encoded_body")


async def test_who_hangs_up_in_the_middle_of_a_request_is_no_error(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    head = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
    key = f"Authorization: Bearer {api.secret}\r\nContent-Length: 9\r\n\r\n".encode()
    runner = web.AppRunner(build(api.doors), access_log=None)  # a test server would cancel who is hung up on
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    reader, writer = await asyncio.open_connection(*runner.addresses[0])
    writer.write(head + key)
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"  # it is waited for now
    writer.close()

    async with asyncio.timeout(5):
        while b'status="499"' not in api.doors.metrics.render():
            await asyncio.sleep(0.02)
    await runner.cleanup()
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == []


async def test_what_broke_is_logged_and_not_told(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("the password is 1234")

    monkeypatch.setattr(messages, "start_of", broken)
    await api.sender()
    with capture_logs() as lines:
        said = await api.post("/v1/messages", {"to": PERSON, "from": TOLL_FREE, "body": "Hi"})

    assert (said.status, said.slug) == (500, "internal")
    assert "password" not in str(said.body)
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["request_failed"]


async def test_a_request_that_takes_too_long_is_answered(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    hurried = doors.settings.model_copy(
        update={"http": doors.settings.http.model_copy(update={"request_timeout_s": 0})}
    )
    parts = {name: getattr(doors, name) for name in Doors.__slots__} | {"settings": hurried}
    async with TestClient(TestServer(build(Doors(**parts)))) as client, client.get("/readyz") as response:
        assert response.status == 503
        assert (await response.json())["type"] == "/problems/timeout"


async def test_every_answer_has_an_id_and_none_may_run_in_a_browser(api: Api) -> None:
    own = await api.get("/v1/messages", headers={"X-Request-Id": "mine-1"})
    bad = await api.get("/v1/nothing", headers={"X-Request-Id": "<script>"})

    assert own.headers["X-Request-Id"] == "mine-1"
    assert bad.headers["X-Request-Id"] == bad.body["request_id"]
    assert bad.body["request_id"].startswith("req_")
    for said in (own, bad):
        assert said.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert said.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_log_line_names_the_route_and_never_the_number_in_it(api: Api) -> None:
    with capture_logs() as lines:
        await api.get(f"/v1/opt-outs/{PERSON}")

    line = next(line for line in lines if line["event"] == "request")
    assert (line["route"], line["status"], line["method"]) == ("/v1/opt-outs/{number}", 200, "GET")
    assert PERSON[1:] not in str(lines)


async def test_requests_are_counted_by_route(api: Api) -> None:
    await api.sender()
    await api.post("/v1/messages", {"to": PERSON, "from": TOLL_FREE, "body": "Hi"})
    await api.get("/v1/nothing")

    text = (await api.get("/metrics", secret="")).body.decode()

    assert 'gateway_http_requests_total{method="POST",route="/v1/messages",status="202"} 1.0' in text
    assert 'route="unknown",status="404"} 1.0' in text
    assert 'gateway_waiting{channel="sms",state="queued"} 1.0' in text
    assert "gateway_callbacks_waiting 0.0" in text


async def test_rows_are_not_counted_again_for_every_scrape(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(health, "monotonic", lambda: now[0])
    await api.get("/metrics")
    await api.sender()
    await api.post("/v1/messages", {"to": PERSON, "from": TOLL_FREE, "body": "Hi"})

    assert 'state="queued"} 0.0' in (await api.get("/metrics")).body.decode()
    now[0] += 6
    assert 'channel="sms",state="queued"} 1.0' in (await api.get("/metrics")).body.decode()


async def test_health_needs_no_key_and_names_what_is_missing(api: Api) -> None:
    assert (await api.get("/healthz", secret="")).body == {"status": "ok"}
    assert (await api.get("/readyz", secret="")).body == {"status": "ready", "missing": []}

    parts = {name: getattr(api.doors, name) for name in Doors.__slots__}
    without = Doors(**parts | {"ready": lambda: {"trunk main": "no answer"}})
    async with TestClient(TestServer(build(without))) as client:
        api.client = client
        said = await api.get("/readyz", secret="")
    assert (said.status, said.body["status"]) == (503, "not ready")
    assert said.body["missing"] == [{"name": "trunk main", "detail": "no answer"}]


async def test_a_disk_that_is_nearly_full_is_missing_before_requests_are_refused(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "LEAST_FREE_BYTES", 1 << 62)

    said = await api.get("/readyz", secret="")

    assert said.status == 503
    assert [each["name"] for each in said.body["missing"]] == ["disk"]


async def test_what_is_our_fault_is_told_in_the_log(api: Api) -> None:
    await api.sender()

    async def fill(tx: Any) -> None:
        tx.connection.execute("PRAGMA max_page_count = 1")  # no page beyond those there are

    await api.doors.database.write(fill)
    with capture_logs() as lines:
        while (await api.post("/v1/messages", {"to": PERSON, "from": TOLL_FREE, "body": "x" * 1600})).status == 202:
            pass

    (told,) = [each for each in lines if each["log_level"] == "error"]
    assert (told["event"], told["route"]) == ("store_unavailable", "/v1/messages")
    assert "full" in told["error"]


async def test_what_carriers_call_is_served_beside_the_api(doors: Doors) -> None:
    async def hook(_request: web.Request) -> web.Response:
        return web.Response(text="<Response/>", content_type="text/xml")

    parts = {name: getattr(doors, name) for name in Doors.__slots__} | {"webhooks": [web.post("/carriers/x", hook)]}
    async with TestClient(TestServer(build(Doors(**parts)))) as client, client.post("/carriers/x") as response:
        assert (response.status, await response.text()) == (200, "<Response/>")


async def test_the_description_is_openapi_and_says_what_every_operation_takes(api: Api) -> None:
    description = api.description

    validate(description, cls=OpenAPIV31SpecValidator)
    assert description["openapi"] == "3.1.0"
    for path, operations in description["paths"].items():
        for method, told in operations.items():
            assert told["summary"], (method, path)
            assert told["description"], (method, path)
            assert set(re.findall(r"\{(\w+)\}", path)) == {
                each["name"] for each in told["parameters"] if each["in"] == "path"
            }
    assert "Idempotency-Key" in str(description["paths"]["/v1/jobs"]["post"]["parameters"])
    ids = [told["operationId"] for operations in description["paths"].values() for told in operations.values()]
    assert len(ids) == len(set(ids))


async def test_the_documentation_loads_nothing_from_outside(api: Api) -> None:
    async with api.client.get("/docs") as response:
        page = await response.text()
        policy = response.headers["Content-Security-Policy"]

    assert policy.startswith("default-src 'self'; ")
    assert "'unsafe" not in policy
    assert "<script>" not in page
    assert "<style" not in page
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert address.startswith("/docs/"), address
        async with api.client.get(address) as response:
            assert response.status == 200
            assert len(await response.read()) > 100


def test_what_is_vendored_is_what_its_note_says() -> None:
    note = (STATIC / "VENDORED.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"\| `([\w./-]+)` \| `([0-9a-f]{64})` \|", note))

    files = {str(path.relative_to(STATIC)): path for path in STATIC.rglob("*") if path.is_file()}
    assert set(told) == set(files) - {"VENDORED.md", "start.js"}
    for name, digest in told.items():
        assert hashlib.sha256(files[name].read_bytes()).hexdigest() == digest, name
