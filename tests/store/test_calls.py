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
    rows = [to_row(Call(id=f"call_{status}", status=status, **fixed, **plan)) for status in STATUSES]
    await database.write(lambda tx: tx.many("calls_insert", rows))

    live = await database.read(calls.live)

    async def plan_of(tx: SqliteTx) -> list[str]:
        return [row["detail"] for row in tx.connection.execute("EXPLAIN QUERY PLAN " + queries()["calls_live"])]

    steps = await database.read(plan_of)

    assert [call.status for call in live] == ["answered", "dialing", "ringing"]
    assert "SEARCH calls USING INDEX calls_live (status=?)" in steps


async def test_of_two_processes_that_keep_the_same_call_of_a_carrier_one_does(
    shared: tuple[Database, Database],
) -> None:
    fixed = {"tenant_id": "acme", "mode": "live", "sender": "+18005550199", "recipient": "+12125551234"}
    plan = {"dialplan": "bill", "dialplan_version": 1, "direction": "in", "status": "ringing"}
    rows = [Call(id=f"call_{n}", carrier="twilio", carrier_id="CA1", created_ms=1, **fixed, **plan) for n in range(2)]

    kept = await asyncio.gather(
        *(InboundCalls(each, Plans(each)).keep(row) for each, row in zip(shared, rows, strict=True))
    )

    assert sorted(kept) == [False, True]
    live = await shared[0].read(calls.live)
    assert [call.id for call in live] == [f"call_{kept.index(True)}"]
