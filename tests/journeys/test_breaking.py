"""The promises on a text's way, by breaking things: real processes, real sockets, and the far end's own ledger."""

import asyncio
import hashlib
import hmac
import json
import random
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from redis.asyncio import Redis

pytestmark = pytest.mark.journey

SENDER = "+18005550199"
FINALS = {"delivered", "undelivered", "failed", "expired", "cancelled", "suppressed", "unknown", "held"}
JITTER_MS = 25  # between our socket and the moment the far end's own process looks at its clock


def people(number: int, first: int = 1000) -> list[str]:
    """Numbers that simply take a text."""
    return [f"+1212555{ending:04}" for ending in range(first, first + number)]


async def accepted_once(stage: Any) -> list[dict[str, Any]]:
    """What the far end has accepted; no message twice, and nothing passed the rate."""
    accepted: list[dict[str, Any]] = await stage.arrivals("accepted")
    copies = Counter(each["status_callback"] for each in accepted)
    assert [each for each, number in copies.items() if number > 1] == []
    for sender in (await stage.practice("GET", "rates"))["senders"]:
        assert sender["tightest_s"] is None or sender["tightest_s"] > 1 - JITTER_MS / 1000, sender
    return accepted


# --- kills


async def test_killed_at_any_moment_it_loses_nothing_sends_nothing_twice_and_keeps_its_cap(stage: Any) -> None:
    seed = time.time_ns() % 10_000
    print(f"seed {seed}")  # noqa: T201 - to run it again
    dice = random.Random(seed)
    await stage.sender(rate="200/s", daily=300)
    job = await stage.job(people(400))
    for first, last in ((1, 120), (130, 220)):
        await stage.arrived(dice.randint(first, last))
        await stage.kill()
        on_their_way = [row["id"] for row in stage.rows("SELECT id FROM messages WHERE status = 'sending'")]
        await stage.start()
        states = {row["id"]: row["status"] for row in stage.rows("SELECT id, status FROM messages")}
        assert {states[each] for each in on_their_way} <= {"unknown", "delivered"}

    await stage.settled(but=("held", "sent"))
    await stage.reports_for_all()

    accepted = await accepted_once(stage)
    states = stage.states()
    assert sum(states.values()) == 400
    assert states.keys() <= FINALS
    assert states["delivered"] == len(accepted) <= 300
    assert states["held"] >= 100  # what was granted and not committed when it was killed is spent
    delivered = {each["status_callback"].partition("?id=")[2] for each in accepted}
    assert {row["id"] for row in stage.rows("SELECT id FROM messages WHERE status = 'delivered'")} == delivered

    await stage.sender(rate="200/s", daily=1000)

    async def completed() -> bool:
        return (await stage.must("GET", f"/v1/jobs/{job}"))["status"] == "completed"

    await stage.until(completed)
    assert len(await accepted_once(stage)) == 400 - stage.states()["unknown"]


async def test_a_clean_stop_in_the_midst_leaves_nothing_unknown(stage: Any) -> None:
    await stage.job(people(200))
    await stage.arrived(80)

    assert await stage.stop() == 0
    stopped = stage.states()
    assert stopped.keys() <= {"queued", "sent", "delivered"}
    assert stopped["sent"] + stopped["delivered"] == len(await stage.arrivals("accepted"))

    await stage.start()
    await stage.settled(but=("sent",))
    await stage.reports_for_all()
    assert stage.states() == {"delivered": 200}
    assert len(await accepted_once(stage)) == 200


# --- Redis


async def test_whatever_becomes_of_redis_no_cap_is_passed_and_nothing_is_lost(stage: Any) -> None:
    """Killed while it is asked, flushed while it is asked, its files deleted between two lives."""
    await stage.sender(rate="200/s", daily=170)
    await stage.job(people(140))
    await stage.arrived(20)
    stage.valkey().kill()
    await stage.arrived(90)
    redis = Redis(unix_socket_path=str(stage.folder / "data" / "valkey" / "valkey.sock"))
    await redis.flushall()
    await redis.aclose()
    await stage.settled(but=("sent",))

    await stage.stop()
    shutil.rmtree(stage.folder / "data" / "valkey")
    await stage.start()
    await stage.job(people(70, 3000))
    await stage.settled(but=("held", "sent"))
    await stage.reports_for_all()

    accepted = await accepted_once(stage)
    assert 140 < len(accepted) <= 170
    assert stage.states() == {"delivered": len(accepted), "held": 210 - len(accepted)}


