"""What is taken back from a process's plan may be an old reading: others may have committed it since."""

from typing import Any

import pytest

from gateway.errors.store import StoreUnavailable
from gateway.model.call import Call
from gateway.model.job import Job
from gateway.model.message import Message
from gateway.model.opt_out import OptOut
from gateway.store import jobs, lives, opt_outs
from gateway.store.criteria import Criterion, OfJob
from gateway.store.database import Database, Tx
from gateway.store.recall import make_good, write_with_recall
from gateway.store.records import to_row
from gateway.store.signals import Signals
from gateway.workers.plan import Plan

SENDER, PERSON = "+18005550199", "+12125551234"
US_BEFORE, US, OTHERS = 7, 8, 9
JOB = Job("job_1", "acme", "live", "sms", SENDER, {})
WHOSE: dict[str, Any] = {"tenant_id": "acme", "mode": "live", "sender": SENDER, "recipient": PERSON, "job_id": "job_1"}


@pytest.fixture
async def signals(database: Database) -> Signals:
    """Of a process that has read all there is, was away for a while, and is a holder again."""

    def everything(_: Criterion) -> list[str]:
        return ["msg_waiting", "msg_ours", "msg_once_ours", "msg_theirs", "msg_in_doubt", "call_ours", "call_theirs"]

    async def work(tx: Tx) -> None:
        await jobs.accept(tx, JOB)
        for name in ("waiting", "ours", "once_ours", "theirs", "in_doubt"):
            text = Message(id=f"msg_{name}", body="Hi", encoding="gsm7", segments=1, **WHOSE)
            await tx.many("messages_insert", [to_row(text)])
        for name in ("ours", "theirs"):
            await tx.many(
                "calls_insert", [to_row(Call(id=f"call_{name}", dialplan="bill", dialplan_version=1, **WHOSE))]
            )
        for message_id, holder in (
            ("msg_ours", US), ("msg_once_ours", US_BEFORE), ("msg_theirs", OTHERS), ("msg_in_doubt", OTHERS),
        ):  # fmt: skip
            await lives.move(tx, "messages", [message_id], "sending", 1, holder=holder)
        await lives.move(tx, "messages", ["msg_in_doubt", "msg_once_ours"], "unknown", 2, reason="worker_gone")
        await lives.move(tx, "calls", ["call_ours"], "dialing", 1, holder=US)
        await lives.move(tx, "calls", ["call_theirs"], "dialing", 1, holder=OTHERS)

    await database.write(work)
    signals = Signals()
    signals.holder, signals.holders = US, {US_BEFORE, US}
    signals.on_recall(everything)
    return signals


async def states(database: Database) -> dict[str, str]:
    async def look(tx: Tx) -> dict[str, str]:
        found = {}
        for things in ("messages", "calls"):
            ids = await lives.of_job(
                tx, things, "job_1", ["queued", "held", "sending", "dialing", "unknown", "cancelled"], 99
            )  # type: ignore[arg-type]
            rows = [await tx.row(f"{things}_one", id=each) for each in ids]
            found |= {row["id"]: row["status"] for row in rows if row is not None}
        return found

    return await database.read(look)


def expected(status: str) -> dict[str, str]:
    ours = ("msg_waiting", "msg_ours", "msg_once_ours", "call_ours")
    theirs = {"msg_theirs": "sending", "msg_in_doubt": "unknown", "call_theirs": "dialing"}
    return dict.fromkeys(ours, status) | theirs


@pytest.mark.parametrize(("change", "status"), [("paused", "held"), ("cancelled", "cancelled")])
async def test_a_job_that_is_stopped_leaves_alone_what_another_process_has_in_hand(
    database: Database, signals: Signals, change: str, status: str
) -> None:
    await jobs.change_with_recall(database, signals, JOB, change, 5)

    assert await states(database) == expected(status)


async def test_a_stop_cancels_nothing_that_another_process_has_in_hand(database: Database, signals: Signals) -> None:
    said = OptOut("acme", "live", PERSON, "tenant", "api", "", 5)
    cancelled = await opt_outs.stop_with_recall(database, signals, said)

    assert await states(database) == expected("cancelled")
    assert sorted(cancelled) == ["call_ours", "msg_once_ours", "msg_ours", "msg_waiting"]


async def test_what_a_change_that_failed_took_back_is_queued_again_and_not_read_before(
    database: Database, signals: Signals
) -> None:
    """Read again while it is owed, a text could leave and then be queued a second time."""

    def nothing(_tx: Tx) -> Any:
        raise StoreUnavailable("the disk is full")

    before = await states(database)
    plan = Plan[Message](signals.taken_back)
    again = Message(id="msg_waiting", body="Hi", encoding="gsm7", segments=1, **WHOSE)
    with pytest.raises(StoreUnavailable):
        await write_with_recall(database, signals, OfJob("acme", "job_1", SENDER), 5, nothing)
    assert await states(database) == before
    assert plan.enter([again]) == []

    await make_good(database, signals, 6)

    assert await states(database) == expected("queued")
    assert [planned.thing for planned in plan.enter([again])] == [again]
    assert signals.owed == set()
