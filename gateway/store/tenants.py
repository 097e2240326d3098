"""Tenants, their API keys and their senders."""

import hashlib
from typing import Final

from gateway.model.sender import Sender
from gateway.model.tenant import ApiKey, Tenant
from gateway.store import scopes, usage
from gateway.store.database import Row, Tx
from gateway.store.records import to_record, to_row

_GOVERNS: Final = ("kind", "status", "limits", "campaign", "carrier", "voice")


def fingerprint(secret: str) -> str:
    """What is kept of a key: the SHA-256 of its 256 random bits, so a look-up by it tells a thief nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()


async def add_tenant(tx: Tx, tenant: Tenant) -> None:
    """Keep a tenant; one that exists already stays as it is."""
    await tx.run("tenants_insert", **to_row(tenant))


async def add_key(tx: Tx, key: ApiKey) -> None:
    """Keep a key of a tenant that exists."""
    row = to_row(key) | {"scopes": " ".join(sorted(key.scopes))}
    del row["revoked_ms"]
    await tx.run("keys_insert", **row)


async def key_of(tx: Tx, sha256: str) -> ApiKey | None:
    """The key whose secret has this fingerprint, unless it was revoked or never was."""
    row = await tx.row("keys_by_sha256", sha256=sha256)
    return _key(row) if row is not None else None


async def keys(tx: Tx) -> list[ApiKey]:
    """Every key, oldest first, revoked ones too."""
    return [_key(row) for row in await tx.rows("keys_all")]


async def revoke_key(tx: Tx, key_id: str, now_ms: int) -> bool:
    """Revoke a key from now on. False: no such key, or revoked before."""
    return bool(await tx.run("keys_revoke", id=key_id, now_ms=now_ms))


def _key(row: Row) -> ApiKey:
    names = ("id", "tenant_id", "sha256", "mode", "label", "created_ms", "revoked_ms")
    return ApiKey(scopes=frozenset(row["scopes"].split()), **{name: row[name] for name in names})


async def put_sender(tx: Tx, sender: Sender) -> bool:
    """Keep a sender as it is now. False: the number belongs to another tenant, and nothing was changed.

    Where other limits bind it now, what was granted before is not written any more: see `scopes.put`.
    """
    before = await tx.row("senders_one", number=sender.number)
    if not await tx.run("senders_put", **to_row(sender)):
        return False
    if before is not None and has_other_limits(to_record(Sender, before), sender):
        await usage.tell_again(tx, f"sender:{sender.number}")
        await usage.count_again(tx, *await _binding_anew(tx, to_record(Sender, before), sender))
        await tx.run("version_raise")
    return True


async def _binding_anew(tx: Tx, before: Sender, now: Sender) -> list[str]:
    """Counters of the scopes that bind a sender and did not before, or say something else of it."""
    found = [f"sender:{now.number}"]
    if now.campaign != before.campaign:
        joined = await scopes.of_sender(tx, now, now.carrier)
        found += [scope.counters for scope in joined if scope.kind in {"campaign", "brand"}]
    roads = [new for new, old in ((now.carrier, before.carrier), (now.voice, before.voice)) if new not in {old, ""}]
    return found + [f"{kind}:{road}" for road in roads for kind in ("account", "trunk")]


def has_other_limits(before: Sender, now: Sender) -> bool:
    """Whether a change of a sender changes what binds it."""
    return any(getattr(before, name) != getattr(now, name) for name in _GOVERNS)


async def sender(tx: Tx, number: str) -> Sender | None:
    """The sender with this number."""
    row = await tx.row("senders_one", number=number)
    return to_record(Sender, row) if row is not None else None


async def senders(tx: Tx, tenant_id: str) -> list[Sender]:
    """A tenant's senders, by number."""
    return [to_record(Sender, row) for row in await tx.rows("senders_of_tenant", tenant_id=tenant_id)]
