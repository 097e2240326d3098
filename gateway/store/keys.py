"""Making API keys: the one moment in which a secret is known."""

import secrets
from collections.abc import Collection
from dataclasses import dataclass

from gateway.clock import new_id, now_ms
from gateway.errors.cli import UnknownScope
from gateway.logs_masking import API_KEY_PREFIX
from gateway.model.tenant import OPERATORS, SCOPES, ApiKey, Tenant
from gateway.store import tenants
from gateway.store.database import Tx

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Issued:
    """A new key and its secret, which nobody can read again."""

    key: ApiKey
    secret: str


async def issue(
    tx: Tx, tenant_id: str, *, mode: str = "live", scopes: Collection[str] = SCOPES, label: str = ""
) -> Issued:
    """Make a key of a tenant, and the tenant when it is new.

    mode:    `live`, or `test`: such a key reaches the practice far end and nothing else.
    scopes:  of `SCOPES` and `OPERATORS`, or `jobs:*` for all that begin so.
    Raises:  UnknownScope.
    """
    known = SCOPES | OPERATORS | {f"{scope.partition(':')[0]}:*" for scope in SCOPES}
    if wrong := sorted(set(scopes) - known):
        raise UnknownScope(wrong[0], sorted(known))
    secret = API_KEY_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    now = now_ms()
    key = ApiKey(new_id("key"), tenant_id, tenants.fingerprint(secret), frozenset(scopes), mode, label, now)
    await tenants.add_tenant(tx, Tenant(tenant_id, tenant_id, now))
    await tenants.add_key(tx, key)
    return Issued(key, secret)
