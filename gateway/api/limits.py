"""`/v1/limits`: what several senders share (10DLC campaigns, brands, the tenant, carrier accounts) and recipients."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field

from gateway.api import limits_of
from gateway.api.deeds import deed
from gateway.api.inputs import CallbackUrl, Input, Name, validated
from gateway.api.operation import Answer, Call, View, operation
from gateway.api.roads import check_callback
from gateway.api.senders import BLOCKED_SCOPES, RELEASED_CAPS, SenderLimits, release
from gateway.api.views import when
from gateway.errors.api import FieldProblem, InvalidRequest, MissingScope, NotFound
from gateway.errors.limits import BadLimits, ScopeInUse, UnknownProfile
from gateway.model.limit import Network
from gateway.model.scope import SCOPE_KINDS, Scope
from gateway.store import audit_log, scopes
from gateway.store.database import Tx

_OPEN = frozenset({"open", "blocked"})
_EACH = "each"  # recipients: one rule for all of a tenant's, counted apart
_NO_SUCH = {
    "tenant": "scope: of tenants a key reaches its own alone, by its id",
    "recipient": "scope: all recipients have one, named each",
}


class _Named(Input):
    name: Name


class ScopeLimits(SenderLimits):
    """A scope's own numbers, in place of its profile's."""

    rate_unit: Literal["segment", "message", "call"] | None = None
    unit: Literal["segment", "message", "call"] | None = None
    counts: Literal["attempts", "accepted"] | None = None
    network_rates: dict[Network, str] | None = Field(None, examples=[{"att": "75/s", "tmobile": "75/s"}])
    network_daily: dict[Network, int] | None = Field(None, examples=[{"tmobile": 40000}])


class NewScope(Input):
    """What a scope is. What is left out takes its default, also where the scope was there before."""

    status: str = Field(
        "open",
        description="Of a campaign or brand its row in config/limits.toml, such as `score_75`; else `open`; `blocked`.",
    )
    brand: Name | Literal[""] = Field("", description="Of a campaign: the brand it belongs to.")
    limits: ScopeLimits = Field(default_factory=ScopeLimits)
    callback_url: CallbackUrl | Literal[""] = Field("", description="Where is told that a cap is used to 80 or 100 %.")


class ScopeView(View):
    """One scope."""

    model_config = ConfigDict(from_attributes=True)

    kind: str
    name: str
    status: str
    brand: str
    limits: dict[str, Any]
    callback_url: str
    updated_at: str | None


class Scopes(View):
    """All of a tenant's scopes, and the accounts of the gateway."""

    items: list[ScopeView]


def _view(scope: Scope) -> ScopeView:
    same = {name: getattr(scope, name) for name in ("kind", "name", "status", "callback_url")}
    return ScopeView(**same, brand=scope.parent, limits=dict(scope.limits), updated_at=when(scope.updated_ms))


def _named(call: Call) -> tuple[str, str, str]:
    """Tenant, kind and name of the scope in the address. Raises NotFound."""
    kind, name = call.path("kind"), call.path("name")
    tenant_id = "" if kind == "account" else call.key.tenant_id
    only = {"tenant": tenant_id, "recipient": _EACH}.get(kind, name)
    if kind not in SCOPE_KINDS or name != only:
        raise NotFound(_NO_SUCH.get(kind, f"kind of scope; there are: {', '.join(SCOPE_KINDS)}"))
    return tenant_id, kind, name


def _to_change(call: Call) -> tuple[str, str, str]:
    """The same, if the caller may change it: an account is every tenant's. Raises NotFound, MissingScope."""
    named = _named(call)
    if named[1] == "account" and not call.key.allows("accounts:admin"):
        raise MissingScope("accounts:admin")
    return named


def _check_name(call: Call, kind: str, name: str) -> None:
    """What counters are named by holds no `:`, `#` or `/`, which part their keys. Raises InvalidRequest."""
    roads = ("twilio", "practice", *call.doors.settings.trunks)
    if kind == "account" and name not in roads:
        raise InvalidRequest(FieldProblem("name", "not_one_of", f"must be one of: {', '.join(roads)}"))
    if kind in {"campaign", "brand"}:
        validated(_Named, {"name": name})


async def _own(call: Call, tx: Tx) -> Scope:
    scope = await scopes.one(tx, *_named(call))
    if scope is None:
        raise NotFound("scope")
    return scope


