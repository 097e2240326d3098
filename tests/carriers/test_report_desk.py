"""Reports that come together: each has its one effect, as if they had come one after the other."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.carriers.base import Report
from gateway.carriers.report_desk import ReportDesk
from gateway.clock import new_id, now_ms
from gateway.errors.store import StoreUnavailable
from gateway.model.message import Message
from gateway.store.database import Database
from gateway.store.records import to_row


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database.open(tmp_path / "gateway.db", migrate=True) as database:
        yield database


async def sent(database: Database, sids: list[str], **fields: Any) -> list[str]:
    now = now_ms()
    told = {
        "created_ms": now,
        "updated_ms": now,
        "status": "sent",
        "carrier": "twilio",
        "sent_ms": now,
        "mode": "live",
        **fields,
    }
    mode = told.pop("mode")
    messages = [
        Message(new_id("msg"), "acme", mode, "+18005550199", "+12125551234", "Due", "gsm7", 1, carrier_id=sid, **told)
        for sid in sids
    ]
    await database.write(lambda tx: tx.many("messages_insert", [to_row(each) for each in messages]))
    return [each.id for each in messages]


async def statuses(database: Database) -> list[str]:
    rows = await database.read(lambda tx: tx.rows("messages_with_status", status="delivered", limit=-1))
    return sorted(row["carrier_id"] for row in rows)


async def test_many_at_once_each_move_their_message_and_repeats_do_nothing(database: Database) -> None:
    sids = [f"SM{number}" for number in range(700)]
    ids = await sent(database, sids)
    desk = ReportDesk(database, "twilio", "live")

    told = [Report(None, sid, "delivered") for sid in [*sids, *sids]]
    effects = await asyncio.gather(*(desk.take(each, f"{each.carrier_id}:delivered") for each in told))

    assert effects == ["moved"] * 700 + ["nothing"] * 700
    assert await statuses(database) == sorted(sids)
    events = await database.read(lambda tx: tx.rows("events_of_one", subject=ids[0], limit=5))
    assert [row["type"] for row in events] == ["message.delivered"]


async def test_reports_of_one_message_keep_their_order_and_the_first_end_stays(database: Database) -> None:
    [message_id] = await sent(database, ["SM1"])
    desk = ReportDesk(database, "twilio", "live")
    words = ["sent", "undelivered", "delivered"]

    effects = await asyncio.gather(*(desk.take(Report(message_id, "SM1", word), f"SM1:{word}") for word in words))

    assert effects == ["nothing", "moved", "kept"]


async def test_what_needs_more_than_a_move_gets_it_beside_what_does_not(database: Database) -> None:
    """One is known by our id alone, one by nobody yet, one is another mode's."""
    [unknown] = await sent(database, [None], status="unknown", sent_ms=None)  # type: ignore[list-item]
    await sent(database, ["SM2"])
    await sent(database, ["SM3"], mode="test")
    desk = ReportDesk(database, "twilio", "live")

    effects = await asyncio.gather(
        desk.take(Report(unknown, "SM1", "delivered"), "a"),
        desk.take(Report(None, "SM2", "delivered"), "b"),
        desk.take(Report(None, "SM3", "delivered"), "c"),
        desk.take(Report(None, "SM4", "delivered"), "d"),
    )

    assert effects == ["moved", "moved", "early", "early"]
    assert await statuses(database) == ["SM1", "SM2"]


async def test_one_that_fails_keeps_none_of_its_neighbours_from_the_disk(database: Database) -> None:
    await sent(database, ["SM1"])
    desk = ReportDesk(database, "twilio", "live")

    found = await asyncio.gather(
        desk.take(Report(None, "SM1", "delivered"), "a"),
        desk.take(Report(None, "SM2", "no such state"), object()),  # type: ignore[arg-type]
        return_exceptions=True,
    )

    assert found[0] == "moved"
    assert isinstance(found[1], Exception)
    assert not isinstance(found[1], StoreUnavailable)
    assert await statuses(database) == ["SM1"]