# --- the carrier


async def test_carrier_trouble_of_every_kind_ends_in_its_state_and_makes_no_second_copy(stage: Any) -> None:
    """One after the other on one gateway; each lot has numbers of its own."""
    lots = {
        "slow": ({"latency_s": 0.7}, "delivered"),
        "silent": ({"silence": True}, "delivered"),
        "silent for good": ({"silence": True, "mute": True}, "unknown"),
        "resets": ({"reset": True}, "unknown"),
        "500s": ({"fail_status": 500}, "unknown"),
    }
    for place, (name, (fault, state)) in enumerate(lots.items()):
        await stage.practice("PUT", "faults", fault)
        job = await stage.job(people(20, 1000 + 100 * place))
        await stage.settled()
        counts = (await stage.must("GET", f"/v1/jobs/{job}"))["counts"]["by_state"]
        assert counts == {state: 20}, name
        off = {key: type(value)() for key, value in fault.items()}
        await stage.practice("PUT", "faults", off)

    for place, fault in enumerate(({"fail_status": 429}, {"fail_status": 401}), start=7):
        await stage.practice("PUT", "faults", fault)
        before = len(await stage.arrivals())
        job = await stage.job(people(20, 1000 + 100 * place))
        await asyncio.sleep(1)
        during = len(await stage.arrivals()) - before
        await stage.practice("PUT", "faults", {"fail_status": 0})
        await stage.settled()
        counts = (await stage.must("GET", f"/v1/jobs/{job}"))["counts"]["by_state"]
        assert counts == {"delivered": 20}
        assert during <= 100  # at once, and after 0.1, 0.2, 0.4 s
    await accepted_once(stage)


# --- stop


async def test_nobody_is_texted_after_their_stop_was_acknowledged_save_the_confirmation(stage: Any) -> None:
    dice = random.Random(7)
    for _ in range(3):
        await stage.job(people(100))
    await stage.arrived(1)
    acknowledged: dict[str, float] = {}

    async def says_stop(person: str, number: int) -> None:
        await asyncio.sleep(dice.uniform(0, 1.4))
        assert await stage.text_in(person, "Stop", f"SMstop{number}") == 200
        acknowledged[person] = time.time() * 1000

    await asyncio.gather(*(says_stop(person, number) for number, person in enumerate(people(100))))
    await stage.settled()

    words = hashlib.sha256(b"Your water is off").hexdigest()
    arrivals = await stage.arrivals()
    late = [
        (each["to"], each["at_ms"] - acknowledged[each["to"]])
        for each in arrivals
        if each["body_sha256"] == words and each["at_ms"] > acknowledged[each["to"]]
    ]
    assert [each for each in late if each[1] > JITTER_MS] == []
    confirmations = Counter(each["to"] for each in arrivals if each["body_sha256"] != words)
    assert confirmations == dict.fromkeys(people(100), 1)
    states = stage.states()
    assert states["cancelled"] + states["suppressed"] > 50
    await accepted_once(stage)


# --- webhooks


