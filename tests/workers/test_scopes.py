"""Limits beyond the sender's, on the way of real texts: each is held by its own, and nobody else for it."""

import asyncio
import time
from typing import Any

import aiohttp
import pytest

from gateway.limits.gate import Gate
from gateway.limits.server import connect
from gateway.metrics import Metrics
from gateway.model.limit import Cap, Granted, Refused
from gateway.model.message import Message
from gateway.model.scope import Scope
from gateway.model.sender import Sender
from gateway.store import events, keys, scopes
from gateway.store.records import to_record
from gateway.workers import rebuilder
from gateway.workers.counters import Counters


async def put(sending: Any, kind: str, name: str, status: str = "open", parent: str = "", **limits: Any) -> None:
    tenant = "" if kind == "account" else "acme"
    scope = Scope(tenant, kind, name, status, parent, limits, "https://engine.example.com/limits")
    await sending.database.write(lambda tx: scopes.put(tx, scope))


async def told(sending: Any) -> list[tuple[str, int, int]]:
    found = await sending.database.read(lambda tx: events.after(tx, "acme", "live", 0, 99, kind="limit.reached"))
    return [(each["id"], each["data"]["percent"], each["data"]["used"]) for each in found]


async def test_a_person_who_was_tried_often_enough_holds_up_nobody_else(sending: Any) -> None:
    await put(sending, "recipient", "each", rolling=["2/24h"])
    ids = await sending.queue("1001", "1001", "1001", "1002", "1003")
    sending.start()

    held = await sending.until_status(ids[2], "held")
    for other in (ids[0], ids[1], ids[3], ids[4]):
        await sending.until_status(other, "delivered")
    assert held.reason == "recipient_limit"
    assert held.hold_until_ms is not None
    assert 23.9 < (held.hold_until_ms / 1000 - time.time()) / 3600 <= 25.1
    assert sending.arrived().count("+12125551001") == 2


async def test_a_networks_cap_holds_its_own_texts_alone_and_what_is_unknown_counts_for_it(sending: Any) -> None:
    await sending.sender(kind="long_code", status="verified", campaign="bills", limits={})
    await put(sending, "brand", "water", "score_75", network_daily={"tmobile": 2})
    await put(sending, "campaign", "bills", "score_75", "water")
    (unknown,) = await sending.queue("1001")
    first, second = await sending.queue("1002", "1003", network="tmobile")
    (other,) = await sending.queue("1004", network="att")
    sending.start()

    for leaves in (unknown, first, other):
        await sending.until_status(leaves, "delivered")
    assert (await sending.until_status(second, "held")).reason == "cap_day"


@pytest.mark.parametrize("limit", [{"daily": 5, "zones": ["America/Los_Angeles"]}, {"rolling": ["5/24h"]}], ids=str)
async def test_eighty_and_a_hundred_per_cent_of_a_shared_cap_are_told_to_its_callback(
    sending: Any, limit: dict[str, Any]
) -> None:
    await put(sending, "tenant", "acme", **limit)
    ids = await sending.queue(*(f"{1000 + each}" for each in range(6)))
    sending.start()
    await sending.until_status(ids[5], "held")

    assert await told(sending) == [("acme", 80, 5), ("acme", 100, 5)]  # in one commit
    waiting = await sending.database.read(lambda tx: tx.value("events_callbacks_waiting"))
    assert waiting == 2  # both, for the scope's own callback address


@pytest.mark.parametrize("limit", [{"daily": 5, "zones": ["America/Los_Angeles"]}, {"rolling": ["5/24h"]}], ids=str)
async def test_of_a_cap_that_was_raised_eighty_per_cent_are_told_anew(sending: Any, limit: dict[str, Any]) -> None:
    raised = limit | {"daily": 10} if "daily" in limit else {"rolling": ["10/24h"]}
    await put(sending, "tenant", "acme", **limit)
    first = await sending.queue(*(f"{1000 + each}" for each in range(5)))
    sending.start()
    await sending.until_status(first[4], "delivered")
    await put(sending, "tenant", "acme", **limit)  # nothing changed: nothing is told twice

    await put(sending, "tenant", "acme", **raised)
    more = await sending.queue(*(f"{2000 + each}" for each in range(3)))
    await sending.until_status(more[2], "delivered")

    assert await told(sending) == [("acme", 80, 5), ("acme", 100, 5), ("acme", 80, 8)]


