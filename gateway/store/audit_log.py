"""What people did by hand, and when: who, what, to which thing, and why as they say. Nothing is taken out."""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from gateway.store.database import Row, Tx

NEWEST = 2**62  # above every number of a row


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that somebody did. `actor` names a key, `subject` is an id, `note` is in the person's own words."""

    tenant_id: str
    mode: str
    actor: str
    action: str
    subject: str
    detail: Mapping[str, object]
    note: str
    at_ms: int


async def add(tx: Tx, deed: Deed) -> None:
    """Write it down, in the transaction that does it."""
    await tx.run(
        "audit_add",
        tenant_id=deed.tenant_id,
        mode=deed.mode,
        actor=deed.actor,
        action=deed.action,
        subject=deed.subject,
        detail=orjson.dumps(dict(deed.detail)).decode(),
        note=deed.note,
        at_ms=deed.at_ms,
    )


async def page(tx: Tx, tenant_id: str, mode: str, *, before: int, limit: int, subject: str = "") -> list[Row]:
    """Deeds of a tenant, newest first, numbered below `before`."""
    return await tx.rows("audit_page", tenant_id=tenant_id, mode=mode, before=before, limit=limit, subject=subject)
