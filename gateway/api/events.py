"""`/v1/events`: the numbered log, as pages or as a stream of server-sent events; `/v1/inbound`: texts that came in."""

import asyncio
import contextlib
from collections import Counter
from typing import Any, Final

import orjson
from aiohttp import web
from pydantic import Field

from gateway.api.inputs import MAX_PAGE, AfterSeq, NumberFilter, Page, Query
from gateway.api.messages import EventView
from gateway.api.middleware import set_headers
from gateway.api.operation import AUTHENTICATOR, Answer, Call, View, operation
from gateway.api.views import Listed, when
from gateway.clock import monotonic
from gateway.errors.api import FieldProblem, InvalidRequest, MissingScope, TooManyStreams, Unauthorized
from gateway.errors.store import StoreUnavailable
from gateway.store import events
from gateway.store.database import Tx
from gateway.store.signals import Listener

CLOSING: Final = web.AppKey("closing", asyncio.Event)
SCOPE: Final = "reports:read"
HEARTBEAT_S: Final = 15.0
_LOOK_EVERY_S: Final = 1.0
_MOST: Final = 1000
STREAMS: Final = web.AppKey("streams", Counter[str])  # by tenant
MOST_STREAMS: Final = 64  # of one tenant: each asks the database whenever anything happens


class EventsQuery(Query):
    """Which events, and from where on."""

    after: AfterSeq = Field(0, description="The last `seq` you have; `newest`: only what is to come.")
    limit: int = Field(100, ge=1, le=_MOST)
    type: str = Field("", examples=["message.delivered"])
    job_id: str = ""
    subject: str = Field("", description="The id of a message, call or job, or a number.")


class Events(View):
    """Events, oldest first. Ask again with `after` = `next_after`."""

    items: list[EventView]
    next_after: int


@operation(
    "GET",
    "/v1/events",
    "What happened, in order.",
    scope=SCOPE,
    query=EventsQuery,
    answers={200: Events},
    streams=True,
)
async def log(call: Call, query: EventsQuery) -> Answer | web.StreamResponse:
    """With `Accept: text/event-stream` the answer goes on: each event as it happens, its `seq` as the event's id.

    A stream that broke is taken up by the `Last-Event-ID` header (RFC: WHATWG HTML, server-sent events).
    """
    if "text/event-stream" in call.request.headers.get("Accept", ""):
        return await _stream(call, query)
    seq = await _from(call, query)
    items, seq = await _after(call, query, seq, query.limit)
    return Answer(200, Events(items=items, next_after=seq))


async def _from(call: Call, query: EventsQuery) -> int:
    if query.after == "newest":
        return int(await call.doors.database.read(lambda tx: tx.value("events_newest")))
    return query.after


async def _after(call: Call, query: EventsQuery, seq: int, limit: int) -> tuple[list[EventView], int]:
    """The next events, and the number to go on after: what no filter lets through is not looked at again."""
    where = {"subject": query.subject, "job_id": query.job_id, "kind": query.type}

    async def look(tx: Tx) -> tuple[list[dict[str, Any]], int]:
        newest = int(await tx.value("events_newest"))  # first: all up to it is seen by what is asked next
        return await events.after(tx, call.key.tenant_id, call.key.mode, seq, limit, **where), newest

    found, newest = await call.doors.database.read(look)
    last = found[-1]["seq"] if found else seq
    return [EventView(**each) for each in found], last if len(found) == limit else max(last, newest)


async def _stream(call: Call, query: EventsQuery) -> web.StreamResponse:
    streams, whose = call.request.app[STREAMS], call.key.tenant_id
    if streams[whose] >= MOST_STREAMS:
        raise TooManyStreams(MOST_STREAMS)
    streams[whose] += 1
    try:
        return await _listened(call, query)
    finally:
        streams[whose] -= 1


async def _listened(call: Call, query: EventsQuery) -> web.StreamResponse:
    woken = call.doors.signals.listen("events")
    seq = _resumed(call) or await _from(call, query)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    set_headers(call.request, response)
    await response.prepare(call.request)
    with contextlib.suppress(StoreUnavailable):  # an error cannot be told any more: who listens takes it up again
        await _tell(call, query, seq, response, woken)
    return response


async def _tell(call: Call, query: EventsQuery, seq: int, response: web.StreamResponse, woken: Listener) -> None:
    closing = call.request.app[CLOSING]
    written = monotonic()
    while not closing.is_set() and call.request.transport is not None and await _may_listen(call):
        found, seq = await _after(call, query, seq, MAX_PAGE)
        for each in found:
            await response.write(_message(each))
            written = monotonic()
        if monotonic() - written >= HEARTBEAT_S:
            await response.write(b": still here\n\n")
            written = monotonic()
        if len(found) < MAX_PAGE:
            await woken.wait(_LOOK_EVERY_S)


async def _may_listen(call: Call) -> bool:
    """Whether the caller still may: a stream does not outlive its key or its token."""
    try:
        await call.request.app[AUTHENTICATOR].caller(call.request, SCOPE)
    except (Unauthorized, MissingScope):
        return False
    return True


def _resumed(call: Call) -> int | None:
    given = call.request.headers.get("Last-Event-ID")
    if given is None:
        return None
    if not given.isascii() or not given.isdigit() or len(given) > 18:
        raise InvalidRequest(FieldProblem("Last-Event-ID", "wrong_type", "must be the id of an event"))
    return int(given)


def _message(event: EventView) -> bytes:
    return f"id: {event.seq}\nevent: {event.type}\ndata: ".encode() + orjson.dumps(event.model_dump()) + b"\n\n"


def close_with(app: web.Application) -> None:
    """End all streams when the server stops; each notices within a second."""
    app[CLOSING] = asyncio.Event()
    app[STREAMS] = Counter()

    async def close(_app: web.Application) -> None:
        app[CLOSING].set()

    app.on_shutdown.append(close)


class InboundView(View):
    """One text somebody sent us. `answers`: the id of the message it answers, if any."""

    id: str
    from_: str = Field(serialization_alias="from")
    to: str
    body: str
    keyword: str
    answers: str | None
    carrier: str
    carrier_id: str
    at: str


class InboundQuery(Page):
    """Whose texts to list."""

    from_: NumberFilter = Field("", alias="from")


@operation(
    "GET",
    "/v1/inbound",
    "List texts that came in.",
    scope="messages:read",
    query=InboundQuery,
    answers={200: Listed[InboundView]},
)
async def inbound(call: Call, query: InboundQuery) -> Answer:
    """Newest first."""
    rows = await call.doors.database.read(
        lambda tx: tx.rows(
            "inbound_page",
            tenant_id=call.key.tenant_id,
            mode=call.key.mode,
            before=query.cursor,
            person=query.from_,
            limit=query.limit,
        )
    )
    items = [
        InboundView(
            from_=row["person"],
            to=row["sender"],
            at=when(row["at_ms"]) or "",
            **{name: row[name] for name in ("id", "body", "keyword", "answers", "carrier", "carrier_id")},
        )
        for row in rows
    ]
    following = rows[-1]["id"] if len(rows) == query.limit else None
    return Answer(200, Listed[InboundView](items=items, next_cursor=following))
