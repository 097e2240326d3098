"""Stop and start: the opt-out, what it cancels and its event, in one transaction."""

from typing import Any

from gateway.model.event import Event
from gateway.model.opt_out import OptOut
from gateway.store import events, lives
from gateway.store.criteria import OfPerson
from gateway.store.database import Database, Row, Tx
from gateway.store.recall import write_with_recall
from gateway.store.records import to_row
from gateway.store.signals import Signals


async def stop(tx: Tx, said: OptOut, *, callback_url: str = "") -> list[str]:
    """Record an opt-out and cancel all that waits for that person in its scope, on both channels.

    Called through `stop_with_recall`, or inside `recall.write_with_recall`.
    Returns: the ids of the messages and calls that were cancelled.
    """
    first = await tx.run("opt_outs_put", **to_row(said))
    cancelled: list[str] = []
    for things in ("messages", "calls"):
        cancelled += await lives.cancel_person(tx, things, said)
    if first:
        await events.add(tx, _event(said, "opt_out.created", callback_url, cancelled=cancelled))
    return cancelled


async def stop_with_recall(database: Database, signals: Signals, said: OptOut, *, callback_url: str = "") -> list[str]:
    """Obey a stop that came by itself (API, a key pressed in a call). Returns the ids of all that was cancelled."""
    cancelled, recalled = await write_with_recall(
        database,
        signals,
        OfPerson.forbidden_by(said),
        said.at_ms,
        lambda tx: stop(tx, said, callback_url=callback_url),
    )
    signals.wake("events")
    return cancelled + recalled


async def start(tx: Tx, said: OptOut, *, callback_url: str = "") -> bool:
    """Take an opt-out back; a start towards the tenant also lifts the one for that sender. False: there was none."""
    scopes = {"tenant", said.scope}
    whose = {"tenant_id": said.tenant_id, "mode": said.mode, "recipient": said.recipient}
    lifted = await tx.run("opt_outs_delete", **whose, scopes=scopes)
    if lifted:
        await events.add(tx, _event(said, "opt_out.deleted", callback_url))
    return bool(lifted)


def _event(said: OptOut, kind: str, callback_url: str, **more: object) -> Event:
    data = {"number": said.recipient, "scope": said.scope, "source": said.source, "evidence": said.evidence, **more}
    return Event(kind, said.tenant_id, said.mode, said.recipient, said.at_ms, data, callback_url=callback_url)


async def among(tx: Tx, tenant_id: str, mode: str, sender: str, recipients: list[str]) -> set[str]:
    """Which of these people have said stop to the tenant, or to this sender."""
    rows = await tx.rows("opt_outs_among", tenant_id=tenant_id, mode=mode, sender=sender, recipients=recipients)
    return {row["recipient"] for row in rows}


async def of_person(tx: Tx, tenant_id: str, mode: str, recipient: str) -> list[dict[str, Any]]:
    """Every opt-out of a person towards a tenant, oldest first."""
    rows = await tx.rows("opt_outs_of", tenant_id=tenant_id, mode=mode, recipient=recipient)
    return [view(row) for row in rows]


def view(row: Row) -> dict[str, Any]:
    """One opt-out as engines see it."""
    names = ("scope", "source", "evidence", "at_ms")
    return {"number": row["recipient"], **{name: row[name] for name in names}}
