"""Leases in the database: who may write for which sender, and what a process left behind that is gone.

A holder is a process; it lives as long as its beat moves. No clock of the database or of a host is compared with
another's: whoever waits for a holder to be gone watches its beat stand still by a monotonic clock of its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.store import calls, lives
from gateway.store.database import Tx
from gateway.store.signals import Things

LEASE_S: Final = 5.0  # how long a beat is good for
_ABANDONED: Final = 2_000  # rows a transaction

Beats = Mapping[int, int]  # of each holder


@dataclass(slots=True)
class Stillness:
    """Which holders' beats stood still for the length of a lease, watched by one process. Pure."""

    lease_s: float = LEASE_S
    _seen: dict[int, tuple[int, float]] = field(default_factory=dict)  # holder: beat, since when

    def look(self, beats: Beats, now: float) -> dict[int, int]:
        """Note the beats of all holders at `now`, monotonic. Returns those that are gone, each with its last beat."""
        self._seen = {holder: self._since(holder, beat, now) for holder, beat in beats.items()}
        return {holder: beat for holder, (beat, since) in self._seen.items() if now - since > self.lease_s}

    def _since(self, holder: int, beat: int, now: float) -> tuple[int, float]:
        known = self._seen.get(holder)
        return known if known is not None and known[0] == beat else (beat, now)


async def join(tx: Tx, things: Iterable[Things], now_ms: int, *, alone: bool) -> int:
    """Become a holder; returns its number.

    things: what it takes leases of.
    alone:  no other process can be a holder, so whoever is still noted is gone.
    """
    holder = int(await tx.value("holders_join", things=" ".join(things), now_ms=now_ms))
    if alone:
        await tx.run("holders_others_leave", id=holder)
    return holder


async def beat(tx: Tx, holder: int) -> bool:
    """Say that `holder` lives. False: it is a holder no more, and holds nothing."""
    return bool(await tx.run("holders_beat", id=holder))


async def beats(tx: Tx) -> dict[int, int]:
    """The beat of every holder."""
    return {row["id"]: row["beat"] for row in await tx.rows("holders_all")}


async def holders_of(tx: Tx, things: Things) -> set[int]:
    """Who takes leases of these."""
    return {row["id"] for row in await tx.rows("holders_all") if things in row["things"].split()}


async def held(tx: Tx, things: Things) -> dict[tuple[str, str], int]:
    """Who holds each (sender, mode) that anybody holds."""
    return {(row["sender"], row["mode"]): row["owner"] for row in await tx.rows("leases_held", things=things)}


async def condemn(tx: Tx, holders: Iterable[int]) -> None:
    """Refuse the beats of holders that do not answer, so that their leases run out."""
    await tx.run("holders_condemn", ids=sorted(holders))


async def take(tx: Tx, things: Things, sender: str, mode: str, holder: int) -> int | None:
    """Take a sender's lease if nobody holds it. Only within `Database.write`, together with `rest_abandoned`.

    Returns: its token, which is larger than any before; None where somebody holds it.
    """
    token = await tx.value("leases_take", things=things, sender=sender, mode=mode, owner=holder)
    return None if token is None else int(token)


async def fence(tx: Tx, things: Things, sender: str, mode: str, holder: int, token: int) -> bool:
    """Whether this lease is still the holder's: asked in the transaction that commits `sending`."""
    found = await tx.row("leases_fence", things=things, sender=sender, mode=mode, owner=holder, token=token)
    return found is not None


async def rest_abandoned(tx: Tx, now_ms: int) -> dict[Things, int]:
    """What holders that are gone left `sending` or in a call may or may not have left: it rests `unknown`.

    Returns: how many of each; again while a number is as large as a transaction takes.
    """
    texts = [row["id"] for row in await tx.rows("messages_abandoned", limit=_ABANDONED)]
    if texts:
        await tx.run("messages_left_sending", ids=texts)
        await lives.move(tx, "messages", texts, "unknown", now_ms, reason="worker_gone")
    lost = [row["id"] for row in await tx.rows("calls_abandoned", limit=_ABANDONED)]
    for call_id in lost:
        await calls.ended(tx, call_id, "unknown", now_ms, reason="worker_gone")
    return {"messages": len(texts), "calls": len(lost)}


async def anything_abandoned(tx: Tx) -> bool:
    """Whether `rest_abandoned` has work."""
    texts = await tx.row("messages_abandoned", limit=1)
    return texts is not None or await tx.row("calls_abandoned", limit=1) is not None


async def owners(tx: Tx, tenant_id: str, sender: str = "") -> set[int]:
    """Holders that may have something of a tenant's in hand, or only of one sender of theirs."""
    return {row["owner"] for row in await tx.rows("leases_owners", tenant_id=tenant_id, sender=sender)}
