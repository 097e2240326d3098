"""Who is asked about, how unknown texts are settled, and what is written down of it: on every kind of database."""

from typing import Any

import pytest

from gateway.carriers import reports
from gateway.carriers.base import Report
from gateway.metrics import Metrics
from gateway.model.job import Job
from gateway.settings import Sms
from gateway.store import audit_log, jobs, settling
from gateway.store.audit_log import Deed
from gateway.store.database import Database
from gateway.store.signals import Signals
from gateway.workers import reconciler
from gateway.workers.reconciler import Reconciler
from tests.store.test_reports import NOW, happened, keep, row

SENDER = "+18005550199"


async def claim(database: Database, at_ms: int, **more: int) -> list[Any]:
    options = {"before_ms": at_ms, "next_ms": at_ms + 1000, "limit": 10, **more}
    return await database.write(lambda tx: settling.claim_due(tx, at_ms, **options))


async def test_what_one_process_asks_about_no_other_asks_about_meanwhile(database: Database) -> None:
    message_id = await keep(database, status="unknown")
    await keep(database, status="sent")

    first, second, later = (
        await claim(database, NOW),
        await claim(database, NOW + 999),
        await claim(database, NOW + 1000),
    )

    assert [each["id"] for each in first] == [each["id"] for each in later] == [message_id]
    assert second == []
    assert (first[0]["looks"], first[0]["on_unknown"]) == (0, "rest")


async def test_who_was_asked_about_often_enough_is_asked_about_no_more(database: Database) -> None:
    message_id = await keep(database, status="unknown")
    await claim(database, NOW)
    looked = {"message_id": message_id, "looks": settling.LOOKS, "tries": 0, "next_ms": NOW}
    await database.write(lambda tx: tx.many("unsettled_looked", [looked]))

    assert await claim(database, NOW + 5000) == []


async def test_a_copy_is_flagged_asked_about_anew_and_wakes_its_job(database: Database) -> None:
    job = Job("job_1", "acme", "live", "sms", SENDER, {}, status="completed", on_unknown="resend")
    await database.write(lambda tx: jobs.accept(tx, job))
    message_id = await keep(database, status="unknown", job_id="job_1", attempts=1)
    ((due),) = await claim(database, NOW)

    back = await database.write(lambda tx: settling.resend(tx, [message_id, "msg_none"], NOW, by="job"))
    again = await database.write(lambda tx: settling.resend(tx, [message_id], NOW, by="job"))

    found = await row(database, message_id)
    kept = await database.read(lambda tx: jobs.get(tx, "acme", "live", "job_1"))
    assert (back, again, due["on_unknown"]) == ([message_id], [], "resend")
    assert (found["status"], found["reason"], found["copies"]) == ("queued", "resent", 1)
    assert (await happened(database, message_id)) == ["queued", "resent"]
    assert kept is not None
    assert kept.status == "running"
    assert await database.read(lambda tx: tx.row("unsettled_one", message_id=message_id)) is None


async def test_a_report_on_what_was_queued_again_keeps_the_copy_from_leaving(database: Database) -> None:
    for number, status in enumerate(["sent", "delivered", "undelivered"] * 2):
        waits = {"status": "queued"} if number < 3 else {"status": "held", "hold_until_ms": NOW + 1}
        message_id = await keep(database, **waits, copies=1, attempts=1)

        report = Report(message_id, f"SM{number}", status)
        effect = await database.write(lambda tx, one=report: reports.apply(tx, "twilio", "live", one, NOW))

        found = await row(database, message_id)
        assert (effect, found["status"], found["carrier_id"]) == ("moved", status, f"SM{number}")
        assert found["hold_until_ms"] is None


async def test_what_is_left_to_a_person_rests_and_says_so(database: Database) -> None:
    message_id = await keep(database, status="unknown", callback_url="http://example.com/events")
    other = await keep(database, status="sent")

    await database.write(lambda tx: settling.rest(tx, [message_id, other], "absent_at_carrier", NOW))

    found = await row(database, message_id)
    assert (found["status"], found["reason"]) == ("unknown", "absent_at_carrier")
    assert await happened(database, message_id) == ["unsettled"]
    assert await happened(database, other) == []


async def test_early_reports_are_bounded_and_forgotten(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "_MOST_EARLY", 2)
    for number in range(3):
        report = Report(None, f"SM{number}", "sent")
        await database.write(lambda tx, one=report: reports.apply(tx, "twilio", "live", one, NOW))

    async def kept() -> int:
        sids = ["SM0", "SM1", "SM2"]
        return len(await database.read(lambda tx: tx.rows("early_reports_of", carrier="twilio", carrier_ids=sids)))

    before = await kept()
    await database.write(lambda tx: tx.run("early_reports_forget", before_ms=NOW + 1))

    assert (before, await kept()) == (2, 0)


async def test_the_audit_log_is_read_newest_first_and_by_subject(database: Database) -> None:
    async def write(tx: Any) -> None:
        for number in range(3):
            deed = Deed("acme", "live", "key_1 ops", "message.settle", f"msg_{number}", {"as": "drop"}, "", NOW)
            await audit_log.add(tx, deed)

    await database.write(write)
    whose = {"tenant_id": "acme", "mode": "live"}
    page = await database.read(lambda tx: audit_log.page(tx, **whose, before=audit_log.NEWEST, limit=2))
    rest = await database.read(lambda tx: audit_log.page(tx, **whose, before=page[-1]["seq"], limit=2))
    one = await database.read(lambda tx: audit_log.page(tx, **whose, before=99, limit=9, subject="msg_1"))

    assert [each["subject"] for each in [*page, *rest]] == ["msg_2", "msg_1", "msg_0"]
    assert [each["subject"] for each in one] == ["msg_1"]


@pytest.mark.parametrize(
    ("on_unknown", "status", "reason"), [("rest", "unknown", "carrier_not_asked"), ("resend", "queued", "resent")]
)
async def test_where_nobody_can_be_asked_a_report_has_its_time_before_the_job_or_a_person_decides(
    database: Database, monkeypatch: pytest.MonkeyPatch, on_unknown: str, status: str, reason: str
) -> None:
    job = Job("job_1", "acme", "live", "sms", SENDER, {}, on_unknown=on_unknown)
    await database.write(lambda tx: jobs.accept(tx, job))
    message_id = await keep(database, status="unknown", job_id="job_1", sent_ms=NOW, reason="timeout")
    asking = Reconciler(database, Signals(), {}, Sms(), 1.0, Metrics())

    async def look(seconds: int) -> str:
        monkeypatch.setattr(reconciler, "now_ms", lambda: NOW + seconds * 1000)
        await asking.look()
        return str((await row(database, message_id))["reason"])

    seen = [await look(seconds) for seconds in (4, 10, 119, 180, 300)]

    assert seen == ["timeout", "timeout", "timeout", reason, reason]
    assert (await row(database, message_id))["status"] == status
    assert len([each for each in await happened(database, message_id) if each in {"unsettled", "resent"}]) == 1
