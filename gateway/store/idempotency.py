"""Idempotency-Keys: the answer of a request, kept in the transaction that did what it asked for.

A key is one tenant's, and apart for live and test keys. Answers are forgotten after `retention.idempotency_h`.
"""

from dataclasses import dataclass

from gateway.errors.api import IdempotencyMismatch
from gateway.store.database import Tx


@dataclass(frozen=True, slots=True)
class Request:
    """One request that may come twice. `sha256` stands for all of it: method, address and body."""

    tenant_id: str
    mode: str
    key: str
    sha256: str

    @property
    def stored_key(self) -> str:
        """The key as the table has it."""
        return f"{self.mode}:{self.key}"


@dataclass(frozen=True, slots=True)
class Kept:
    """What was answered the first time."""

    status: int
    answer: str


async def find(tx: Tx, request: Request) -> Kept | None:
    """The answer this request had before, or None. Raises IdempotencyMismatch if the key stood for another request."""
    row = await tx.row("idempotency_one", tenant_id=request.tenant_id, key=request.stored_key)
    if row is None:
        return None
    if row["sha256"] != request.sha256:
        raise IdempotencyMismatch
    return Kept(row["status"], row["answer"])


async def keep(tx: Tx, request: Request, kept: Kept, now_ms: int) -> None:
    """Keep an answer, in the transaction of what it tells of."""
    await tx.run(
        "idempotency_insert",
        tenant_id=request.tenant_id,
        key=request.stored_key,
        sha256=request.sha256,
        status=kept.status,
        answer=kept.answer,
        at_ms=now_ms,
    )
