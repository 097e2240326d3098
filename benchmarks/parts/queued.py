"""A gateway's database with any number of texts queued, made before the gateway starts."""

import secrets
from pathlib import Path
from typing import Any, Final

from gateway.clock import now_ms
from gateway.model.job import Job
from gateway.model.message import Message
from gateway.model.sender import Sender
from gateway.model.tenant import SCOPES, ApiKey, Tenant
from gateway.store import jobs, loads, tenants
from gateway.store.database import Database, Tx
from gateway.store.records import to_row

SENDER: Final = "+18005550199"
BODY: Final = "City Water: your bill of $42.10 is due on Friday. Reply STOP to end."
_CHUNK: Final = 5_000


def number_of(index: int) -> str:
    return f"+1{200 + index // 5_000_000:03}{200 + index // 10_000 % 500:03}{index % 10_000:04}"


async def fill(folder: Path, queued: int, rate: str = "9999/s") -> str:
    """Keep one job of `queued` texts in the database of the data directory `folder`. Returns an API key."""
    secret = f"gwk_{secrets.token_urlsafe(32)}"
    job = Job("job_" + "0" * 26, "bench", "live", "sms", SENDER, {"text": BODY}, created_ms=now_ms())
    base = to_row(Message("", "bench", "live", SENDER, "", "", "", 0, job_id=job.id, created_ms=now_ms()))

    async def begin(tx: Tx) -> None:
        await tenants.add_tenant(tx, Tenant("bench", "bench", now_ms()))
        key = ApiKey("key_bench", "bench", tenants.fingerprint(secret), SCOPES, "live", "bench", now_ms())
        await tenants.add_key(tx, key)
        await tenants.put_sender(tx, Sender(SENDER, "bench", "toll_free", status="verified", limits={"rate": rate}))
        await jobs.accept(tx, job)

    async def some(tx: Tx, first: int) -> None:
        many = range(first, min(first + _CHUNK, queued))
        people: list[list[Any]] = [[number_of(index), f"account-{index}", index, 1, BODY, "gsm7", ""] for index in many]
        await loads.insert(tx, "messages", base, people)

    async with Database.open(folder / "gateway.db", migrate=True) as database:
        await database.write(begin)
        for first in range(0, queued, _CHUNK):
            await database.write(lambda tx, first=first: some(tx, first))  # type: ignore[misc]
    return secret
