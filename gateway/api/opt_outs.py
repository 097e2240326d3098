"""`/v1/opt-outs`: who has said stop. What the API records is obeyed as a text of STOP is: at once, everywhere."""

from pydantic import Field

from gateway.api.inputs import MAX_PAGE, CallbackUrl, Input, NumberFilter, Query, SenderNumber, Text
from gateway.api.operation import Answer, Call, View, operation
from gateway.api.roads import check_callback
from gateway.api.views import when
from gateway.errors.api import FieldProblem, InvalidRequest, NotFound
from gateway.errors.phone import InvalidNumber
from gateway.model.opt_out import OptOut
from gateway.phone import parse
from gateway.store import opt_outs, tenants
from gateway.store.database import Tx


class NewOptOut(Input):
    """A person's word that they want nothing more."""

    sender: SenderNumber | None = Field(None, description="Only from this sender; by default from the whole tenant.")
    evidence: Text = Field("", max_length=1000, description="How it is known: their words, a letter, a call.")
    callback_url: CallbackUrl | None = None


class OptOutView(View):
    """One opt-out. `scope`: `tenant`, or the number of the one sender it holds for."""

    scope: str
    source: str
    evidence: str
    at: str | None


class Person(View):
    """What a person has said."""

    number: str
    opted_out: bool
    opt_outs: list[OptOutView]


class Obeyed(Person):
    """What a person has said, and what was cancelled: these never leave."""

    cancelled: list[str]


class Listing(View):
    """People who have said stop, by number."""

    items: list[Person]
    next_cursor: str | None


class OptOutsQuery(Query):
    """A page of the list."""

    cursor: NumberFilter = ""
    limit: int = Field(50, ge=1, le=MAX_PAGE)


def _number(call: Call) -> str:
    try:
        return parse(call.path("number"))
    except InvalidNumber as error:
        raise InvalidRequest(FieldProblem("number", error.slug, error.why)) from None


async def _said(call: Call, tx: Tx, number: str) -> list[OptOutView]:
    found = await opt_outs.of_person(tx, call.key.tenant_id, call.key.mode, number)
    return [
        OptOutView(scope=each["scope"], source=each["source"], evidence=each["evidence"], at=when(each["at_ms"]))
        for each in found
    ]


@operation(
    "GET", "/v1/opt-outs", "List who has said stop.", scope="optouts:admin", query=OptOutsQuery, answers={200: Listing}
)
async def every(call: Call, query: OptOutsQuery) -> Answer:
    """By number. Who has said stop to several senders counts as several towards `limit`."""

    async def look(tx: Tx) -> Listing:
        whose = {"tenant_id": call.key.tenant_id, "mode": call.key.mode}
        rows = await tx.rows("opt_outs_page", **whose, after=query.cursor, limit=query.limit)
        numbers = dict.fromkeys(row["recipient"] for row in rows)  # the last one's other opt-outs may be cut off
        people = [Person(number=each, opted_out=True, opt_outs=await _said(call, tx, each)) for each in numbers]
        return Listing(items=people, next_cursor=people[-1].number if len(rows) == query.limit else None)

    return Answer(200, await call.doors.database.read(look))


@operation("GET", "/v1/opt-outs/{number}", "What one person has said.", scope="optouts:admin", answers={200: Person})
async def one(call: Call) -> Answer:
    """Also for people who have said nothing."""
    number = _number(call)
    said = await call.doors.database.read(lambda tx: _said(call, tx, number))
    return Answer(200, Person(number=number, opted_out=bool(said), opt_outs=said))


@operation(
    "PUT",
    "/v1/opt-outs/{number}",
    "Record that a person says stop.",
    scope="optouts:admin",
    body=NewOptOut,
    answers={200: Obeyed},
)
async def put(call: Call, body: NewOptOut) -> Answer:
    """Once this is answered, no write to that person begins. What was waiting for them is cancelled and listed."""
    number = _number(call)
    if body.sender is not None:
        await _check_sender(call, body.sender)
    doors = call.doors
    said = OptOut(call.key.tenant_id, call.key.mode, number, body.sender or "tenant", "api", body.evidence, call.now_ms)
    cancelled = await opt_outs.stop_with_recall(
        doors.database, doors.signals, said, callback_url=check_callback(call, body.callback_url)
    )
    found = await doors.database.read(lambda tx: _said(call, tx, number))
    return Answer(200, Obeyed(number=number, opted_out=True, opt_outs=found, cancelled=cancelled))


async def _check_sender(call: Call, number: str) -> None:
    sender = await call.doors.database.read(lambda tx: tenants.sender(tx, number))
    if sender is None or sender.tenant_id != call.key.tenant_id:
        raise InvalidRequest(FieldProblem("sender", "unknown_sender", "no such sender"))


@operation(
    "DELETE",
    "/v1/opt-outs/{number}",
    "Take an opt-out back.",
    scope="optouts:admin",
    answers={200: Person},
)
async def delete(call: Call) -> Answer:
    """Only with the person's own word: what was said to the tenant and to single senders is lifted."""
    number = _number(call)

    async def work(tx: Tx) -> bool:
        lifted = False
        for each in await opt_outs.of_person(tx, call.key.tenant_id, call.key.mode, number):
            said = OptOut(call.key.tenant_id, call.key.mode, number, each["scope"], "api", "", call.now_ms)
            lifted |= await opt_outs.start(tx, said)
        return lifted

    if not await call.doors.database.write(work):
        raise NotFound("opt-out")
    call.doors.signals.wake("events")
    return Answer(200, Person(number=number, opted_out=False, opt_outs=[]))
