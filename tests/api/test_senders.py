"""Senders: made, refused, and what their limits have left."""

from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from gateway.api import limits_of
from gateway.api.server import build
from gateway.clock import now_ms
from gateway.limits.gate import Gate
from gateway.limits.server import connect
from gateway.model.sender import Sender
from gateway.store import lives, tenants, usage
from gateway.workers.counters import Counters
from gateway.workers.limits_in_force import LimitsInForce
from tests.api.conftest import PERSON, TOLL_FREE, Api

CAPS = {"rate": "10/s", "daily": 5, "weekly": 100, "zones": ["America/Los_Angeles"]}


async def test_a_sender_is_what_was_put_with_defaults_by_its_number(api: Api) -> None:
    toll_free = (await api.put(f"/v1/senders/{TOLL_FREE}", {})).body
    long_code = (await api.put("/v1/senders/+12125550100", {"status": "pending"})).body

    assert (toll_free["kind"], toll_free["status"], toll_free["keyword_replies"]) == (
        "toll_free",
        "verified",
        "network",
    )
    assert (long_code["kind"], long_code["status"], long_code["keyword_replies"]) == ("long_code", "pending", "carrier")
    assert (await api.get(f"/v1/senders/{TOLL_FREE}")).body == toll_free
    assert [each["number"] for each in (await api.get("/v1/senders")).body["items"]] == ["+12125550100", TOLL_FREE]


async def test_a_number_of_another_tenant_is_refused_and_stays_theirs(api: Api) -> None:
    await api.put(f"/v1/senders/{TOLL_FREE}", {"help_text": "City Water"})
    other = await api.key(tenant="gas")

    said = await api.put(f"/v1/senders/{TOLL_FREE}", {"help_text": "Gas"}, secret=other)

    assert (said.status, said.slug) == (409, "sender_taken")
    assert (await api.get(f"/v1/senders/{TOLL_FREE}", secret=other)).status == 404
    assert (await api.get(f"/v1/senders/{TOLL_FREE}/usage", secret=other)).status == 404
    assert (await api.get(f"/v1/senders/{TOLL_FREE}")).body["help_text"] == "City Water"


@pytest.mark.parametrize(
    ("number", "changes", "wrong"),
    [
        ("nobody", {}, {"number": "invalid_number"}),
        (TOLL_FREE, {"kind": "vanity"}, {"kind": "not_one_of"}),
        (TOLL_FREE, {"status": "good"}, {"status": "not_one_of"}),
        (TOLL_FREE, {"voice": "trunk-9"}, {"voice": "unknown_road"}),
        (TOLL_FREE, {"carrier": "pigeon"}, {"carrier": "not_one_of"}),
        (TOLL_FREE, {"limits": {"rate": "fast"}}, {"limits.rate": "bad_limits"}),
        (TOLL_FREE, {"limits": {"daily": 5}}, {"limits.zones": "bad_limits"}),
        (TOLL_FREE, {"limits": {"daily": 5, "zones": ["Mars/Olympus"]}}, {"limits.zones.0": "bad_limits"}),
        (TOLL_FREE, {"limits": {"dayly": 5}}, {"limits.dayly": "unknown_field"}),
        (TOLL_FREE, {"stop_text": "x" * 161}, {"stop_text": "too_long"}),
        (TOLL_FREE, {"help_text": "x" * 1601}, {"help_text": "bad_text"}),
        (TOLL_FREE, {"inbound_dialplan": "none"}, {"inbound_dialplan": "unknown_dialplan"}),
    ],
    ids=str,
)
async def test_a_sender_that_cannot_be_is_refused_by_field(api: Api, number: str, changes: Any, wrong: Any) -> None:
    said = await api.put(f"/v1/senders/{number}", changes)

    assert (said.status, said.wrong) == (422, wrong)
    assert (await api.get("/v1/senders")).body["items"] == []


async def test_what_waited_for_the_senders_status_goes_on_when_it_changes(api: Api) -> None:
    await api.sender(status="unverified")
    made = (await api.post("/v1/messages", {"to": PERSON, "from": TOLL_FREE, "body": "Hi"})).body["id"]

    async def hold(tx: Any) -> Any:
        return await lives.move(tx, "messages", [made], "held", now_ms(), reason="sender_unverified")

    await api.doors.database.write(hold)
    why = (await api.get(f"/v1/messages/{made}/why")).body
    assert (why["waiting_for"], why["opens_at"]) == ("sender_unverified", None)

    await api.sender(status="verified")
    await api.doors.database.write(lambda tx: lives.release_due(tx, "messages", now_ms() + 1, 10))

    assert (await api.get(f"/v1/messages/{made}")).body["status"] == "queued"


