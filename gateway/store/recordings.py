"""Spoken answers: kept with their call's tenant, for as long as the settings say."""

from dataclasses import dataclass

from gateway.clock import first_id
from gateway.media import g711
from gateway.model.call import Call
from gateway.store.database import Tx


@dataclass(frozen=True, slots=True)
class Recording:
    """One spoken answer. `audio` is G.711 mu-law, 8,000 bytes a second; `node` is where it was recorded."""

    id: str
    tenant_id: str
    mode: str
    call_id: str
    node: str
    created_ms: int
    audio: bytes

    @property
    def pcm(self) -> bytes:
        """The same as 8 kHz PCM16."""
        return g711.decode(self.audio)


async def add(tx: Tx, call: Call, recording_id: str, node: str, audio: bytes, now_ms: int) -> None:
    """Keep one; again, under the same id, it has no effect."""
    await tx.run(
        "recordings_insert",
        id=recording_id,
        tenant_id=call.tenant_id,
        mode=call.mode,
        call_id=call.id,
        node=node,
        created_ms=now_ms,
        audio=audio,
    )


async def get(tx: Tx, tenant_id: str, mode: str, recording_id: str) -> Recording | None:
    """A tenant's recording."""
    row = await tx.row("recordings_one", id=recording_id, tenant_id=tenant_id, mode=mode)
    if row is None:
        return None
    return Recording(**{name: row[name] for name in Recording.__dataclass_fields__})


async def forget(tx: Tx, before_ms: int, limit: int) -> int:
    """Delete those that were made before then, oldest first, so many at most. Returns how many went."""
    rows = await tx.rows("recordings_over", before=first_id("rec", before_ms), limit=limit)
    return await tx.run("recordings_forget", ids=[row["id"] for row in rows]) if rows else 0
