"""The numbered log of what happened, as the engine reads it."""

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
    rows = await tx.rows(
        "events_after",
        tenant_id=tenant_id,
        mode=mode,
        after=seq,
        limit=limit,
        subject=subject,
        job_id=job_id,
        type=kind,
    )
    return [view(row) for row in rows]


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
