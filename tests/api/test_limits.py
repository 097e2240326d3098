"""`/v1/limits` and what it does to what waits."""

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.api import why
from gateway.api.why_words import HOLDS
from gateway.clock import now_ms
from gateway.model.tenant import SCOPES
from gateway.store import leases, lives
from gateway.store.database import Database
from gateway.store.leases import Stillness
from tests.api.conftest import TOLL_FREE, Api

LONG_CODE = "+12125551234"


async def test_a_scope_is_made_listed_changed_and_taken_away(api: Api) -> None:
    made = await api.put("/v1/limits/recipient/each", {"limits": {"rolling": ["3/24h"]}})
    assert (made.status, made.body["limits"]) == (200, {"rolling": ["3/24h"]})
    api.secret = await api.key(*SCOPES, "accounts:admin")
    await api.put("/v1/limits/account/twilio", {"limits": {"rate": "50/s", "rate_unit": "message"}})

    assert [each["kind"] for each in (await api.get("/v1/limits")).body["items"]] == ["account", "recipient"]
    assert (await api.get("/v1/limits/account/twilio")).body["status"] == "open"
    assert (await api.ask("DELETE", "/v1/limits/account/twilio")).status == 200
    assert (await api.get("/v1/limits/account/twilio")).status == 404


async def test_an_account_is_every_tenants_and_not_for_a_tenants_key_to_change(api: Api) -> None:
    for method, body in (("PUT", {"limits": {"rate": "9999/s"}}), ("DELETE", None)):
        said = await api.ask(method, "/v1/limits/account/twilio", json=body)
        assert (said.status, said.slug) == (403, "missing_scope")
        assert "accounts:admin" in said.body["detail"]


async def test_who_changed_a_sender_or_a_limit_is_in_the_audit_log_and_a_put_that_changes_nothing_is_not(
    api: Api,
) -> None:
    for _ in range(2):
        await api.put(f"/v1/senders/{TOLL_FREE}", {"status": "pending"})
    await api.put("/v1/limits/recipient/each", {"limits": {"rolling": ["3/24h"]}})
    await api.ask("DELETE", "/v1/limits/recipient/each")

    deeds = (await api.get("/v1/audit-log")).body["items"]
    assert [(each["action"], each["subject"]) for each in deeds] == [
        ("limits.delete", "recipient/each"),
        ("limits.put", "recipient/each"),
        ("sender.put", TOLL_FREE),
    ]
    assert deeds[1]["detail"]["limits"] == {"rolling": ["3/24h"]}
    assert deeds[2]["detail"]["status"] == "pending"


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("brand/water", {"status": "score_9"}, 422, "status"),
        ("brand/water", {"status": "score_75", "brand": "x"}, 422, "brand"),
        ("campaign/bills", {"status": "score_75", "brand": "nobodys"}, 422, "brand"),
        ("tenant/acme", {"status": "score_75"}, 422, "status"),
        ("tenant/acme", {"limits": {"daily": 5}}, 422, "limits.zones"),
        ("recipient/each", {"limits": {"rate": "1/s"}}, 422, "limits"),
        ("recipient/each", {"limits": {"rolling": ["3/1s"]}}, 422, "limits.rolling.0"),
        ("campaign/a:b", {"status": "score_75"}, 422, "name"),
        ("campaign/a%23b", {"status": "score_75"}, 422, "name"),
        ("brand/%C3%A9", {"status": "score_75"}, 422, "name"),
        ("brand/" + "a" * 65, {"status": "score_75"}, 422, "name"),
        ("account/nobodys", {"limits": {"rate": "1/s"}}, 422, "name"),
        ("campaign/bills", {"status": "score_75", "brand": "no;name"}, 422, "brand"),
        ("tenant/acme", {"callback_url": "http://example.com/\x00"}, 422, "callback_url"),
        ("tenant/other", {}, 404, None),
        ("planet/mars", {}, 404, None),
    ],
)
async def test_what_cannot_be_a_scope_is_told(
    api: Api, path: str, body: dict[str, object], status: int, field: str
) -> None:
    api.secret = await api.key(*SCOPES, "accounts:admin")
    said = await api.put(f"/v1/limits/{path}", body)

    assert said.status == status, said.body
    if field:
        assert [error["field"] for error in said.body["errors"]] == [field]


