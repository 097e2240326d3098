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


@dataclass(frozen=True, slots=True)
class Due:
    """A recording that its carrier has: to be fetched, or, where it is here already, to be deleted there."""

    id: str
    tries: int
    is_here: bool


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


async def due_at(tx: Tx, source: str, now_ms: int, limit: int) -> list[Due]:
    """What is now to be fetched from that carrier, or deleted there."""
    rows = await tx.rows("recordings_to_fetch", source=source, now_ms=now_ms, limit=limit)
    return [Due(row["id"], row["tries"], bool(row["is_here"])) for row in rows]


async def tried(tx: Tx, recording_id: str, due_ms: int) -> None:
    """It could not be had, or not be deleted; the next try is due then."""
    await tx.run("recordings_tried", id=recording_id, due_ms=due_ms)


async def fetched(tx: Tx, recording_id: str, audio: bytes, now_ms: int) -> None:
    """Keep what the carrier gave, G.711 mu-law; it has it still, until `released`."""
    await tx.run("recordings_fetched", id=recording_id, audio=audio, now_ms=now_ms)


async def released(tx: Tx, recording_id: str) -> None:
    """The carrier has it no more, or is not asked any more."""
    await tx.run("recordings_released", id=recording_id)


async def forget(tx: Tx, before_ms: int, limit: int) -> int:
    """Delete those that were made before then, oldest first, so many at most. Returns how many went."""
    ids = await over(tx, before_ms, limit)
    return await tx.run("recordings_forget", ids=ids) if ids else 0


async def over(tx: Tx, before_ms: int, limit: int) -> list[str]:
    """The ids of those that `forget` would delete."""
    return [row["id"] for row in await tx.rows("recordings_over", before_ms=before_ms, limit=limit)]