async def test_limits_are_told_as_the_sending_loops_take_them(api: Api) -> None:
    in_force = LimitsInForce(api.doors.database, api.doors.profiles, "all")
    sender = Sender(TOLL_FREE, "acme", "toll_free", limits=CAPS)

    for mode in ("live", "test"):
        bound = await in_force.of_texts(sender, mode)
        assert await limits_of.of_all_scopes(api.doors, sender, mode) == bound.shared


async def take(api: Api, segments: list[int]) -> Any:
    """Take limits as the sending loop does; write the usage of the first grant's first slots."""
    counters = Counters(api.doors.gate, api.doors.database, api.doors.profiles, api.doors.metrics)
    sender = await api.doors.database.read(lambda tx: tenants.sender(tx, TOLL_FREE))
    assert sender is not None
    return await counters.take(limits_of.of_sender(api.doors, sender, "live"), segments, ahead_us=1_000_000)


async def test_usage_tells_what_is_used_reserved_and_free_in_every_window(api: Api) -> None:
    await api.sender(limits=CAPS)
    granted = await take(api, [2, 1])
    await api.doors.database.write(lambda tx: usage.add(tx, granted.slots[0].debits, granted.seq))

    told = (await api.get(f"/v1/senders/{TOLL_FREE}/usage")).body

    assert (told["rate_per_s"], told["blocked"], told["waiting"]) == (10, False, 0)
    day, week = told["windows"]
    assert (day["window"], day["limit"], day["used"], day["reserved"], day["free"]) == ("day", 5, 2, 1, 2)
    assert (week["window"], week["limit"], week["used"], week["free"]) == ("week", 100, 2, 97)
    resets = datetime.fromisoformat(day["resets_at"])
    assert resets > datetime.now(UTC)
    assert resets.astimezone(UTC).minute == 0
    assert day["runs_out_at"] is None


async def test_usage_tells_when_a_window_runs_out(api: Api) -> None:
    await api.sender(limits=CAPS)
    people = [{"to": f"+1212555{1000 + n}"} for n in range(10)]
    await api.post("/v1/jobs", {"channel": "sms", "from": TOLL_FREE, "message": {"body": "Hi"}, "recipients": people})

    day, week = (await api.get(f"/v1/senders/{TOLL_FREE}/usage")).body["windows"]

    assert day["runs_out_at"] is not None
    assert week["runs_out_at"] is None


async def test_a_window_that_is_used_up_has_run_out_now(api: Api) -> None:
    await api.sender(limits=CAPS | {"daily": 0})

    day, week = (await api.get(f"/v1/senders/{TOLL_FREE}/usage")).body["windows"]

    assert abs(datetime.fromisoformat(day["runs_out_at"]).timestamp() * 1000 - now_ms()) < 5_000
    assert week["runs_out_at"] is None


async def test_test_keys_have_counters_of_their_own(api: Api) -> None:
    await api.sender(limits=CAPS)
    await take(api, [2])

    told = await api.get(f"/v1/senders/{TOLL_FREE}/usage", secret=await api.key(mode="test"))

    assert told.body["windows"][0]["free"] == 5


async def test_an_unverified_sender_is_blocked_and_has_no_windows(api: Api) -> None:
    await api.sender(status="unverified")

    told = (await api.get(f"/v1/senders/{TOLL_FREE}/usage")).body

    assert (told["blocked"], told["rate_per_s"], told["windows"]) == (True, None, [])


async def test_where_redis_is_away_usage_is_the_databases_and_requests_are_taken(api: Api, tmp_path: Any) -> None:
    await api.sender(limits=CAPS)
    granted = await take(api, [2])
    await api.doors.database.write(lambda tx: usage.add(tx, granted.slots[0].debits, granted.seq))
    redis = connect(f"unix://{tmp_path}/nothing.sock")
    doors = type(api.doors)(**{name: getattr(api.doors, name) for name in api.doors.__slots__} | {"gate": Gate(redis)})

    async with TestClient(TestServer(build(doors))) as client:
        api.client = client
        day = (await api.get(f"/v1/senders/{TOLL_FREE}/usage")).body["windows"][0]
        text = await api.post("/v1/messages", {"to": PERSON, "from": TOLL_FREE, "body": "Hi"})
        ready = await api.get("/readyz")

    assert (day["used"], day["reserved"], day["free"]) == (2, 0, 3)
    assert text.status == 202
    assert (ready.status, [each["name"] for each in ready.body["missing"]]) == (503, ["redis"])
    await redis.aclose()