async def test_a_campaign_in_use_stays_and_a_sender_names_only_one_that_is_there(api: Api) -> None:
    sender = {"kind": "long_code", "campaign": "bills"}
    assert (await api.put(f"/v1/senders/{LONG_CODE}", sender)).body["errors"][0]["field"] == "campaign"
    await api.put("/v1/limits/brand/water", {"status": "score_50"})
    await api.put("/v1/limits/campaign/bills", {"status": "score_50", "brand": "water"})
    assert (await api.put(f"/v1/senders/{LONG_CODE}", sender)).status == 200

    for kept in ("campaign/bills", "brand/water"):
        assert (await api.ask("DELETE", f"/v1/limits/{kept}")).body["type"].endswith("scope_in_use")

    told = (await api.get(f"/v1/senders/{LONG_CODE}/usage")).body
    assert told["rate_per_s"] == 40  # of each network; 120 in all
    (window,) = told["windows"]
    assert (window["scope"], window["name"], window["network"], window["limit"]) == (
        "brand",
        "water",
        "tmobile",
        40000,
    )


async def test_what_waits_for_a_scope_goes_on_when_that_changes(api: Api) -> None:
    await api.sender()
    made = (
        await api.post("/v1/messages", {"to": LONG_CODE, "from": TOLL_FREE, "body": "Hello", "network": "att"})
    ).body
    assert made["network"] == "att"

    async def hold(tx: object) -> None:
        await lives.move(tx, "messages", [made["id"]], "held", now_ms(), reason="tenant_blocked")  # type: ignore[arg-type]

    await api.doors.database.write(hold)
    assert (await api.get(f"/v1/messages/{made['id']}/why")).body["waiting_for"] == "tenant_blocked"
    await api.put("/v1/limits/tenant/acme", {"limits": {"rate": "5/s"}})

    assert (await api.get(f"/v1/messages/{made['id']}")).body["status"] == "queued"


async def test_why_names_whose_cap_it_is_and_what_can_never_leave(api: Api) -> None:
    await api.sender(limits={"daily": 2, "zones": ["UTC"]})
    await api.put("/v1/limits/tenant/acme", {"limits": {"weekly": 0, "zones": ["UTC"], "unit": "message"}})
    made = (await api.post("/v1/messages", {"to": LONG_CODE, "from": TOLL_FREE, "body": "a" * 400})).body

    async def told(reason: str) -> str:
        async def hold(tx: object) -> None:
            await lives.move(tx, "messages", [made["id"]], "held", now_ms(), reason=reason)  # type: ignore[arg-type]

        await api.doors.database.write(hold)
        return str((await api.get(f"/v1/messages/{made['id']}/why")).body["explanation"])

    assert await told("cap_day") == (
        f"It takes 3 of the 2 segments a day of sender {TOLL_FREE}: it stays until that limit is raised."
    )
    await api.sender()
    assert await told("cap_week") == (
        "It takes 1 of the 0 messages a week of tenant acme: it stays until that limit is raised."
    )


async def test_why_says_where_no_process_sends(api: Api, postgres_url: str) -> None:
    """None was ever started; one lives; it was killed, which is known when its beat stood still between two looks."""
    async with Database.open(postgres_url) as database:
        call: Any = SimpleNamespace(doors=replace(api.doors, database=database, stillness=Stillness(lease_s=0.01)))

        async def told() -> str:
            return (await why._gate_of(call, "messages", TOLL_FREE, "live"))[0]

        await database.write(lambda tx: leases.join(tx, ["calls"], now_ms(), alone=False))
        assert await told() == "no_worker"
        holder = await database.write(lambda tx: leases.join(tx, ["messages"], now_ms(), alone=False))
        assert await told() == ""
        await database.write(lambda tx: leases.beat(tx, holder))
        assert await told() == ""
        while await told() == "":
            await asyncio.sleep(0.02)
        assert await told() == "no_worker"


def test_every_gate_that_holds_stands_in_the_documentation() -> None:
    told = (Path(__file__).parents[2] / "docs" / "api.md").read_text()

    assert [gate for gate in HOLDS if f"`{gate}`" not in told] == []
