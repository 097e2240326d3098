"""The numbered log of what happened, as the engine reads it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from gateway.model.event import Event
from gateway.store.database import Row, Tx
from gateway.store.records import loads


async def add(tx: Tx, *happened: Event) -> None:
    """Write events that are not a move of a message or a call (those write their own)."""
    await tx.many(
        "events_insert",
        [
            {
                "type": event.type,
                "tenant_id": event.tenant_id,
                "mode": event.mode,
                "subject": event.subject,
                "job_id": event.job_id,
                "at_ms": event.at_ms,
                "reason": "",
                "data": orjson.dumps(dict(event.data)).decode(),
                "callback_url": event.callback_url,
            }
            for event in happened
        ],
    )


async def after(
    tx: Tx, tenant_id: str, mode: str, seq: int, limit: int, *, subject: str = "", job_id: str = "", kind: str = ""
) -> list[dict[str, Any]]:
    """Events numbered above `seq`, oldest first."""
    where = {"tenant_id": tenant_id, "mode": mode, "after": seq, "limit": limit, "type": kind}
    if subject:
        rows = await tx.rows("events_of_subject", **where, subject=subject, job_id=job_id)
    elif job_id:
        rows = await tx.rows("events_of_job", **where, job_id=job_id)
    else:
        rows = await tx.rows("events_of_tenant", **where)
    return [view(row) for row in await numbered(tx, [row["seq"] for row in rows])]


async def numbered(tx: Tx, seqs: Sequence[int]) -> list[Row]:
    """The events with these numbers, in their order, as `view` takes them."""
    return await tx.rows("events_numbered", seqs=seqs) if seqs else []


async def due(
    tx: Tx, now_ms: int, under_way: Mapping[str, Sequence[int]], share: Callable[[str], int], tenants: int
) -> list[Row]:
    """Events that are to be delivered now, as `view` takes them.

    under_way: what is being delivered, by tenant.
    share:     deliveries that a tenant may have under way; more of the same tenant's wait.
    tenants:   how many to look at, who has waited longest first.
    """
    busy = [
        "",
        *(tenant for tenant, seqs in under_way.items() if len(seqs) >= share(tenant)),
    ]  # SQL knows no empty list
    found: list[Row] = []
    for row in await tx.rows("events_tenants_due", now_ms=now_ms, busy=busy, limit=tenants):
        seqs = under_way.get(row["id"], ())
        look = {
            "tenant_id": row["id"],
            "now_ms": now_ms,
            "under_way": [0, *seqs],
            "limit": share(row["id"]) - len(seqs),
        }
        found += await numbered(tx, [each["seq"] for each in await tx.rows("events_due", **look)])
    return found


def view(row: Row) -> dict[str, Any]:
    """One event as engines see it: `{"seq", "type", "at_ms", "id", "job_id", "data": {…}}`."""
    data: dict[str, Any] = dict(loads(row["data"]))
    if row["recipient"] is not None:
        status = row["type"].partition(".")[2]
        data = {
            "status": status,
            "to": row["recipient"],
            "from": row["sender"],
            "reference": row["reference"],
            "metadata": loads(row["metadata"]),
            **{name: row[name] for name in ("reason", "error_code") if row[name]},
            **({"until_ms": row["until_ms"]} if row["until_ms"] is not None else {}),
            **data,
        }
    return {
        "seq": row["seq"],
        "type": row["type"],
        "at_ms": row["at_ms"],
        "id": row["subject"],
        "job_id": row["job_id"],
        "data": data,
    }
