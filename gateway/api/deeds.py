"""`/v1/audit-log`: what people did by hand, and who."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from gateway.api.inputs import Query
from gateway.api.operation import Answer, Call, View, operation
from gateway.api.views import Listed, when
from gateway.store import audit_log
from gateway.store.audit_log import Deed
from gateway.store.records import loads


def deed(call: Call, action: str, subject: str, detail: Mapping[str, object], note: str = "") -> Deed:
    """What the caller does now: for `audit_log.add`, in the transaction that does it."""
    who = f"{call.key.id} {call.key.label}".strip()
    return Deed(call.key.tenant_id, call.key.mode, who, action, subject, detail, note, call.now_ms)


class DeedView(View):
    """One thing that somebody did by hand."""

    seq: int
    at: str | None
    actor: str = Field(description="The key's id and label.")
    action: str
    subject: str
    detail: dict[str, object]
    note: str


class DeedsQuery(Query):
    """Which deeds to list."""

    cursor: Annotated[str, Field(pattern=r"^([0-9]{1,18})?$")] = ""
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    subject: str = ""


@operation(
    "GET",
    "/v1/audit-log",
    "What people did by hand.",
    scope="reports:read",
    query=DeedsQuery,
    answers={200: Listed[DeedView]},
)
async def deeds(call: Call, query: DeedsQuery) -> Answer:
    """Who, what, to which text or job, when, and why as they said. Newest first."""
    before = int(query.cursor) if query.cursor else audit_log.NEWEST
    whose = {"tenant_id": call.key.tenant_id, "mode": call.key.mode, "subject": query.subject}
    rows = await call.doors.database.read(lambda tx: audit_log.page(tx, **whose, before=before, limit=query.limit))
    items = [
        DeedView(
            **{name: row[name] for name in ("seq", "actor", "action", "subject", "note")},
            at=when(row["at_ms"]),
            detail=dict(loads(row["detail"])),
        )
        for row in rows
    ]
    following = str(rows[-1]["seq"]) if len(rows) == query.limit else None
    return Answer(200, Listed[DeedView](items=items, next_cursor=following))
