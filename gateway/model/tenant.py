"""A tenant (the biller; it owns everything) and the keys its engines come with."""

from dataclasses import dataclass
from typing import Final

SCOPES: Final = frozenset(
    {
        "messages:write",
        "messages:read",
        "calls:write",
        "calls:read",
        "jobs:write",
        "jobs:read",
        "senders:admin",
        "dialplans:admin",
        "optouts:admin",
        "reports:read",
    },
)
# What is not one tenant's to change; a key has it only where it was asked for by name.
OPERATORS: Final = frozenset({"accounts:admin"})


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who is billed and whose people are called. `id` is a short name: `[a-z0-9-]{1,40}`."""

    id: str
    name: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key. Only `sha256` of the secret is kept; `mode` test reaches the practice far end and nothing else."""

    id: str
    tenant_id: str
    sha256: str
    scopes: frozenset[str]
    mode: str
    label: str
    created_ms: int
    revoked_ms: int | None = None

    def allows(self, scope: str) -> bool:
        """Whether `scope` is among the key's, with `jobs:*` meaning every scope that starts so."""
        return scope in self.scopes or f"{scope.split(':', maxsplit=1)[0]}:*" in self.scopes
