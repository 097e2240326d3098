"""Texts whose carrier never answered: who is asked about now, and how they are settled. Each way is one transaction.

What is queued again although it may have left is a flagged copy: `copies` of its row, and an event `message.resent`.
"""

from collections.abc import Sequence
from typing import Literal

from gateway.model.event import Event
from gateway.model.job import Job
from gateway.store import events, jobs, lives
from gateway.store.database import Row, Tx
from gateway.store.records import to_record

Verdict = Literal["sent", "resend", "drop"]

LOOKS = 2  # lists read whole without a text in them, before it is said to be absent


async def claim_due(tx: Tx, now_ms: int, *, before_ms: int, next_ms: int, limit: int) -> list[Row]:
    """Unknown texts to ask about now, for this process alone until `next_ms`.

    before_ms: only those that have been unknown since then.
    Returns:   messages with `looks`, `tries` and `on_unknown`.
    """
    rows = await tx.rows("unsettled_due", now_ms=now_ms, before_ms=before_ms, enough=LOOKS, limit=limit)
    await tx.many("unsettled_claim", [{"message_id": row["id"], "next_ms": next_ms} for row in rows])
    return rows


async def resend(tx: Tx, ids: Sequence[str], now_ms: int, by: str) -> list[str]:
    """Queue unknown texts again, each as a flagged copy. Opt-outs, expiries and limits are looked at by the usual road.

    by:      who chose it: the name of a key, or `job` where the job was made so.
    Returns: the ids that will leave again; those of a cancelled job are cancelled instead.
    """
    unknown = [row["id"] for row in await tx.rows("messages_still_unknown", ids=ids)]
    back = await lives.put_back(tx, "messages", unknown, now_ms, reason="resent")
    await tx.run("messages_copied", ids=back)
    await tx.run("unsettled_forget", ids=back)
    for row in await tx.rows("messages_among", ids=back):
        await events.add(tx, _event(row, "message.resent", now_ms, {"copies": row["copies"], "by": by}))
    for job_id in {row["job_id"] for row in await tx.rows("messages_among", ids=back) if row["job_id"]}:
        await _reopen(tx, job_id, now_ms)
    return back


async def _reopen(tx: Tx, job_id: str, now_ms: int) -> None:
    """A completed job whose text leaves again runs again, so that it can be paused and cancelled."""
    row = await tx.row("jobs_one", id=job_id)
    if row is not None and row["status"] == "completed":
        await jobs.change(tx, to_record(Job, row), "running", now_ms)


async def settle(tx: Tx, ids: Sequence[str], verdict: Verdict, now_ms: int, by: str) -> list[str]:
    """Settle unknown texts as a person says. Returns the ids that were still unknown."""
    if verdict == "resend":
        unknown = [row["id"] for row in await tx.rows("messages_still_unknown", ids=ids)]
        await resend(tx, ids, now_ms, by)
        return unknown
    status, reason = ("sent", "settled_by_person") if verdict == "sent" else ("cancelled", "dropped_by_person")
    rows = [row["id"] for row in await tx.rows("messages_still_unknown", ids=ids)]
    return await lives.move(tx, "messages", rows, status, now_ms, reason=reason, data={"by": by})


async def rest(tx: Tx, ids: Sequence[str], reason: str, now_ms: int) -> None:
    """Say of unknown texts that nobody but a person can settle them, unless a report still comes."""
    rows = await tx.rows("messages_still_unknown", ids=ids)
    await tx.run("messages_rest", ids=[row["id"] for row in rows], reason=reason, now_ms=now_ms)
    data: dict[str, object] = {"status": "unknown", "reason": reason}
    await events.add(tx, *(_event(row, "message.unsettled", now_ms, data) for row in rows))


def _event(row: Row, kind: str, at_ms: int, data: dict[str, object]) -> Event:
    where = {"job_id": row["job_id"], "callback_url": row["callback_url"]}
    return Event(kind, row["tenant_id"], row["mode"], row["id"], at_ms, data, **where)
