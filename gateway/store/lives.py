"""The moves of messages and calls. Every change of state goes through `move`, which writes its events beside it."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any

import orjson

from gateway.model.opt_out import OptOut
from gateway.model.states import CALL_MOVES, MESSAGE_MOVES, sources
from gateway.sms.pipeline import ALLOWED_AFTER_STOP
from gateway.store.database import Row, Tx
from gateway.store.signals import Things

_MOVES = {"messages": MESSAGE_MOVES, "calls": CALL_MOVES}
_NOUN = {"messages": "message", "calls": "call"}
_LEAVING = frozenset({"sending", "dialing"})
EVER_MS = 2**62
_CHUNK = 10_000  # ids a statement; SQLite takes 32,766 parameters

# What the engine is told by callback; the numbered log has everything.
TOLD = frozenset(
    {
        *("sent", "unknown", "delivered", "undelivered", "no_report", "failed", "expired", "cancelled", "suppressed"),
        *("answered", "completed", "busy", "no_answer"),
    },
)


_COMMITTED = frozenset({"sending", "unknown", "dialing"})


def _chunks(ids: Iterable[str]) -> Iterable[list[str]]:
    rest = iter(ids)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk


async def move(
    tx: Tx,
    things: Things,
    ids: Iterable[str],
    status: str,
    now_ms: int,
    *,
    reason: str = "",
    until_ms: int | None = None,
    error_code: str = "",
    data: dict[str, object] | None = None,
    holder: int | None = None,
    carrier: str | None = None,
    only: frozenset[str] | None = None,
) -> list[str]:
    """Move these messages or calls to `status` where the state table allows it, and write one event each.

    until_ms: for `held`, when the hold ends by itself.
    data:     what else the event says, the same for all of them.
    holder:   for `sending` and `dialing`: whose lease it is.
    carrier:  for `sending`: where it is offered, to be asked there should no answer come.
    only:     of the states that the table allows it from, these.
    Returns:  the ids that moved; the others were elsewhere by now and are left as they are.
    """
    if status in _LEAVING:
        ids = await _free_to_leave(tx, things, list(ids))
    moved: list[str] = []
    allowed = sources(_MOVES[things], status)
    if only is not None:
        allowed &= only
    for chunk in _chunks(ids):
        rows = await tx.rows(
            f"{things}_move",
            ids=chunk,
            sources=allowed,
            status=status,
            reason=reason,
            until_ms=until_ms,
            error_code=error_code,
            now_ms=now_ms,
            holder=holder,
            carrier=carrier,
        )
        here = [row["id"] for row in rows]
        if here:
            await _tell(tx, things, here, status, now_ms, data)
        moved += here
    return moved


async def _tell(
    tx: Tx, things: Things, ids: list[str], status: str, now_ms: int, data: dict[str, object] | None = None
) -> None:
    """Write the events of a move."""
    await tx.run(
        f"{things}_moved",
        ids=ids,
        type=f"{_NOUN[things]}.{status}",
        now_ms=now_ms,
        data=orjson.dumps(data or {}).decode(),
        told=int(status in TOLD),
    )


async def page(
    tx: Tx,
    things: Things,
    whose: Mapping[str, str],
    *,
    before: str,
    limit: int,
    job_id: str = "",
    status: str = "",
    recipient: str = "",
    reference: str = "",
    kind: str = "",
) -> list[Row]:
    """A tenant's messages or calls before the id `before`, newest first. An empty filter takes everything.

    kind: of messages their kind, of calls their direction.
    """
    name = "_page_of_job" if job_id else "_page_of_person" if recipient else "_page"
    return await tx.rows(
        f"{things}{name}",
        **whose,
        before=before or "~",
        job_id=job_id,
        status=status,
        recipient=recipient,
        reference=reference,
        kind=kind,
        limit=limit,
    )


async def _free_to_leave(tx: Tx, things: Things, ids: list[str]) -> list[str]:
    """Those of no job that was stopped: of a large one, not all have followed yet."""
    if await tx.row("job_changes_any") is None:
        return ids
    stopped = await _stopped(tx, things, ids)
    return [each for each in ids if each not in stopped]


async def _stopped(tx: Tx, things: Things, ids: Sequence[str]) -> dict[str, str]:
    """Those of a job that was paused or cancelled, with what the job is."""
    stopped: dict[str, str] = {}
    for chunk in _chunks(ids):
        stopped |= {row["id"]: row["status"] for row in await tx.rows(f"{things}_ids_stopped", ids=chunk)}
    return stopped


async def put_back(
    tx: Tx, things: Things, ids: Sequence[str], now_ms: int, *, reason: str = "", error_code: str = ""
) -> list[str]:
    """Queue again what was committed and is known not to have left; see `move`.

    What belongs to a job that was paused or cancelled meanwhile goes where the job's others went.
    Returns: the ids that are queued or held now.
    """
    stopped = await _stopped(tx, things, ids)
    over = [each for each in ids if stopped.get(each) == "cancelled"]
    await move(tx, things, over, "cancelled", now_ms, reason="job_cancelled")
    back = await move(tx, things, ids, "queued", now_ms, reason=reason, error_code=error_code, only=_COMMITTED)
    await move(tx, things, [each for each in back if each in stopped], "held", now_ms, reason="paused")
    return back


async def of_holder(tx: Tx, things: Things, ids: Sequence[str], holder: int) -> set[str]:
    """Which of these no other process has committed since `holder` did: only that one knows what became of them."""
    found: set[str] = set()
    for chunk in _chunks(ids):
        found |= {row["id"] for row in await tx.rows(f"{things}_of_holder", ids=chunk, holder=holder)}
    return found


async def may_settle(tx: Tx, things: Things, ids: Sequence[str], holders: AbstractSet[int]) -> list[str]:
    """Which of these a process that was `holders` may speak for: they wait, or nobody else has committed them since."""
    found: list[str] = []
    for chunk in _chunks(ids):
        rows = await tx.rows(f"{things}_may_settle", ids=chunk, holders=sorted(holders))
        found += [row["id"] for row in rows]
    return found


async def queued(tx: Tx, things: Things, sender: str, mode: str, limit: int) -> list[Row]:
    """What this sender's loop takes next, most urgent first."""
    return await tx.rows(f"{things}_queued", sender=sender, mode=mode, limit=limit)


