"""Calls that are under way."""

import asyncio

import pytest

from gateway.carriers.inbound_calls import InboundCalls
from gateway.model.call import Call
from gateway.store import calls
from gateway.store.calls import Plans
from gateway.store.database import Database
from gateway.store.records import to_row
from gateway.store.sqlite import SqliteTx, queries

STATUSES = ("queued", "held", "dialing", "ringing", "answered", "completed", "unknown")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_calls_under_way_are_found_by_their_index_among_all_that_are_over(database: Database) -> None:
    """A gateway looks every second; a year of ended calls must not be read each time."""
    fixed = {"tenant_id": "acme", "mode": "live", "sender": "+18005550199", "recipient": "+12125551234"}
    plan = {"dialplan": "bill", "dialplan_version": 1, "created_ms": 1}
    rows = [
        to_row(Call(id=f"call_{status}{state}", status=status, engine_state=state, **fixed, **plan))
        for status in STATUSES
        for state in ("", "{}")  # over a trunk; between webhooks
    ]
    await database.write(lambda tx: tx.many("calls_insert", rows))

    live = await database.read(calls.at_carriers)

    async def plan_of(tx: SqliteTx) -> list[str]:
        return [row["detail"] for row in tx.connection.execute("EXPLAIN QUERY PLAN " + queries()["calls_at_carriers"])]

    steps = await database.read(plan_of)

    assert [call.id for call in live] == ["call_answered{}", "call_dialing{}", "call_ringing{}"]
    assert "SEARCH calls USING INDEX calls_live (status=?)" in steps


async def test_of_two_processes_that_keep_the_same_call_of_a_carrier_one_does(
    shared: tuple[Database, Database],
) -> None:
    fixed = {"tenant_id": "acme", "mode": "live", "sender": "+18005550199", "recipient": "+12125551234"}
    plan = {"dialplan": "bill", "dialplan_version": 1, "direction": "in", "status": "ringing", "engine_state": "{}"}
    rows = [Call(id=f"call_{n}", carrier="twilio", carrier_id="CA1", created_ms=1, **fixed, **plan) for n in range(2)]

    kept = await asyncio.gather(
        *(InboundCalls(each, Plans(each)).keep(row) for each, row in zip(shared, rows, strict=True))
    )

    assert sorted(kept) == [False, True]
    live = await shared[0].read(calls.at_carriers)
    assert [call.id for call in live] == [f"call_{kept.index(True)}"]
