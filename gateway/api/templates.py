"""`/v1/templates` and `/v1/signatures`: saved texts."""

from pydantic import Field

from gateway.api.inputs import Input, Text, validated
from gateway.api.operation import Answer, Call, View, operation
from gateway.api.problems import told_at
from gateway.api.views import when
from gateway.errors.api import FieldProblem, InvalidRequest, NotFound
from gateway.sms import template
from gateway.sms.segments import LONGEST
from gateway.store.database import Row, Tx


class NewText(Input):
    """A saved text. In a template `{{ name }}` stands for a variable, `{{ name|default:"text" }}` has a stand-in."""

    body: Text = Field(min_length=1, max_length=LONGEST)


class SavedText(View):
    """One saved text. `variables`: those a template asks for."""

    name: str
    body: str
    variables: list[str]
    created_at: str | None


class SavedTexts(View):
    """All of a kind, by name."""

    items: list[SavedText]


class _Named(Input):
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")


def _view(kind: str, row: Row) -> SavedText:
    names = list(template.parse(row["body"]).names) if kind == "template" else []
    return SavedText(name=row["name"], body=row["body"], variables=names, created_at=when(row["created_ms"]))


async def _put(call: Call, kind: str, body: NewText) -> Answer:
    name = validated(_Named, {"name": call.path("name")}).name
    if body.body.isspace():
        raise InvalidRequest(FieldProblem("body", "too_short", "cannot be only white space"))
    if kind == "template":
        with told_at("body"):
            template.parse(body.body)

    async def work(tx: Tx) -> Answer:
        saved = {"tenant_id": call.key.tenant_id, "kind": kind, "name": name}
        await tx.run("templates_put", **saved, body=body.body, created_ms=call.now_ms)
        row = await tx.row("templates_one", **saved)
        if row is None:
            raise NotFound(kind)
        return Answer(200, _view(kind, row))

    return await call.doors.database.write(work)


async def _one(call: Call, kind: str) -> Answer:
    saved = {"tenant_id": call.key.tenant_id, "kind": kind, "name": call.path("name")}
    row = await call.doors.database.read(lambda tx: tx.row("templates_one", **saved))
    if row is None:
        raise NotFound(kind)
    return Answer(200, _view(kind, row))


async def _every(call: Call, kind: str) -> Answer:
    rows = await call.doors.database.read(lambda tx: tx.rows("templates_all", tenant_id=call.key.tenant_id, kind=kind))
    return Answer(200, SavedTexts(items=[_view(kind, row) for row in rows]))


@operation("GET", "/v1/templates", "List templates.", scope="messages:read", answers={200: SavedTexts})
async def templates(call: Call) -> Answer:
    """By name."""
    return await _every(call, "template")


@operation("GET", "/v1/templates/{name}", "One template.", scope="messages:read", answers={200: SavedText})
async def template_one(call: Call) -> Answer:
    """Its text, and the variables it asks for."""
    return await _one(call, "template")


@operation(
    "PUT", "/v1/templates/{name}", "Save a template.", scope="messages:write", body=NewText, answers={200: SavedText}
)
async def template_put(call: Call, body: NewText) -> Answer:
    """Jobs that were accepted before keep the words they were accepted with."""
    return await _put(call, "template", body)


@operation("GET", "/v1/signatures", "List signatures.", scope="messages:read", answers={200: SavedTexts})
async def signatures(call: Call) -> Answer:
    """By name."""
    return await _every(call, "signature")


@operation("GET", "/v1/signatures/{name}", "One signature.", scope="messages:read", answers={200: SavedText})
async def signature_one(call: Call) -> Answer:
    """Its text."""
    return await _one(call, "signature")


@operation(
    "PUT", "/v1/signatures/{name}", "Save a signature.", scope="messages:write", body=NewText, answers={200: SavedText}
)
async def signature_put(call: Call, body: NewText) -> Answer:
    """Appended on a line of its own to the texts that name it."""
    return await _put(call, "signature", body)
