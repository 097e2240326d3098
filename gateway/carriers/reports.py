"""What a delivery report does, in whatever order reports come: one effect each, and a final state never regresses.

A report finds its message by the carrier's id where that is known as one of ours, else by our id in its URL. Of two
texts with the same words whose answers never came, the carrier's list may have been read the wrong way round; so the
carrier's id goes first: each of its texts then reports to one message of ours, and to one only.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final, Literal

from gateway.carriers.base import Report
from gateway.model.event import Event
from gateway.store import events, lives
from gateway.store.database import Row, Tx

_MOST_EARLY: Final = 10_000  # reports kept for messages that nobody knows yet
_BAD_ENDS: Final = frozenset({"undelivered", "failed", "expired"})

# moved: its message entered a state. kept: it came too late to move anything, and is an event. nothing: what it says is
# known already. early: it names no message of ours yet, and waits for one.
Effect = Literal["moved", "kept", "nothing", "early"]


async def apply(tx: Tx, carrier: str, mode: str, report: Report, now_ms: int) -> Effect:
    """Apply a report to the message it names."""
    row = await tx.row("messages_by_carrier_id", carrier_id=report.carrier_id)
    if row is None and report.message_id:
        row = await tx.row("messages_one", id=report.message_id)
    if row is None or row["mode"] != mode:
        return await _keep_early(tx, carrier, mode, report, now_ms)
    effect = await _apply_to(tx, carrier, row, report, now_ms)
    if row["carrier_id"] is None:
        await take_early(tx, carrier, [report.carrier_id], now_ms)
    return effect


async def take_early(tx: Tx, carrier: str, carrier_ids: Sequence[str], now_ms: int) -> None:
    """Apply the reports that were here before the messages that now have these ids of the carrier's."""
    waiting = await tx.rows("early_reports_of", carrier=carrier, carrier_ids=carrier_ids)
    if not waiting:
        return
    await tx.run("early_reports_taken", carrier=carrier, carrier_ids=[each["carrier_id"] for each in waiting])
    for each in waiting:
        report = Report(None, each["carrier_id"], each["status"], each["reason"], each["error_code"])
        await apply(tx, carrier, each["mode"], report, now_ms)


async def left_queue(tx: Tx, rows: Iterable[Row], now_ms: int) -> None:
    """Note that these messages are in the carrier's own queue no more: what was written before them is not, either."""
    newest: dict[tuple[str, str], int] = {}
    for row in rows:
        whose = (row["sender"], row["mode"])
        newest[whose] = max(newest.get(whose, 0), row["sent_ms"] or 0)
    await tx.many(
        "carrier_queues_left",
        [
            {"sender": sender, "mode": mode, "left_sent_ms": sent_ms, "told_ms": now_ms}
            for (sender, mode), sent_ms in newest.items()
        ],
    )


async def _apply_to(tx: Tx, carrier: str, row: Row, report: Report, now_ms: int) -> Effect:
    if report.has_left:
        await left_queue(tx, [row], now_ms)
    if row["carrier_id"] is None:
        await tx.run("messages_taken", id=row["id"], carrier=carrier, carrier_id=report.carrier_id)
    if row["sent_ms"] is None:
        await tx.run("messages_reported_on", id=row["id"], now_ms=now_ms)
    # of two copies that somebody chose to send, the newer one's end is the text's; that one arrived holds for both
    is_older_copy = row["carrier_id"] not in {None, report.carrier_id} and report.status in _BAD_ENDS
    told = partial(lives.move, tx, "messages", [row["id"]], report.status, now_ms)
    if report.status and not is_older_copy and await told(reason=report.reason, error_code=report.error_code):
        return "moved"
    if report.status in {"", row["status"]}:
        return "nothing"
    data = {"status": row["status"], "reported": report.status, "error_code": report.error_code}
    await events.add(
        tx, Event("message.report", row["tenant_id"], row["mode"], row["id"], now_ms, data, job_id=row["job_id"])
    )
    return "kept"


async def _keep_early(tx: Tx, carrier: str, mode: str, report: Report, now_ms: int) -> Effect:
    await tx.run(
        "early_reports_insert",
        carrier=carrier,
        carrier_id=report.carrier_id,
        status=report.status,
        mode=mode,
        reason=report.reason,
        error_code=report.error_code,
        at_ms=now_ms,
        most=_MOST_EARLY,
    )
    return "early"
