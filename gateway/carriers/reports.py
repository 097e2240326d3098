"""What a delivery report does, in whatever order reports come: one effect each, and a final state never regresses."""

from gateway.carriers.base import Report
from gateway.model.event import Event
from gateway.store import events, lives
from gateway.store.database import Tx


async def apply(tx: Tx, carrier: str, mode: str, report: Report, now_ms: int) -> bool:
    """Apply a report to the message it names; our id in its URL first, the carrier's id otherwise.

    A report that comes too late to move anything is kept as an event; one that says what is known already is not.
    Returns: whether it named a message of ours.
    """
    row = await tx.row("messages_one", id=report.message_id) if report.message_id else None
    if row is None:
        row = await tx.row("messages_by_carrier_id", carrier_id=report.carrier_id)
    if row is None or row["mode"] != mode:
        return False
    if row["carrier_id"] is None:
        await tx.run("messages_taken", id=row["id"], carrier=carrier, carrier_id=report.carrier_id)
    if row["sent_ms"] is None:
        await tx.run("messages_reported_on", id=row["id"], now_ms=now_ms)
    moved = report.status and await lives.move(
        tx, "messages", [row["id"]], report.status, now_ms, reason=report.reason, error_code=report.error_code
    )
    if not moved and report.status not in {"", row["status"]}:
        data = {"status": row["status"], "reported": report.status, "error_code": report.error_code}
        kept = Event("message.report", row["tenant_id"], mode, row["id"], now_ms, data, job_id=row["job_id"])
        await events.add(tx, kept)
    return True