async def hold_queued(
    tx: Tx, things: Things, sender: str, mode: str, now_ms: int, reason: str, until_ms: int | None, limit: int
) -> int:
    """Hold what this sender has queued, for one reason, until one time; at most `limit`. Returns how many."""
    ids = [row["id"] for row in await tx.rows(f"{things}_ids_queued", sender=sender, mode=mode, limit=limit)]
    return len(await move(tx, things, ids, "held", now_ms, reason=reason, until_ms=until_ms))


async def release_due(tx: Tx, things: Things, now_ms: int, limit: int) -> set[tuple[str, str]]:
    """Queue again what was held until now, at most `limit`. Returns the (sender, mode) pairs that have work."""
    return await _release(tx, things, await tx.rows(f"{things}_ids_due", now_ms=now_ms, limit=limit), now_ms)


async def held_for(tx: Tx, things: Things, sender: str, reasons: Sequence[str]) -> tuple[int, int]:
    """How many this sender holds for one of these reasons, and when the last of them was held."""
    row = await tx.row(f"{things}_held_for", sender=sender, reasons=reasons)
    return (row["n"], row["until_ms"]) if row is not None and row["n"] else (0, 0)


async def release_held(
    tx: Tx, things: Things, sender: str, reasons: Sequence[str], now_ms: int, limit: int, *, until_ms: int = EVER_MS
) -> int:
    """Queue again what this sender holds for one of these reasons, at most `limit`. Returns how many were looked at.

    until_ms: what was held after that stays: somebody may hold again, one after the other, what is released here.
    """
    rows = await tx.rows(f"{things}_ids_held_for", sender=sender, reasons=reasons, until_ms=until_ms, limit=limit)
    await _release(tx, things, rows, now_ms)
    return len(rows)


async def _release(tx: Tx, things: Things, rows: Sequence[Row], now_ms: int) -> set[tuple[str, str]]:
    """Queue these again. Those of a paused job now wait for that alone: looked at once, not at every sweep."""
    free = [row for row in rows if row["paused"] is None]
    await move(tx, things, [row["id"] for row in free], "queued", now_ms)
    paused = [row["id"] for row in rows if row["paused"] is not None]
    if paused:
        await tx.run(f"{things}_wait_for_job", ids=paused, now_ms=now_ms)
        await _tell(tx, things, paused, "held", now_ms)
    return {(row["sender"], row["mode"]) for row in free}


async def expire_due(tx: Tx, things: Things, now_ms: int, limit: int) -> int:
    """End what waited longer than its expiry allows."""
    rows = await tx.rows(f"{things}_ids_expired", now_ms=now_ms, limit=limit)
    return len(await move(tx, things, [row["id"] for row in rows], "expired", now_ms, reason="expired"))


async def cancel_person(tx: Tx, things: Things, said: OptOut) -> list[str]:
    """Cancel what waits for a person who said stop, save what may follow a stop. Returns the ids."""
    kept = ALLOWED_AFTER_STOP if things == "messages" else {"in"}
    whose = {"tenant_id": said.tenant_id, "mode": said.mode, "recipient": said.recipient, "scope": said.scope}
    rows = await tx.rows(f"{things}_ids_of_person", **whose, kept=kept)
    return await move(tx, things, [row["id"] for row in rows], "cancelled", said.at_ms, reason="opted_out")


async def of_job(tx: Tx, things: Things, job_id: str, statuses: Sequence[str], limit: int) -> list[str]:
    """Ids of a job's messages or calls that are in one of `statuses`."""
    rows = await tx.rows(f"{things}_ids_of_job", job_id=job_id, statuses=statuses, limit=limit)
    return [row["id"] for row in rows]


async def counts(tx: Tx, things: Things, job_id: str) -> dict[str, Any]:
    """How many of a job are in each state: `{"by_state": {state: n}, "held": {reason: n}, "total": n}`."""
    by_state: dict[str, int] = {}
    held: dict[str, int] = {}
    for row in await tx.rows(f"{things}_counts", job_id=job_id):
        by_state[row["status"]] = by_state.get(row["status"], 0) + row["n"]
        if row["status"] == "held":
            held[row["reason"]] = row["n"]
    return {"by_state": by_state, "held": held, "total": sum(by_state.values())}
