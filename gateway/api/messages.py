"""`/v1/messages`: one text to one person, and what became of it."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from gateway.api import why
from gateway.api.inputs import (
    CallbackUrl,
    Input,
    Metadata,
    Name,
    NetworkName,
    Number,
    NumberFilter,
    Page,
    Priority,
    Reference,
    SenderNumber,
    Text,
    Time,
    Variables,
    one_of,
)
from gateway.api.operation import Answer, Call, View, operation
from gateway.api.problems import told_at
from gateway.api.roads import check_callback, check_times, for_texts, start_of
from gateway.api.views import Listed, when
from gateway.api.wording import wording
from gateway.clock import new_id
from gateway.errors.api import FieldProblem, InvalidRequest, NotFound
from gateway.errors.sms import MissingVariable
from gateway.model.message import Message
from gateway.model.states import MESSAGE_MOVES
from gateway.sms.wording import Wording
from gateway.store import events, lives
from gateway.store.database import Row, Tx
from gateway.store.records import to_record, to_row

_EVENTS = 200  # shown with one message


class NewMessage(Input):
    """One text. Give `body`, or the name of a saved `template` and its `variables`."""

    to: Number
    from_: SenderNumber = Field(alias="from")
    body: Text | None = Field(None, description="1 to 1,600 characters; sent as it stands.")
    template: Name | None = None
    variables: Variables = Field(default_factory=dict)
    signature: Name | None = Field(None, description="The name of a saved signature.")
    send_at: Time | None = Field(None, description="Held until then.")
    expires_at: Time | None = Field(None, description="Not sent after this.")
    priority: Priority = Field(0, description="Higher ones leave first.")
    reference: Reference = ""
    metadata: Metadata = Field(default_factory=dict)
    callback_url: CallbackUrl | None = None
    network: NetworkName | None = None
    smart_encoding: bool = Field(False, description="Replace curly quotes and the like by what costs less.")


class MessageView(View):
    """One text. `status` and `reason` as docs/api.md lists them; `segments` is what carriers count."""

    model_config = ConfigDict(validate_by_name=True)

    id: str
    status: str
    reason: str
    to: str
    from_: str = Field(alias="from")
    body: str
    encoding: str
    segments: int
    kind: str
    job_id: str | None
    priority: int
    held_until: str | None
    expires_at: str | None
    carrier: str
    carrier_id: str | None
    error_code: str
    attempts: int
    copies: int = Field(description="How often it was sent again by choice although it may have left before.")
    reference: str
    metadata: dict[str, Any]
    callback_url: str
    mode: str
    network: str
    created_at: str
    updated_at: str
    sent_at: str | None


class EventView(View):
    """One thing that happened. `seq` only grows; `data` depends on `type`."""

    seq: int
    type: str
    at_ms: int
    id: str
    job_id: str | None
    data: dict[str, Any]


class MessageWithEvents(MessageView):
    """One text and what happened to it: the last 200 events, oldest first."""

    events: list[EventView]


class MessagesQuery(Page):
    """Which texts to list."""

    status: Annotated[str, one_of(MESSAGE_MOVES)] = ""
    to: NumberFilter = ""
    job_id: str = ""
    reference: str = ""


def _fields(message: Message) -> dict[str, Any]:
    same = ("id", "status", "reason", "body", "encoding", "segments", "kind", "job_id", "priority", "carrier")
    more = ("carrier_id", "error_code", "attempts", "copies", "reference", "callback_url", "mode", "network")
    return {
        **{name: getattr(message, name) for name in (*same, *more)},
        "to": message.recipient,
        "from": message.sender,
        "held_until": when(message.hold_until_ms) if message.status == "held" else None,
        "expires_at": when(message.expires_ms),
        "metadata": dict(message.metadata),
        "created_at": when(message.created_ms),
        "updated_at": when(message.updated_ms),
        "sent_at": when(message.sent_ms),
    }


def view(row: Row) -> MessageView:
    """A text as engines see it."""
    return MessageView(**_fields(to_record(Message, row)))


def _check_variables(words: Wording, variables: Mapping[str, str]) -> None:
    """Raise InvalidRequest with an entry for each that is missing, and each that the template does not ask for."""
    missing = [MissingVariable(name) for name in words.missing(variables)]
    wrong = [FieldProblem(f"variables.{each.name}", each.slug, str(each)) for each in missing]
    told = "is not asked for by the template" if words.template is not None else "goes with a template, not with a body"
    wrong += [FieldProblem(f"variables.{name}", "bad_variable", told) for name in variables if name not in words.names]
    if wrong:
        raise InvalidRequest(*wrong)


@operation(
    "POST",
    "/v1/messages",
    "Send one text.",
    scope="messages:write",
    body=NewMessage,
    answers={202: MessageView},
    idempotent=True,
)
async def create(call: Call, body: NewMessage) -> Answer:
    """Answered when the text is on disk; it leaves as soon as every limit lets it.

    A person who has opted out is not written to: such a text ends as `suppressed`.
    """
    sender = await for_texts(call, body.from_)
    check_times(call.now_ms, ("send_at", body.send_at), body.expires_at)
    callback_url = check_callback(call, body.callback_url)
    words = await wording(
        call,
        body=body.body,
        name=body.template,
        signature=body.signature,
        smart_encoding=body.smart_encoding,
        fills=False,
        at="",
    )
    _check_variables(words, body.variables)
    with told_at("body"):
        text, counted = words.of(body.variables)
    status, reason, until_ms = start_of(call.now_ms, body.send_at)
    message = Message(
        id=new_id("msg"),
        tenant_id=call.key.tenant_id,
        mode=call.key.mode,
        sender=sender.number,
        recipient=body.to,
        body=text,
        encoding=counted.encoding,
        segments=counted.segments,
        priority=body.priority,
        status=status,
        reason=reason,
        hold_until_ms=until_ms,
        expires_ms=body.expires_at,
        reference=body.reference,
        metadata=body.metadata,
        callback_url=callback_url,
        network=body.network or "",
        created_ms=call.now_ms,
        updated_ms=call.now_ms,
    )

    async def work(tx: Tx) -> Answer:
        await tx.run("messages_insert", **to_row(message))
        return Answer(202, MessageView(**_fields(message)))

    answer = await call.create(work)
    call.doors.signals.wake("messages")
    return answer


@operation(
    "GET",
    "/v1/messages",
    "List texts.",
    scope="messages:read",
    query=MessagesQuery,
    answers={200: Listed[MessageView]},
)
async def page(call: Call, query: MessagesQuery) -> Answer:
    """Newest first, all filters together."""
    rows = await call.doors.database.read(
        lambda tx: lives.page(
            tx,
            "messages",
            {"tenant_id": call.key.tenant_id, "mode": call.key.mode},
            before=query.cursor,
            job_id=query.job_id,
            status=query.status,
            recipient=query.to,
            reference=query.reference,
            limit=query.limit,
        )
    )
    following = rows[-1]["id"] if len(rows) == query.limit else None
    return Answer(200, Listed[MessageView](items=[view(row) for row in rows], next_cursor=following))


async def _own(call: Call, tx: Tx) -> Row:
    row = await tx.row("messages_of_tenant", id=call.path("id"), tenant_id=call.key.tenant_id, mode=call.key.mode)
    if row is None:
        raise NotFound("message")
    return row


@operation(
    "GET",
    "/v1/messages/{id}",
    "One text and what happened to it.",
    scope="messages:read",
    answers={200: MessageWithEvents},
)
async def one(call: Call) -> Answer:
    """The newest state, and the events that led to it."""

    async def look(tx: Tx) -> MessageWithEvents:
        row = await _own(call, tx)
        happened = await tx.rows("events_of_one", subject=row["id"], limit=_EVENTS)
        told = [EventView(**events.view(each)) for each in happened]
        return MessageWithEvents(**_fields(to_record(Message, row)), events=told)

    return Answer(200, await call.doors.database.read(look))


@operation(
    "GET",
    "/v1/messages/{id}/why",
    "What a text waits for.",
    scope="messages:read",
    answers={200: why.Why},
)
async def explain(call: Call) -> Answer:
    """Names the gate that holds it and when that opens."""
    row = await call.doors.database.read(lambda tx: _own(call, tx))
    return Answer(200, await why.of_one(call, "messages", row))
