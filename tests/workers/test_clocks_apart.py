"""A process whose clock is ahead of Redis's ends holds too early, by up to 2 s."""

import asyncio
from typing import Any

import pytest

from gateway.clock import now_ms
from gateway.limits.windows import Bounds
from gateway.metrics import Metrics
from gateway.settings import Settings
from gateway.store import events
from gateway.workers import housekeeper
from gateway.workers.housekeeper import Housekeeper

DAY_US = 86_400_000_000


async def test_what_a_cap_lets_go_at_once_is_not_held_and_released_again_and_again(
    sending: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The day is over, but within 2 s of its end slots count in it, too; who ends holds thinks that these are over."""
    ends_us = 1000 * (now_ms() + 3_600_000)
    sending.gate._windows = lambda _cap, _now: Bounds(ends_us - 2 * DAY_US, ends_us - DAY_US, ends_us, ends_us + DAY_US)
    await sending.sender(limits={"rate": "50/s", "daily": 2, "zones": ["Etc/UTC"]})
    sending.start()
    for message_id in await sending.queue("0101", "0102"):
        await sending.until_status(message_id, "sent", "delivered")
    begins_us, ends_us = ends_us - DAY_US, 1000 * now_ms()
    sending.gate._windows = lambda _cap, _now: Bounds(begins_us - DAY_US, begins_us, ends_us, ends_us + DAY_US)
    monkeypatch.setattr(housekeeper, "now_ms", lambda: now_ms() + 1_900)
    sweeping = asyncio.create_task(Housekeeper(sending.database, sending.signals, Settings(), Metrics()).run())

    ids = await sending.queue("0103", "0104")
    for message_id in ids:
        await sending.until_status(message_id, "sent", "delivered")
    sweeping.cancel()

    told = await sending.database.read(lambda tx: events.after(tx, "acme", "live", 0, 99, kind="message.held"))
    assert [event["id"] for event in told if event["id"] in ids] == []
    assert now_ms() * 1000 > ends_us + 2_000_000
