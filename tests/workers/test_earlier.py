"""A limit that comes in the middle of its window counts what has left in it already: never one too many."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.audit import audit
from gateway.audit_ledgers import Judged
from gateway.audit_read import read_database
from gateway.clock import now_ms
from gateway.limits.profiles import Profiles
from gateway.metrics import Metrics
from gateway.model.limit import Rolling
from gateway.model.scope import Scope
from gateway.model.sender import Sender
from gateway.store import events, keys, lives, scopes
from gateway.store.records import to_record
from gateway.workers import limits_in_force
from gateway.workers.counters import Counters

ROOT = Path(__file__).parents[2]
ZONES = ["America/Los_Angeles"]
PENDING = """
[[profile]]
kind = "toll_free"
status = "verified"
effective_from = 2024-01-31
source = "a test"
open = true

[[profile]]
kind = "toll_free"
status = "pending"
effective_from = 2024-01-31
source = "a test"
daily = 15
weekly = 40
zones = ["America/Los_Angeles", "Etc/GMT+8"]
"""
on_both = pytest.mark.parametrize("where", ["sqlite", "postgres"], indirect=True)


async def leave(sending: Any, *endings: str, **more: Any) -> None:
    """Let texts to these numbers leave, to the end."""
    for each in await sending.queue(*endings, **more):
        await sending.until_status(each, "delivered")


async def outcome(sending: Any, ids: list[str]) -> tuple[int, list[str]]:
    """How many of these were delivered, and why the others are held, once all are either."""
    ended = [await sending.until_status(each, "delivered", "held") for each in ids]
    return sum(each.status == "delivered" for each in ended), [each.reason for each in ended if each.status == "held"]


async def put(sending: Any, kind: str, name: str, status: str = "open", parent: str = "", **limits: Any) -> None:
    scope = Scope("" if kind == "account" else "acme", kind, name, status, parent, limits)
    await sending.database.write(lambda tx: scopes.put(tx, scope))


async def used(sending: Any, key: str) -> int:
    rows = await sending.database.read(lambda tx: tx.rows("audit_usage"))
    return sum(row["used"] for row in rows if row["limit_key"].startswith(key))


async def audited(sending: Any) -> list[str]:
    ledgers = await read_database(sending.database, sending.counters._profiles)
    return [str(each) for each in audit(ledgers, Judged())]


def ten() -> list[str]:
    return [f"{1000 + each}" for each in range(10)]


def eight() -> list[str]:
    return [f"{2000 + each}" for each in range(8)]


@on_both
async def test_of_a_cap_of_15_set_after_10_left_exactly_5_are_left(sending: Any) -> None:
    sending.start()
    await leave(sending, *ten())
    await sending.sender(limits={"rate": "50/s", "daily": 15, "zones": ZONES})

    assert await outcome(sending, await sending.queue(*eight())) == (5, ["cap_day"] * 3)
    assert await audited(sending) == []
    told = await sending.database.read(lambda tx: events.after(tx, "acme", "live", 0, 99, kind="limit.reached"))
    assert [(each["data"]["percent"], each["data"]["used"]) for each in told] == [(80, 15), (100, 15)]


async def test_a_sender_that_falls_back_to_pending_has_what_left_before_in_every_window_of_every_zone(
    sending: Any,
) -> None:
    sending.counters = Counters(sending.gate, sending.database, Profiles.parse(PENDING), Metrics())
    await sending.sender(limits={"rate": "50/s"})
    sending.start()
    await leave(sending, *ten())
    await sending.sender(status="pending")

    assert await outcome(sending, await sending.queue(*eight())) == (5, ["cap_day"] * 3)
    assert await used(sending, "sender:+18005550199:week@Etc/GMT+8") == 15
    assert await audited(sending) == []


@on_both
async def test_a_rolling_limit_and_one_of_each_person_count_what_left_before(sending: Any) -> None:
    sending.start()
    await leave(sending, "1001", "1001", "1002")
    await put(sending, "tenant", "acme", rolling=["6/24h"])
    await put(sending, "recipient", "each", rolling=["2/24h"])

    assert await outcome(sending, await sending.queue("1001")) == (0, ["recipient_limit"])
    assert await outcome(sending, await sending.queue("1002", "1003", "1004")) == (3, [])
    assert await outcome(sending, await sending.queue("1005")) == (0, ["cap_rolling"])
    assert await audited(sending) == []


async def test_a_sender_that_joins_a_campaign_brings_what_it_sent(sending: Any) -> None:
    await put(sending, "campaign", "bills", "score_75", daily=15, zones=ZONES)
    await sending.sender(kind="long_code", limits={"rate": "50/s"})
    sending.start()
    await leave(sending, *ten())
    await sending.sender(campaign="bills")

    assert await outcome(sending, await sending.queue(*eight())) == (5, ["cap_day"] * 3)
    assert await audited(sending) == []


async def test_what_left_is_there_again_after_redis_forgot_and_a_cap_that_was_there_keeps_its_row(sending: Any) -> None:
    sending.start()
    await leave(sending, *ten())
    caps = {"rate": "50/s", "daily": 15, "zones": ZONES}
    await sending.sender(limits=caps)
    assert await outcome(sending, await sending.queue("2001")) == (1, [])
    await sending.gate._server.redis.flushall()
    assert await outcome(sending, await sending.queue("2002")) == (1, [])
    await sending.sender(limits={**caps, "rate": "60/s"})

    assert await outcome(sending, await sending.queue(*eight())) == (3, ["cap_day"] * 5)
    assert await used(sending, "sender:+18005550199:day") == 15


async def test_what_came_back_is_not_counted_and_a_refusal_only_by_attempts(sending: Any) -> None:
    sending.start()
    for refused in await sending.queue("0030", "0030"):
        await sending.until_status(refused, "failed")
    await leave(sending, "1001")
    await put(sending, "tenant", "acme", daily=4, counts="accepted", zones=ZONES)
    await put(sending, "account", "twilio", rolling=["4/24h"])

    assert await outcome(sending, await sending.queue("1002", "1003")) == (1, ["cap_rolling"])
    assert await used(sending, "tenant:acme") == 2
    assert await used(sending, "account:twilio") == 4


async def test_a_cap_that_is_full_from_the_first_moment_is_told_and_lets_nothing_through(sending: Any) -> None:
    sending.start()
    await leave(sending, *ten())
    await sending.sender(limits={"rate": "50/s", "daily": 8, "rolling": ["20/24h"], "zones": ZONES})
    issued = await sending.database.write(lambda tx: keys.issue(tx, "acme"))

    async with aiohttp.ClientSession(sending.url, headers={"Authorization": f"Bearer {issued.secret}"}) as http:
        async with http.get("/v1/senders/+18005550199/usage") as answer:  # before anything is asked for under it
            windows = (await answer.json())["windows"]
        assert [(each["window"], each["used"], each["free"]) for each in windows] == [("day", 10, 0), ("24h", 10, 10)]
        (held,) = ids = await sending.queue("2001")
        assert await outcome(sending, ids) == (0, ["cap_day"])
        async with http.get(f"/v1/messages/{held}/why") as answer:
            assert "8 segments" in (await answer.json())["explanation"]
    told = await sending.database.read(lambda tx: events.after(tx, "acme", "live", 0, 99, kind="limit.reached"))
    assert [(each["data"]["percent"], each["data"]["used"]) for each in told] == [(80, 10), (100, 10)]


async def test_a_text_too_many_that_is_planted_after_a_cap_came_is_found(sending: Any) -> None:
    sending.start()
    await leave(sending, *ten())
    await sending.sender(limits={"rate": "50/s", "daily": 11, "zones": ZONES})
    assert await outcome(sending, await sending.queue("2001")) == (1, [])
    assert await audited(sending) == []
    (planted,) = await sending.queue("2002", status="held", reason="cap_day")

    async def plant(tx: Any) -> None:
        for state in ("queued", "sending", "sent"):
            await lives.move(tx, "messages", [planted], state, now_ms())
        await tx.run("messages_offered", id=planted, sent_ms=now_ms())

    await sending.database.write(plant)
    assert {each.split()[1] for each in await audited(sending)} == {"cap:", "usage_low:"}


async def test_a_row_of_the_limits_file_that_comes_into_force_at_midnight_does_so_in_every_process(
    sending: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = datetime.now(UTC).date()
    rows = PENDING.replace("2024-01-31", "2024-01-01").replace("open = true", 'rolling = ["1000/24h"]', 1)
    later = f"""
[[profile]]
kind = "toll_free"
status = "verified"
effective_from = {today + timedelta(days=1)}
source = "a test"
rolling = ["12/24h"]
"""
    both = [Counters(sending.gate, sending.database, Profiles.parse(rows + later), Metrics()) for _ in range(2)]
    sending.counters, late = both
    await sending.sender(limits={"rate": "50/s"})
    sending.start()
    await leave(sending, *ten())
    row = await sending.database.read(lambda tx: tx.row("senders_one", number="+18005550199"))
    assert row is not None
    sender = to_record(Sender, row)
    assert {
        each.limit for each in (await late._in_force.of_texts(sender, "live")).shared if isinstance(each, Rolling)
    } == {1000}

    monkeypatch.setattr(limits_in_force, "datetime", _Tomorrow)  # the first process's midnight has come
    assert await outcome(sending, await sending.queue("2001", "2002", "2003")) == (2, ["cap_rolling"])
    monkeypatch.undo()
    late._in_force.look_again()
    assert {
        each.limit for each in (await late._in_force.of_texts(sender, "live")).shared if isinstance(each, Rolling)
    } == {12}


class _Tomorrow(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime.now(tz) + timedelta(days=1)
