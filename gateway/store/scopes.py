"""Scopes beyond the sender: kept, and gathered for a sender. A change raises the limits' version."""

from collections.abc import Sequence
from dataclasses import replace

from gateway.model.scope import Scope
from gateway.model.sender import Sender
from gateway.store import usage
from gateway.store.database import Tx
from gateway.store.records import to_record, to_row


async def put(tx: Tx, scope: Scope) -> None:
    """Keep a scope as it is now; what was granted before is not written any more."""
    before = await one(tx, scope.tenant_id, scope.kind, scope.name)
    if before is not None and (before.status, before.limits) != (scope.status, scope.limits):
        await usage.tell_again(tx, scope.counters)
    await tx.run("scopes_put", **to_row(scope))
    brand = [replace(scope, kind="brand", name=scope.parent).counters] if scope.parent else []
    await usage.count_again(tx, scope.counters, *brand)
    await tx.run("version_raise")


async def delete(tx: Tx, scope: Scope) -> None:
    """Forget a scope."""
    await tx.run("scopes_delete", tenant_id=scope.tenant_id, kind=scope.kind, name=scope.name)
    await usage.count_again(tx, scope.counters)
    await tx.run("version_raise")


async def one(tx: Tx, tenant_id: str, kind: str, name: str) -> Scope | None:
    """The scope of that name. An account is asked for with no tenant."""
    row = await tx.row("scopes_one", tenant_id=tenant_id, kind=kind, name=name)
    return to_record(Scope, row) if row is not None else None


async def of_tenant(tx: Tx, tenant_id: str) -> list[Scope]:
    """A tenant's scopes and the accounts, by kind and name."""
    return [to_record(Scope, row) for row in await tx.rows("scopes_of_tenant", tenant_id=tenant_id)]


async def campaigns(tx: Tx, tenant_id: str, brand: str) -> list[str]:
    """Names of a brand's campaigns."""
    return [row["name"] for row in await tx.rows("scopes_children", tenant_id=tenant_id, parent=brand)]


async def of_sender(tx: Tx, sender: Sender, account: str) -> list[Scope]:
    """Every scope that binds what leaves from this sender over this account (a carrier's name).

    A campaign or brand that is named and not there comes as one that is blocked.
    """
    found = [
        await one(tx, sender.tenant_id, "tenant", sender.tenant_id),
        await one(tx, sender.tenant_id, "recipient", "each"),
        await one(tx, "", "account", account),
    ]
    if sender.campaign:
        campaign = await _named(tx, sender.tenant_id, "campaign", sender.campaign)
        found.append(campaign)
        if campaign.parent:
            found.append(await _named(tx, sender.tenant_id, "brand", campaign.parent))
    return [scope for scope in found if scope is not None]


async def _named(tx: Tx, tenant_id: str, kind: str, name: str) -> Scope:
    return await one(tx, tenant_id, kind, name) or Scope(tenant_id, kind, name, "blocked")


async def senders(tx: Tx, scope: Scope) -> Sequence[str]:
    """Numbers of the senders that this scope binds."""
    if scope.kind == "account":
        return [row["number"] for row in await tx.rows("senders_on_carrier", carrier=scope.name)]
    rows = await tx.rows("senders_of_tenant", tenant_id=scope.tenant_id)
    if scope.kind in {"tenant", "recipient"}:
        return [row["number"] for row in rows]
    names = {scope.name} if scope.kind == "campaign" else set(await campaigns(tx, scope.tenant_id, scope.name))
    return [row["number"] for row in rows if row["campaign"] in names]