async def test_webhooks_twice_and_in_any_order_have_one_effect_and_unsigned_ones_none(stage: Any) -> None:
    await stage.practice("PUT", "faults", {"duplicate": True, "reorder": True})
    await stage.job([*people(40), "+12125550012", "+12125550013", "+12125550023"])
    await stage.settled()
    assert stage.states() == {"delivered": 43}

    async def replied() -> bool:
        return bool(stage.rows("SELECT 1 FROM inbound"))

    await stage.until(replied)
    told = stage.rows("SELECT subject, COUNT(*) n FROM events WHERE type = 'message.delivered' GROUP BY 1")
    assert {row["n"] for row in told} == {1}
    assert len(told) == 43

    (one,) = stage.rows("SELECT id, carrier_id, recipient FROM messages LIMIT 1")
    for status in ("undelivered", "failed", "sent", "delivered", "delivered"):
        assert await stage.report(one["id"], one["carrier_id"], status) == 204
    assert (await stage.must("GET", f"/v1/messages/{one['id']}"))["status"] == "delivered"

    for _ in range(2):
        assert await stage.text_in(one["recipient"], "STOP", "SMonce") == 200
    assert await stage.text_in(one["recipient"], "START", "SMagain") == 200
    assert await stage.text_in(one["recipient"], "STOP", "SMonce") == 200
    assert stage.rows("SELECT 1 FROM opt_outs") == []
    assert len(stage.rows("SELECT 1 FROM inbound WHERE person = ?", one["recipient"])) == 2

    said = "SELECT seq FROM events WHERE type = 'inbound.received' OR type LIKE 'opt_out.%'"
    before = len(stage.rows(said))
    form = {"MessageSid": "SMforged", "From": one["recipient"], "To": SENDER, "Body": "STOP"}
    assert await stage.webhook("/carriers/twilio/inbound", form, token="guessed") == 403
    assert await stage.webhook(f"/carriers/twilio/status?id={one['id']}", form, token="guessed") == 403
    async with stage.http.post(stage.url + "/carriers/twilio/inbound", data=form) as answer:
        assert answer.status == 403
    assert stage.rows("SELECT 1 FROM opt_outs") == []
    assert len(stage.rows(said)) == before


# --- pause and cancel


async def test_a_pause_and_a_cancel_take_effect_at_once(stage: Any) -> None:
    job = await stage.job(people(300))
    await stage.arrived(60)
    await stage.must("POST", f"/v1/jobs/{job}/pause")
    paused_ms = time.time() * 1000
    counts = (await stage.must("GET", f"/v1/jobs/{job}"))["counts"]["by_state"]
    assert counts.get("queued", 0) == 0
    await stage.settled(but=("held",))
    await asyncio.sleep(0.5)
    late = [each["at_ms"] - paused_ms for each in await stage.arrivals() if each["at_ms"] > paused_ms]
    assert [each for each in late if each > JITTER_MS] == []

    await stage.must("POST", f"/v1/jobs/{job}/resume")
    await stage.arrived(150)
    await stage.must("POST", f"/v1/jobs/{job}/cancel")
    cancelled_ms = time.time() * 1000
    await stage.settled()
    late = [each["at_ms"] - cancelled_ms for each in await stage.arrivals() if each["at_ms"] > cancelled_ms]
    assert [each for each in late if each > JITTER_MS] == []
    accepted = await accepted_once(stage)
    assert stage.states() == {"delivered": len(accepted), "cancelled": 300 - len(accepted)}


# --- callbacks


@asynccontextmanager
async def engine(port: int, secret: str, *, stumbles: int) -> AsyncIterator[list[dict[str, Any]]]:
    """An engine that fails a few times first; gives the events it took, their signatures checked."""
    taken: list[dict[str, Any]] = []
    failed = iter(range(stumbles))

    async def told(request: web.Request) -> web.Response:
        body = await request.read()
        at, _, given = request.headers["Gateway-Signature"].partition(",v1=")
        digest = hmac.new(secret.encode(), at.removeprefix("t=").encode() + b"." + body, hashlib.sha256)
        assert hmac.compare_digest(digest.hexdigest(), given)
        if next(failed, None) is not None:
            return web.Response(status=503)
        taken.append(json.loads(body))
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/told", told)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield taken
    finally:
        await runner.cleanup()


async def test_an_engine_that_was_down_is_told_everything_later(stage: Any) -> None:
    port = stage.free_port()
    await stage.job(people(30), callback_url=f"http://127.0.0.1:{port}/told")
    await stage.settled()
    await stage.kill()
    await stage.start()
    due = {row["seq"] for row in stage.rows("SELECT seq FROM events WHERE callback_due_ms IS NOT NULL")}
    secret = (stage.folder / "data" / "callback.secret").read_text()
    async with engine(port, secret, stumbles=5) as taken:

        async def all_told() -> bool:
            return not stage.rows("SELECT 1 FROM events WHERE callback_due_ms IS NOT NULL")

        await stage.until(all_told)

    assert due <= {each["seq"] for each in taken}
    kinds = Counter(each["type"] for each in taken)
    assert kinds["message.delivered"] >= 30
    assert kinds["job.completed"] >= 1