async def test_what_was_granted_under_other_limits_is_not_written(sending: Any) -> None:
    await sending.queue("1001")
    sender = await sending.database.read(lambda tx: tx.row("senders_one", number="+18005550199"))
    assert sender is not None
    message = (await sending.database.read(lambda tx: tx.rows("messages_with_status", status="queued", limit=1)))[0]
    who, text = to_record(Sender, sender), to_record(Message, message)
    granted = await sending.counters.take_texts(who, "live", [text], ahead_us=0)
    await put(sending, "tenant", "acme", "blocked")

    assert isinstance(granted, Granted)
    assert not await sending.database.write(lambda tx: sending.counters.debit(tx, who, "live", granted))
    assert await sending.counters.take_texts(who, "live", [text], ahead_us=0) == Refused("blocked", "tenant:acme")


async def test_of_several_processes_that_notice_a_flushed_redis_one_rebuilds(
    sending: Any, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = Cap("sender:x:day@UTC", 10, "day", "UTC")
    gates = [Gate.connect(valkey_url) for _ in range(4)]
    monkeypatch.setattr(rebuilder, "_OTHERS_REBUILD_S", 15.0)  # nobody is too slow for the others here
    profiles = sending.counters._profiles
    all_counters = [Counters(gate, sending.database, profiles, Metrics()) for gate in gates]
    await asyncio.gather(*(each.begin() for each in all_counters))
    assert {gate.epoch for gate in gates} == {1}

    redis = connect(valkey_url)
    await redis.flushall()
    await redis.aclose()
    answers = await asyncio.gather(*(each.take([day], [1], ahead_us=0) for each in all_counters))

    assert all(isinstance(answer, Granted) for answer in answers)
    assert {gate.epoch for gate in gates} == {2}
    for gate in gates:
        await gate.aclose()


@pytest.mark.parametrize(("counts", "third"), [("accepted", "delivered"), ("attempts", "held")])
async def test_a_refusal_gives_back_what_counts_only_accepted_texts(sending: Any, counts: str, third: str) -> None:
    await put(sending, "tenant", "acme", daily=2, counts=counts, zones=["America/Los_Angeles"])
    sent, refused, last = await sending.queue("1001", "0030", "1002")
    sending.start()

    await sending.until_status(sent, "delivered")
    await sending.until_status(refused, "failed")
    await sending.until_status(last, third)
    used = await sending.database.read(lambda tx: tx.rows("audit_usage"))
    assert {row["used"] for row in used if row["limit_key"].startswith("tenant:acme")} == {2}


async def test_a_change_that_opens_nothing_ends_although_all_of_it_is_held_again_meanwhile(sending: Any) -> None:
    caps = {"rate": "50/s", "daily": 1, "zones": ["America/Los_Angeles"]}
    await sending.sender(limits=caps)
    await sending.queue(*(f"{each % 10_000:04}" for each in range(15_000)))
    sending.start()

    async def all_held(tx: Any) -> bool:
        rows = await tx.rows("messages_waiting_by_status")
        return {row["status"]: row["n"] for row in rows} == {"queued": 0, "held": 14_999}

    await sending.until(all_held)
    issued = await sending.database.write(lambda tx: keys.issue(tx, "acme"))
    began = await sending.database.read(lambda tx: tx.value("events_newest"))
    async with aiohttp.ClientSession(sending.url, headers={"Authorization": f"Bearer {issued.secret}"}) as http:
        changed = {"limits": {**caps, "rate": "60/s"}, "kind": "toll_free"}
        async with asyncio.timeout(12), http.put("/v1/senders/+18005550199", json=changed) as answer:
            assert answer.status == 200
    await sending.until(all_held)

    happened = int(await sending.database.read(lambda tx: tx.value("events_newest"))) - began
    assert happened <= 2 * 14_999 + 10  # each queued and held again once
