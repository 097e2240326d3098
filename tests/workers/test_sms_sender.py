"""The sender loop over real sockets: the practice far end speaks Twilio's wire and keeps its own ledger."""

import asyncio
import time
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

import gateway.clock
from gateway.clock import now_ms
from gateway.store import opt_outs

on_both = pytest.mark.parametrize("where", ["sqlite", "postgres"], indirect=True)


@on_both
async def test_a_text_is_sent_once_and_its_report_ends_it(sending: Any) -> None:
    (message_id,) = await sending.queue("1234")
    sending.start()

    message = await sending.until_status(message_id, "delivered")

    assert sending.arrived() == [message.recipient]
    assert message.carrier_id is not None
    assert message.sent_ms is not None


@pytest.mark.parametrize(
    ("ending", "status", "reason", "code"),
    [
        ("0001", "undelivered", "unreachable", "30003"),
        ("0004", "undelivered", "filtered", "30007"),
        ("0006", "failed", "carrier_queue_overflow", "30001"),
        ("0030", "failed", "invalid_number", "21211"),
        ("0031", "suppressed", "opted_out_at_carrier", "21610"),
        ("0050", "unknown", "http_500", ""),
        ("0061", "unknown", "timeout", ""),
        ("0062", "unknown", "connection_broken", ""),
    ],
)
async def test_what_the_carrier_says_becomes_one_state_with_its_reason(
    sending: Any, ending: str, status: str, reason: str, code: str
) -> None:
    (message_id,) = await sending.queue(ending)
    sending.start()

    message = await sending.until_status(message_id, status)

    assert (message.reason, message.error_code) == (reason, code)
    assert len(sending.arrived()) == 1


async def test_what_has_no_carrier_waits_and_the_log_does_not_grow_with_it(sending: Any) -> None:
    await sending.sender(carrier="elsewhere")
    ids = await sending.queue("1001", "1002")
    sending.start()

    async def told(_tx: Any) -> bool:
        return sending.signals.gates.get(("messages", "+18005550199", "live"), ("",))[0] == "carrier_not_configured"

    await sending.until(told)
    assert [(await sending.message(each)).status for each in ids] == ["queued", "queued"]
    assert await sending.database.read(lambda tx: tx.value("events_newest")) == 0

    await sending.sender(carrier="twilio")
    await sending.until_status(ids[1], "delivered")


async def test_an_opt_out_that_only_the_carrier_knew_of_is_ours_from_now_on(sending: Any) -> None:
    (refused,) = await sending.queue("0031")
    (waiting,) = await sending.queue("0031", status="held", reason="scheduled", hold_until_ms=now_ms() + 60_000)
    sending.start()

    await sending.until_status(refused, "suppressed")
    (said,) = await sending.database.read(lambda tx: opt_outs.of_person(tx, "acme", "live", "+12125550031"))
    (again,) = await sending.queue("0031")

    assert (said["scope"], said["source"]) == ("+18005550199", "carrier")
    assert (await sending.message(waiting)).status == "cancelled"
    assert (await sending.until_status(again, "suppressed")).reason == "opted_out"
    assert len(sending.arrived()) == 1


@pytest.mark.parametrize("ending", ["0012", "0013", "0014", "0051", "0060", "0063"])
async def test_reports_settle_a_text_whatever_their_order_and_whatever_its_answer_was(
    sending: Any, ending: str
) -> None:
    """Twice, reversed, before the answer, or with no answer at all: delivered, and one copy on the wire."""
    (message_id,) = await sending.queue(ending)
    sending.start()

    await sending.until_status(message_id, "delivered")

    assert len(sending.arrived()) == 1


@on_both
async def test_a_throttled_text_is_offered_again_until_it_is_taken(sending: Any) -> None:
    (message_id,) = await sending.queue("0040")
    sending.start()

    await sending.until_status(message_id, "delivered")

    assert len(sending.arrived()) == 4
    assert Counter(arrival.outcome for arrival in sending.far_end.parts.ledger.arrivals)["accepted"] == 1


@on_both
async def test_a_full_day_holds_the_rest_and_says_until_when(sending: Any) -> None:
    await sending.sender(limits={"rate": "100/s", "daily": 5, "zones": ["America/Los_Angeles"]})
    await sending.queue(*(f"{number:04}" for number in range(1000, 1012)))
    sending.start()

    async def seven_held(tx: Any) -> Any:
        rows = await tx.rows("messages_with_status", status="held", limit=99)
        return rows if len(rows) == 7 else None

    held = await sending.until(seven_held)

    assert {row["reason"] for row in held} == {"cap_day"}
    assert all(row["hold_until_ms"] > row["created_ms"] for row in held)
    await sending.until(lambda tx: tx.row("messages_with_status", status="delivered", limit=1))
    await sending.stop()
    assert len(sending.arrived()) == 5


