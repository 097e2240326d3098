"""`/v1/calls`: one call to one person, and how it went."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from gateway.api import plans, why
from gateway.api.inputs import (
    CallbackUrl,
    Input,
    Metadata,
    Name,
    Number,
    NumberFilter,
    Page,
    Priority,
    Reference,
    SenderNumber,
    Time,
    Variables,
    one_of,
)
from gateway.api.messages import EventView
from gateway.api.operation import Answer, Call, View, operation
from gateway.api.roads import check_callback, check_times, for_calls, start_of
from gateway.api.views import Listed, when
from gateway.clock import new_id
from gateway.errors.api import NotFound
from gateway.model.call import Call as CallRecord
from gateway.model.states import CALL_MOVES
from gateway.store import events, lives
from gateway.store.database import Row, Tx
from gateway.store.records import to_record, to_row

_EVENTS = 200  # shown with one call


class NewCall(Input):
    """One call."""

    to: Number
    from_: SenderNumber = Field(alias="from")
    dialplan: Name = Field(description="The newest published version is what this call will say.")
    variables: Variables = Field(default_factory=dict)
    call_at: Time | None = Field(None, description="Held until then.")
    expires_at: Time | None = Field(None, description="Not dialled after this.")
    priority: Priority = Field(0, description="Higher ones are dialled first.")
    reference: Reference = ""
    metadata: Metadata = Field(default_factory=dict)
    callback_url: CallbackUrl | None = None


class CallView(View):
    """One call. `outcome` is the dialplan's own word; `path` and `prompts` have what was really passed and played."""

    model_config = ConfigDict(validate_by_name=True)

    id: str
    status: str
    reason: str
    to: str
    from_: str = Field(alias="from")
    direction: str
    dialplan: str
    dialplan_version: int
    variables: dict[str, str]
    job_id: str | None
    priority: int
    held_until: str | None
    expires_at: str | None
    carrier: str
    carrier_id: str | None
    error_code: str
    answered_by: Literal["", "human", "machine", "unknown"] = Field(description="Empty: nobody did (yet).")
    outcome: str
    keys: str
    path: list[dict[str, Any]]
    prompts: list[dict[str, Any]]
    collected: dict[str, str]
    transfers: list[dict[str, Any]]
    recordings: list[dict[str, Any]] = Field(description="Fetch each by GET /v1/recordings/{id}.")
    detection: dict[str, Any] = Field(description="How it was found out who answered; see docs/calls.md.")
    quality: dict[str, Any] = Field(description="What the line was like; see docs/calls.md.")
    reference: str
    metadata: dict[str, Any]
    callback_url: str
    mode: str
    created_at: str
    updated_at: str
    answered_at: str | None
    ended_at: str | None
    attempt: int = Field(description="Which of this person's calls in its job it is.")
    first_id: str | None = Field(description="The first of these; null: this is the first.")
    alternatives: list[str] = Field(description="The person's other numbers.")
    message_delay_ms: int | None = Field(
        description="From the end of the person's greeting to the first sound of ours; null: they heard nothing."
    )


class CallWithEvents(CallView):
    """One call and what happened to it, oldest first."""

    events: list[EventView]


class CallsQuery(Page):
    """Which calls to list."""

    status: Annotated[str, one_of(CALL_MOVES)] = ""
    to: NumberFilter = ""
    job_id: str = ""
    reference: str = ""
    direction: Annotated[str, one_of(("in", "out"))] = ""


_SAME = (
    *("id", "status", "reason", "direction", "dialplan", "dialplan_version", "job_id", "priority", "carrier"),
    *("carrier_id", "error_code", "answered_by", "outcome", "keys", "reference", "callback_url", "mode"),
    *("attempt", "first_id", "message_delay_ms"),
)


