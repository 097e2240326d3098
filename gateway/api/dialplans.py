"""`/v1/dialplans`: what calls say. A published version never changes; calls keep the one they were accepted with."""

import asyncio
from typing import Annotated, Any

from pydantic import Field

from gateway.api import plans
from gateway.api.inputs import Input, Query, Variables, read_json, validated
from gateway.api.operation import Answer, Call, View, operation
from gateway.api.views import when
from gateway.errors.api import BadMediaType, FieldProblem, InvalidRequest, NotFound
from gateway.errors.voice import BadDialplan, PlanProblem
from gateway.store import dialplans
from gateway.store.database import Tx
from gateway.voice.transcript import simulate

_TYPES = {
    "application/json": "`{source, tests}`: the dialplan, and the tests that stand beside it; both YAML as text.",
    "application/yaml": "The dialplan, YAML 1.2.",
    "application/x-yaml": "The same.",
    "text/yaml": "The same.",
    "text/plain": "The same.",
}


Version = Annotated[int | None, Field(ge=1, le=2_147_483_647)]
Entry = Annotated[str, Field(max_length=40)]


class Warned(View):
    """Something odd that does not keep the plan from being used."""

    line: int
    node: str | None
    detail: str


class Upload(Input):
    """A dialplan with its tests."""

    source: str
    tests: str | None = Field(None, description="YAML. Null: those beside the version before; empty: none any more.")


class Published(View):
    """A version as it was published."""

    name: str
    version: int
    warnings: list[Warned]


class PlanView(View):
    """One version of a dialplan."""

    name: str
    version: int
    source: str
    tests: str = Field(description="Those it was published with, YAML; empty: none.")
    variables: dict[str, str | None] = Field(description="What it asks for, each with its default; null: required.")
    inbound: bool


class PlanName(View):
    """One dialplan and its newest version."""

    name: str
    version: int
    published_at: str | None


class PlanNames(View):
    """All dialplans, by name."""

    items: list[PlanName]


class PlanQuery(Query):
    """Which version; the newest by default."""

    version: Version = None


class Simulation(Input):
    """What the person does each time the plan waits: keys such as "1" or "1234#", "silence", "hangup", "speaks".

    "no_transfer" where a transfer fails; "machine" as the first entry: a machine answers.
    """

    keys: list[Entry] = Field(default_factory=list, max_length=100, examples=[["silence", "1"]])
    variables: Variables = Field(default_factory=dict)
    version: Version = None


class Transcript(View):
    """A call made in thought. Times in seconds from the answer."""

    lines: list[dict[str, Any]]
    path: list[str]
    outcome: str
    keys: str
    collected: dict[str, str]
    opted_out: str | None
    answered_by: str | None
    ended_by: str | None
    seconds: float
    unused: list[str]
    sms: list[str]
    exits: list[dict[str, str]]


@operation("GET", "/v1/dialplans", "List dialplans.", scope="dialplans:admin", answers={200: PlanNames})
async def every(call: Call) -> Answer:
    """By name, each with its newest version."""
    found = await call.doors.database.read(lambda tx: dialplans.names(tx, call.key.tenant_id))
    items = [
        PlanName(name=each["name"], version=each["version"], published_at=when(each["created_ms"])) for each in found
    ]
    return Answer(200, PlanNames(items=items))


@operation(
    "GET",
    "/v1/dialplans/{name}",
    "One dialplan.",
    scope="dialplans:admin",
    query=PlanQuery,
    answers={200: PlanView},
)
async def one(call: Call, query: PlanQuery) -> Answer:
    """Its source and its tests, as they were published."""
    name = call.path("name")
    tenant_id = call.key.tenant_id
    found = await call.doors.database.read(lambda tx: dialplans.source_of(tx, tenant_id, name, query.version))
    if found is None:
        raise NotFound("dialplan")
    version, source = found
    tests = await call.doors.database.read(lambda tx: dialplans.kept_tests(tx, tenant_id, name, version))
    _, plan = await plans.published(call, name, "name", version)
    variables = {variable.name: variable.default for variable in plan.variables.values()}
    view = PlanView(name=name, version=version, source=source, tests=tests, variables=variables, inbound=plan.inbound)
    return Answer(200, view)


@operation(
    "PUT",
    "/v1/dialplans/{name}",
    "Publish a dialplan.",
    scope="dialplans:admin",
    takes=_TYPES,
    answers={200: Published},
)
async def put(call: Call) -> Answer:
    """Checked whole, then published as a new version in one step; the same source again is the same version.

    What is wrong is told with file, line and node, all of it at once, and so is each test that fails; the version
    before stays in force. Sent without tests it must pass those of the version before, which then stand beside it.
    """
    if call.request.content_type not in _TYPES:
        raise BadMediaType(_TYPES)
    name = call.path("name")
    tenant_id = call.key.tenant_id
    source, given = await _uploaded(call, name)
    kept = await call.doors.database.read(lambda tx: dialplans.kept_tests(tx, tenant_id, name))
    tests = kept if given is None else given
    by_twilio, prompts = bool(call.doors.settings.twilio.account_sid), call.doors.prompts.of(tenant_id)
    _, warnings = await asyncio.to_thread(plans.checked, source, name, prompts, tests, by_twilio=by_twilio)

    async def work(tx: Tx) -> int:
        return await dialplans.publish(tx, tenant_id, name, source, call.now_ms, tests=tests)

    version = await call.doors.database.write(work)
    told = [Warned(line=each.line, node=each.node, detail=each.text) for each in warnings]
    return Answer(200, Published(name=name, version=version, warnings=told))


async def _uploaded(call: Call, name: str) -> tuple[str, str | None]:
    """The source of a plan, and of its tests; None: none were sent. Raises BadDialplan, InvalidRequest."""
    data = await call.request.read()
    if call.request.content_type == "application/json":
        upload = validated(Upload, read_json(data))
        return upload.source, upload.tests
    try:
        return data.decode("utf-8-sig"), None
    except UnicodeDecodeError:
        raise BadDialplan((PlanProblem(plans.file_of(name), 1, None, "this is not UTF-8"),)) from None


@operation(
    "POST",
    "/v1/dialplans/{name}/simulate",
    "Try a dialplan without a telephone.",
    scope="dialplans:admin",
    body=Simulation,
    answers={200: Transcript},
)
async def try_out(call: Call, body: Simulation) -> Answer:
    """The words, the path and the outcome of a call in which the person does this."""
    name = call.path("name")
    if await call.doors.database.read(lambda tx: dialplans.source_of(tx, call.key.tenant_id, name)) is None:
        raise NotFound("dialplan")
    _, plan = await plans.published(call, name, "version", body.version)
    plans.check_variables(plan, body.variables)
    try:
        made = await asyncio.to_thread(simulate, plan, body.variables, body.keys)
    except ValueError as error:
        raise InvalidRequest(FieldProblem("keys", "bad_keys", str(error))) from None
    return Answer(200, Transcript(**made.as_dict()))