async def test_no_rolling_second_holds_more_than_the_rate_at_our_socket(sending: Any) -> None:
    await sending.sender(limits={"rate": "40/s"})
    ids = await sending.queue(*(f"{number:04}" for number in range(1000, 1120)))
    sending.start()
    await sending.until_status(ids[-1], "delivered", timeout_s=15)

    at_ms = sorted([(await sending.message(message_id)).sent_ms for message_id in ids])

    assert len(sending.arrived()) == 120
    assert min(later - earlier for earlier, later in zip(at_ms, at_ms[40:], strict=False)) >= 999  # whole milliseconds


async def test_who_waits_for_a_rate_asks_no_more_often_because_its_host_s_clock_is_ahead_of_redis_s(
    sending: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ahead:
        """A host's clock that is 1.5 s ahead, which is trusted, if it waits for the right moments."""

        monotonic = staticmethod(time.monotonic)

        @staticmethod
        def time_ns() -> int:
            return time.time_ns() + 1_500_000_000

    asked: list[object] = []
    take = sending.gate.take

    async def counted(*words: Any, **more: Any) -> Any:
        asked.append(await take(*words, **more))
        return asked[-1]

    monkeypatch.setattr(gateway.clock, "time", Ahead)
    monkeypatch.setattr(sending.gate, "take", counted)
    await sending.sender(limits={"rate": "1/s"})
    ids = await sending.queue("1234", "1235")
    sending.start()

    for each in ids:
        await sending.until_status(each, "delivered")

    assert len(asked) < 15  # it was once a millisecond


async def test_a_message_of_three_segments_takes_the_time_of_three(sending: Any) -> None:
    await sending.sender(limits={"rate": "30/s"})
    ids = await sending.queue(*(f"{number:04}" for number in range(1000, 1030)), segments=3)
    sending.start()
    await sending.until_status(ids[-1], "delivered", timeout_s=15)

    at_ms = sorted([(await sending.message(message_id)).sent_ms for message_id in ids])

    assert min(later - earlier for earlier, later in zip(at_ms, at_ms[10:], strict=False)) >= 999


async def test_redis_away_sends_nothing_and_loses_nothing(sending: Any) -> None:
    from gateway.limits.gate import Gate
    from gateway.limits.server import connect

    sending.counters._gate = Gate(connect("unix:///nonexistent/valkey.sock"))
    (message_id,) = await sending.queue("1234")
    sending.start()

    async def noted(_tx: Any) -> Any:
        return sending.signals.gates.get(("messages", "+18005550199", "live"))

    assert await sending.until(noted) == ("redis_away", None)
    assert (await sending.message(message_id)).status == "queued"
    assert sending.arrived() == []


async def test_a_last_text_that_is_throttled_waits_longer_each_time(sending: Any) -> None:
    """Nothing else is queued, so the loop ends between the offers; what it learned does not."""
    await sending.queue("0041")
    sending.start()

    async def five(_tx: Any) -> bool:
        return len(sending.arrived()) == 5

    await sending.until(five)

    at_s = [arrival.at_s for arrival in sending.far_end.parts.ledger.arrivals]
    waits_s = [later - earlier for earlier, later in pairwise(at_s)]
    assert all(wait_s > least_s for wait_s, least_s in zip(waits_s, (0.09, 0.18, 0.36, 0.72), strict=True))


async def test_one_burst_of_throttled_texts_is_one_reason_to_wait(sending: Any) -> None:
    worker = sending.start()
    sending.far_end.parts.faults.set({"fail_status": 429})
    ids = await sending.queue(*(f"{number:04}" for number in range(1000, 1010)))
    await sending.until_status(ids[-1], "sending")

    async def all_came(_tx: Any) -> bool:
        return len(sending.arrived()) >= 10

    await sending.until(all_came)
    (loop,) = worker.loops.values()
    health = loop.health["twilio"]
    assert health.failures <= 3

    began = len(sending.arrived())
    await asyncio.sleep(1)
    assert len(sending.arrived()) - began <= 40  # again after 0.1, 0.2, 0.4, 0.8 s
    health.failures = 2000  # hours of it
    sending.far_end.parts.faults.set({"fail_status": 0})
    await sending.until_status(ids[-1], "delivered", timeout_s=15)
