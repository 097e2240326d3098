"""Spoken answers: kept with their call's tenant, for as long as the settings say."""

from dataclasses import dataclass

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


async def add(tx: Tx, call: Call, recording_id: str, node: str, audio: bytes, now_ms: int, *, source: str = "") -> None:
    """Keep one; again, under the same id, it has no effect. source: the carrier that has it, where we have not."""
    await tx.run(
        "recordings_insert",
        id=recording_id,
        tenant_id=call.tenant_id,
        mode=call.mode,
        call_id=call.id,
        node=node,
        created_ms=now_ms,
        audio=audio,
        source=source,
    )


async def get(tx: Tx, tenant_id: str, mode: str, recording_id: str) -> Recording | None:
    """A tenant's recording; None also for one that its carrier has not handed over."""
    row = await tx.row("recordings_one", id=recording_id, tenant_id=tenant_id, mode=mode)
    if row is None or not row["audio"]:
        return None
    return Recording(**{name: row[name] for name in Recording.__dataclass_fields__})


async def to_fetch(tx: Tx, source: str, now_ms: int, limit: int) -> list[tuple[str, int]]:
    """What is to be fetched from that carrier now: (id, how often it was tried)."""
    rows = await tx.rows("recordings_to_fetch", source=source, now_ms=now_ms, limit=limit)
    return [(row["id"], row["tries"]) for row in rows]


async def tried(tx: Tx, recording_id: str, due_ms: int) -> None:
    """It could not be had; the next try is due then."""
    await tx.run("recordings_tried", id=recording_id, due_ms=due_ms)


async def fetched(tx: Tx, recording_id: str, audio: bytes) -> None:
    """Keep what the carrier gave, G.711 mu-law; b"" gives it up."""
    await tx.run("recordings_fetched", id=recording_id, audio=audio)


async def forget(tx: Tx, before_ms: int, limit: int) -> int:
    """Delete those that were made before then, oldest first, so many at most. Returns how many went."""
    ids = await over(tx, before_ms, limit)
    return await tx.run("recordings_forget", ids=ids) if ids else 0


async def over(tx: Tx, before_ms: int, limit: int) -> list[str]:
    """The ids of those that `forget` would delete."""
    return [row["id"] for row in await tx.rows("recordings_over", before_ms=before_ms, limit=limit)]
