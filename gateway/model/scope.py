"""A scope beyond the sender: what several senders share, and the limits it has of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

# What limits may be bound to beside a sender and a trunk. An account is the gateway's; the others are a tenant's.
SCOPE_KINDS: Final = ("campaign", "brand", "tenant", "account", "recipient")
BLOCKED: Final = "blocked"


@dataclass(frozen=True, slots=True)
class Scope:
    """One 10DLC campaign, brand, tenant, carrier account, or all recipients of a tenant (each counted apart).

    tenant_id:    whose it is; empty for an account.
    name:         a campaign's or brand's own; a tenant's id; an account's carrier; "each" for recipients.
    status:       of a campaign or brand: its row in config/limits.toml ("score_75"); of the others "open"; "blocked".
    parent:       a campaign's brand; empty for none.
    limits:       numbers in place of its profile's.
    callback_url: where its `limit.reached` is told; empty: where its sender's is.
    """

    tenant_id: str
    kind: str
    name: str
    status: str
    parent: str = ""
    limits: Mapping[str, object] = field(default_factory=dict)
    callback_url: str = ""
    updated_ms: int = 0

    @property
    def counters(self) -> str:
        """What its counters are named by."""
        if self.kind == "account":
            return f"account:{self.name}"
        if self.kind in {"tenant", "recipient"}:
            return f"{self.kind}:{self.tenant_id}"
        return f"{self.kind}:{self.tenant_id}/{self.name}"