@operation("GET", "/v1/limits", "List limits beyond the senders'.", scope="senders:admin", answers={200: Scopes})
async def every(call: Call) -> Answer:
    """By kind and name."""
    found = await call.doors.database.read(lambda tx: scopes.of_tenant(tx, call.key.tenant_id))
    return Answer(200, Scopes(items=[_view(scope) for scope in found]))


@operation("GET", "/v1/limits/{kind}/{name}", "One scope.", scope="senders:admin", answers={200: ScopeView})
async def one(call: Call) -> Answer:
    """What it is, and what limits it has of its own."""
    return Answer(200, _view(await call.doors.database.read(lambda tx: _own(call, tx))))


@operation(
    "PUT",
    "/v1/limits/{kind}/{name}",
    "Make or change a scope's limits.",
    scope="senders:admin",
    body=NewScope,
    answers={200: ScopeView},
)
async def put(call: Call, body: NewScope) -> Answer:
    """`kind` is campaign, brand, tenant (`name`: its id), account (a carrier) or recipient (`each`).

    It takes effect on the next text or call; what waited for it goes on. An account asks for the scope
    `accounts:admin`, which a key has only where it was made with it by name.
    """
    tenant_id, kind, name = _to_change(call)
    _check_name(call, kind, name)
    limits = body.limits.model_dump(exclude_none=True)
    scope = Scope(
        tenant_id, kind, name, body.status, body.brand, limits, check_callback(call, body.callback_url), call.now_ms
    )
    _check(call, scope)

    async def work(tx: Tx) -> None:
        if scope.parent and await scopes.one(tx, tenant_id, "brand", scope.parent) is None:
            detail = "no such brand; make it by PUT /v1/limits/brand/{name}, or `gateway limits set`"
            raise InvalidRequest(FieldProblem("brand", "unknown_brand", detail))
        await scopes.put(tx, scope)
        facts = {"status": scope.status, "brand": scope.parent, "limits": limits}
        await audit_log.add(tx, deed(call, "limits.put", f"{kind}/{name}", facts))

    await call.doors.database.write(work)
    await _release(call, scope)
    return Answer(200, _view(scope))


@operation(
    "DELETE", "/v1/limits/{kind}/{name}", "Take a scope's limits away.", scope="senders:admin", answers={200: ScopeView}
)
async def delete(call: Call) -> Answer:
    """Refused while a sender names the campaign, or a campaign the brand."""
    _to_change(call)

    async def work(tx: Tx) -> Scope:
        scope = await _own(call, tx)
        if scope.kind == "campaign" and await scopes.senders(tx, scope):
            raise ScopeInUse(scope.kind)
        if scope.kind == "brand" and await scopes.campaigns(tx, scope.tenant_id, scope.name):
            raise ScopeInUse(scope.kind)
        await scopes.delete(tx, scope)
        await audit_log.add(tx, deed(call, "limits.delete", f"{scope.kind}/{call.path('name')}", {}))
        return scope

    scope = await call.doors.database.write(work)
    await _release(call, scope)
    return Answer(200, _view(scope))


def _check(call: Call, scope: Scope) -> None:
    if scope.parent and scope.kind != "campaign":
        raise InvalidRequest(FieldProblem("brand", "unknown_field", "only a campaign belongs to a brand"))
    if scope.kind not in {"campaign", "brand"} and scope.status not in _OPEN:
        raise InvalidRequest(FieldProblem("status", "not_one_of", "must be one of: blocked, open"))
    if scope.kind == "recipient" and (set(scope.limits) - {"rolling", "counts"} or scope.status != "open"):
        detail = "recipients have rolling limits alone, such as 3/24h, which count texts and calls"
        raise InvalidRequest(FieldProblem("limits", "bad_limits", detail))
    try:
        call.doors.profiles.of_scope(scope, "live", datetime.now(UTC).date())
    except UnknownProfile as error:
        raise InvalidRequest(FieldProblem("status", error.slug, str(error))) from None
    except BadLimits as error:
        raise limits_of.invalid(error) from None


async def _release(call: Call, scope: Scope) -> None:
    """Let what waited for this scope go on: whatever still holds it holds it again at its next try."""
    for number in await call.doors.database.read(lambda tx: scopes.senders(tx, scope)):
        await release(call, number, (*RELEASED_CAPS, *BLOCKED_SCOPES))
    call.doors.signals.wake("messages")
    call.doors.signals.wake("calls")
