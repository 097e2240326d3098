"""Calls that are under way."""

from gateway.model.call import Call
from gateway.store import calls
from gateway.store.database import Database
from gateway.store.records import to_row

STATUSES = ("queued", "held", "dialing", "ringing", "answered", "completed", "unknown")


async def test_calls_under_way_are_found_by_their_index_among_all_that_are_over(database: Database) -> None:
    """A gateway looks every second; a year of ended calls must not be read each time."""
    fixed = {"tenant_id": "acme", "mode": "live", "sender": "+18005550199", "recipient": "+12125551234"}
    plan = {"dialplan": "bill", "dialplan_version": 1, "created_ms": 1}
    rows = [to_row(Call(id=f"call_{status}", status=status, **fixed, **plan)) for status in STATUSES]
    await database.write(lambda tx: tx.many("calls_insert", rows))

    live = await database.read(calls.live)
    async with database._opened[0].execute("EXPLAIN QUERY PLAN " + database._queries["calls_live"]) as cursor:
        steps = [row["detail"] for row in await cursor.fetchall()]

    assert [call.status for call in live] == ["answered", "dialing", "ringing"]
    assert "SEARCH calls USING INDEX calls_live (status=?)" in steps
