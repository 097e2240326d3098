"""The numbered log, read by tenant, job and subject; and whose callbacks are due."""

from typing import Any

import pytest

from gateway.model.event import Event
from gateway.model.tenant import Tenant
from gateway.store import events, tenants
from gateway.store.database import Database


async def happen(database: Database, count: int, tenant: str = "acme", **more: Any) -> None:
    fields = {"type": "job.created", "mode": "live", "subject": "job_1", "at_ms": 5, "data": {}, **more}
    await database.write(lambda tx: tenants.add_tenant(tx, Tenant(tenant, tenant, 1)))
    await database.write(lambda tx: events.add(tx, *(Event(tenant_id=tenant, **fields) for _ in range(count))))


@pytest.mark.parametrize(
    ("filters", "seqs"),
    [
        ({}, [1, 2, 3, 4, 7]),
        ({"kind": "call.answered"}, [4]),
        ({"job_id": "job_1"}, [2, 3]),
        ({"job_id": "job_1", "kind": "job.paused"}, [3]),
        ({"subject": "+12125551234"}, [1, 7]),
        ({"subject": "call_1", "job_id": "job_2"}, [4]),
        ({"subject": "call_1", "job_id": "job_1"}, []),
        ({"subject": "job_1", "kind": "job.created"}, [2]),
    ],
    ids=str,
)
async def test_filters_of_the_log_hold_together_and_keep_its_order(
    database: Database, filters: dict[str, str], seqs: list[int]
) -> None:
    person = {"subject": "+12125551234", "type": "opt_out.created"}
    await happen(database, 1, **person)
    await happen(database, 1, job_id="job_1")
    await happen(database, 1, job_id="job_1", type="job.paused")
    await happen(database, 1, job_id="job_2", type="call.answered", subject="call_1")
    await happen(database, 1, job_id="job_1", tenant="gas")
    await happen(database, 1, job_id="job_1", mode="test")
    await happen(database, 1, **person)

    found = await database.read(lambda tx: events.after(tx, "acme", "live", 0, 99, **filters))
    later = await database.read(lambda tx: events.after(tx, "acme", "live", 3, 1, **filters))

    assert [each["seq"] for each in found] == seqs
    assert [each["seq"] for each in later] == [seq for seq in seqs if seq > 3][:1]


async def test_the_oldest_callbacks_of_each_tenant_are_due_and_a_long_queue_hides_nobodys(database: Database) -> None:
    url = {"callback_url": "https://engine.example/told"}
    await happen(database, 50, **url)
    await happen(database, 2, tenant="gas", **url | {"at_ms": 9})
    await happen(database, 1, tenant="power", **url | {"at_ms": 99})

    async def due(**under_way: list[int]) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for row in await database.read(lambda tx: events.due(tx, 50, under_way, lambda _: 4, 9)):
            found.setdefault(row["tenant_id"], []).append(row["seq"])
        return found

    assert await due() == {"acme": [1, 2, 3, 4], "gas": [51, 52]}
    assert await due(acme=[1, 2, 3], gas=[51]) == {"acme": [4], "gas": [52]}
    assert await due(acme=[1, 2, 3, 4]) == {"gas": [51, 52]}