def _fields(call: CallRecord) -> dict[str, Any]:
    return {
        **{name: getattr(call, name) for name in _SAME},
        "to": call.recipient,
        "from": call.sender,
        **{name: dict(getattr(call, name)) for name in ("variables", "collected", "detection", "quality", "metadata")},
        "path": list(call.path),
        "alternatives": list(call.alternatives),
        "prompts": list(call.prompts),
        "transfers": list(call.transfers),
        "recordings": list(call.recordings),
        "held_until": when(call.hold_until_ms) if call.status == "held" else None,
        "expires_at": when(call.expires_ms),
        "created_at": when(call.created_ms),
        "updated_at": when(call.updated_ms),
        "answered_at": when(call.answered_ms),
        "ended_at": when(call.ended_ms),
    }


@operation(
    "POST",
    "/v1/calls",
    "Call one person.",
    scope="calls:write",
    body=NewCall,
    answers={202: CallView},
    idempotent=True,
)
async def create(call: Call, body: NewCall) -> Answer:
    """Answered when the call is on disk; it is dialled as soon as the trunk's limits let it."""
    sender = await for_calls(call, body.from_)
    check_times(call.now_ms, ("call_at", body.call_at), body.expires_at)
    callback_url = check_callback(call, body.callback_url)
    version, plan = await plans.for_calling(call, body.dialplan, "dialplan", category=None)
    plans.check_variables(plan, body.variables)
    status, reason, until_ms = start_of(call.now_ms, body.call_at)
    record = CallRecord(
        id=new_id("call"),
        tenant_id=call.key.tenant_id,
        mode=call.key.mode,
        sender=sender.number,
        recipient=body.to,
        dialplan=body.dialplan,
        dialplan_version=version,
        variables=body.variables,
        priority=body.priority,
        status=status,
        reason=reason,
        hold_until_ms=until_ms,
        expires_ms=body.expires_at,
        reference=body.reference,
        metadata=body.metadata,
        callback_url=callback_url,
        created_ms=call.now_ms,
        updated_ms=call.now_ms,
    )

    async def work(tx: Tx) -> Answer:
        await tx.run("calls_insert", **to_row(record))
        return Answer(202, CallView(**_fields(record)))

    answer = await call.create(work)
    call.doors.signals.wake("calls")
    return answer


@operation("GET", "/v1/calls", "List calls.", scope="calls:read", query=CallsQuery, answers={200: Listed[CallView]})
async def page(call: Call, query: CallsQuery) -> Answer:
    """Newest first, all filters together."""
    rows = await call.doors.database.read(
        lambda tx: lives.page(
            tx,
            "calls",
            {"tenant_id": call.key.tenant_id, "mode": call.key.mode},
            before=query.cursor,
            job_id=query.job_id,
            status=query.status,
            recipient=query.to,
            reference=query.reference,
            kind=query.direction,
            limit=query.limit,
        )
    )
    items = [CallView(**_fields(to_record(CallRecord, row))) for row in rows]
    return Answer(200, Listed[CallView](items=items, next_cursor=rows[-1]["id"] if len(rows) == query.limit else None))


async def _own(call: Call, tx: Tx) -> Row:
    row = await tx.row("calls_of_tenant", id=call.path("id"), tenant_id=call.key.tenant_id, mode=call.key.mode)
    if row is None:
        raise NotFound("call")
    return row


@operation(
    "GET", "/v1/calls/{id}", "One call and what happened to it.", scope="calls:read", answers={200: CallWithEvents}
)
async def one(call: Call) -> Answer:
    """The newest state, and the events that led to it."""

    async def look(tx: Tx) -> CallWithEvents:
        row = await _own(call, tx)
        happened = await tx.rows("events_of_one", subject=row["id"], limit=_EVENTS)
        told = [EventView(**events.view(each)) for each in happened]
        return CallWithEvents(**_fields(to_record(CallRecord, row)), events=told)

    return Answer(200, await call.doors.database.read(look))


@operation("GET", "/v1/calls/{id}/why", "What a call waits for.", scope="calls:read", answers={200: why.Why})
async def explain(call: Call) -> Answer:
    """Names the gate that holds it and when that opens."""
    row = await call.doors.database.read(lambda tx: _own(call, tx))
    return Answer(200, await why.of_one(call, "calls", row))
