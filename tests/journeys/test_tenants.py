"""Two tenants on one gateway: neither sees, stops or changes what is the other's."""

import json
import re
from typing import Any

import pytest

from gateway.store import keys
from gateway.store.database import Database
from tests.journeys.conftest import HOME, SENDER

pytestmark = pytest.mark.journey

OTHER_SENDER, PERSON = "+18005550198", "+12125551000"


async def test_a_stop_to_one_tenants_sender_leaves_anothers_texts_alone(stage: Any) -> None:
    theirs = await other_tenant(stage)
    await stage.sender(OTHER_SENDER, key=theirs, rate="20/s")
    for number in range(10):
        body = {"to": PERSON, "from": OTHER_SENDER, "body": f"Gas is off until {number}"}
        await stage.must("POST", "/v1/messages", body, key=theirs)
    later = {"to": PERSON, "from": SENDER, "body": "Water is off", "send_at": "2100-01-01T00:00:00Z"}
    mine = (await stage.must("POST", "/v1/messages", later))["id"]
    assert await stage.text_in(PERSON, "STOP", "SMstop") == 200

    await stage.settled()

    ends = {tuple(row): row for row in stage.rows("SELECT sender, kind, status FROM messages GROUP BY 1, 2, 3")}
    assert ends.keys() == {
        (SENDER, "out", "cancelled"),
        (SENDER, "stop_reply", "delivered"),
        (OTHER_SENDER, "out", "delivered"),
    }
    assert (await stage.must("GET", f"/v1/messages/{mine}"))["reason"] == "opted_out"
    assert (await stage.must("GET", f"/v1/opt-outs/{PERSON}", key=theirs))["opted_out"] is False


async def test_a_key_of_one_tenant_neither_sees_nor_changes_what_is_anothers(stage: Any) -> None:
    """Every operation that the API describes, asked with the other tenant's identifiers."""
    theirs = await other_tenant(stage)
    names = await furnish(stage, theirs)
    before = belongings(stage)
    described = await stage.must("GET", "/openapi.json")

    leaks = []
    attempts = 0
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            if method not in {"get", "put", "post", "delete"} or path.endswith("/stream"):
                continue
            attempts += 1
            status, text = await attempt(stage, method, path, operation, names)
            if status == 200 and any(word in text for word in ("gas-secret", *names["message"], *names["job"])):
                leaks.append((method, path, status))
            if status < 300 and re.search(r"/(messages|jobs|calls|senders)/\{", path):
                leaks.append((method, path, status))

    assert leaks == []
    assert attempts > 30
    assert belongings(stage) == before


async def other_tenant(stage: Any) -> str:
    """A key of a second tenant."""
    async with Database.open(stage.folder / "data" / "gateway.db") as database:
        return (await database.write(lambda tx: keys.issue(tx, "metro-gas", label="test"))).secret


async def furnish(stage: Any, key: str) -> dict[str, list[str]]:
    """Give the second tenant one of everything; returns what to call it by."""
    await stage.sender(OTHER_SENDER, key=key, rate="20/s")
    later = {"from": OTHER_SENDER, "reference": "gas-secret"}
    text = {"to": PERSON, "body": "gas-secret", "send_at": "2100-01-01T00:00:00Z"}
    message = await stage.must("POST", "/v1/messages", later | text, key=key)
    job = {"channel": "sms", "message": {"body": "gas-secret"}, "recipients": [{"to": PERSON}]}
    made = await stage.must("POST", "/v1/jobs", later | job | {"start_at": "2100-01-01T00:00:00Z"}, key=key)
    for kind in ("templates", "signatures"):
        await stage.must("PUT", f"/v1/{kind}/notice", {"body": "gas-secret"}, key=key)
    await stage.must("PUT", "/v1/opt-outs/+12125551999", {"evidence": "gas-secret"}, key=key)
    plan = (HOME / "dialplans" / "payment-reminder.yaml").read_text()
    plan = plan.replace("payment-reminder", "notice").replace("City Water", "gas-secret")
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/yaml"}
    async with stage.http.put(f"{stage.url}/v1/dialplans/notice", data=plan, headers=headers) as answer:
        assert answer.status < 300, await answer.text()
    return {"message": [message["id"]], "job": [made["id"]], "name": ["notice"], "number": [OTHER_SENDER]}


async def attempt(
    stage: Any, method: str, path: str, operation: dict[str, Any], names: dict[str, list[str]]
) -> tuple[int, str]:
    """Ask one operation with the first tenant's key and the second one's identifiers."""
    number = "+12125551999" if "opt-outs" in path else names["number"][0]
    thing = names["job" if "/jobs/" in path else "message"][0]
    url = path.replace("{id}", thing).replace("{name}", names["name"][0]).replace("{number}", number)
    bodies: dict[str, dict[str, object]] = {
        "senders": {"status": "blocked"},
        "templates": {"body": "mine now"},
        "signatures": {"body": "mine now"},
        "opt-outs": {"evidence": "mine now"},
        "messages": {"from": OTHER_SENDER, "to": PERSON, "body": "mine now"},
        "jobs": {"channel": "sms", "from": OTHER_SENDER, "message": {"body": "mine now"}, "recipients": []},
    }
    body = next((body for word, body in bodies.items() if f"/{word}" in path), {})
    takes = next(iter(operation.get("requestBody", {}).get("content", {"application/json": {}})))
    headers = {"Authorization": f"Bearer {stage.key}", "Content-Type": takes}
    data = json.dumps(body) if method in {"put", "post"} else None
    async with stage.http.request(method, stage.url + url, data=data, headers=headers) as answer:
        return answer.status, await answer.text()


def belongings(stage: Any) -> dict[str, list[tuple[Any, ...]]]:
    """All that the second tenant has in the database."""
    tables = ("senders", "messages", "jobs", "events", "templates", "dialplans", "opt_outs", "calls", "idempotency")
    wanted = {table: f"SELECT * FROM {table} WHERE tenant_id = 'metro-gas'" for table in tables}  # noqa: S608
    return {table: [tuple(row) for row in stage.rows(sql)] for table, sql in wanted.items()}
