"""One trunk, one PostgreSQL, one Redis, two processes that call: its limits hold over both, and one is killed."""

import asyncio
import contextlib
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import asyncpg
import pytest

from gateway.model.states import CALL_FINALS
from tests.journeys.conftest import SENDER
from tests.journeys.test_shared import Host, Shared, redis_url, shared
from tests.peers.ports import free_port

__all__ = ["redis_url", "shared"]  # fixtures
pytestmark = pytest.mark.journey

OTHER, PER_SECOND, CHANNELS = "+18005550188", 30, 60
PLAN = """
name: notice
language: en-US
start: ask
nodes:
  ask: {menu: {prompt: {say: "City Water."}, choices: {"1": yes, "9": remove}, timeout: 1s, attempts: 1, otherwise: bye}}
  yes: {outcome: confirmed, then: hangup}
  remove: {opt_out: tenant, then: hangup}
  bye: {say: "Goodbye.", then: hangup}
"""
# busy, never answered, declines, unavailable, no such number, hangs up at once and into the prompt, no ringing,
# presses 1, presses it into the prompt, opts out
ENDINGS = ("0400", "0401", "0402", "0403", "0404", "0600", "0601", "0602", "0101", "0304", "0109")
RETRIES = {"busy": {"after": "2s", "attempts": 1}, "failed": {"after": "1s", "attempts": 1}}


def people(count: int, exchange: int) -> list[str]:
    """Numbers that end in one of `ENDINGS`, each once."""
    return [f"+1212{exchange + at // len(ENDINGS)}{ENDINGS[at % len(ENDINGS)]}" for at in range(count)]


async def rows(shared: Shared, sql: str) -> list[Any]:
    connection = await asyncpg.connect(shared.database_url)
    try:
        return list(await connection.fetch(sql))
    finally:
        await connection.close()


async def job(shared: Shared, sender: str, numbers: list[str]) -> None:
    await shared.must("PUT", f"/v1/senders/{sender}", {"status": "verified", "voice": "main"})
    body = {"channel": "voice", "from": sender, "call": {"dialplan": "notice"}, "retries": RETRIES}
    await shared.must("POST", "/v1/jobs", body | {"recipients": [{"to": number} for number in numbers]})


def at_once(spans: list[tuple[int, int]]) -> int:
    """How many went on at one time at most; where one ends as another begins, they do not overlap."""
    edges = sorted([(begun, 1) for begun, _ in spans] + [(ended, -1) for _, ended in spans])
    going = most = 0
    for _, step in edges:
        going += step
        most = max(most, going)
    return most


async def test_two_processes_share_a_trunks_limits_and_one_that_is_killed_dials_nobody_twice(
    shared: Shared, far_end: dict[str, Any]
) -> None:
    shared.settings |= {
        "trunks.main.host": "127.0.0.1",
        "trunks.main.port": far_end["sip_port"],
        "trunks.main.calls_per_second": PER_SECOND,
        "trunks.main.channels": CHANNELS,
        "trunks.main.ring_timeout_s": 2,
        "trunks.main.machine_detection": "false",
    }
    hosts = [Host("api", shared, shared.port), Host("housekeeper", shared), Host("voice", shared),
             Host("voice,callbacks", shared)]  # fmt: skip
    with contextlib.ExitStack() as stack:
        for host in hosts:
            stack.enter_context(host.stack)
            shared.settings["trunks.main.local_port"] = free_port()
            await host.start()
        headers = {"Authorization": f"Bearer {shared.key}", "Content-Type": "application/yaml"}
        async with shared.http.put(f"{shared.url}/v1/dialplans/notice", data=PLAN, headers=headers) as answer:
            assert answer.status < 300, await answer.text()
        await asyncio.gather(job(shared, SENDER, people(150, 200)), job(shared, OTHER, people(150, 300)))

        async def dialled() -> bool:
            (row,) = await rows(shared, "SELECT COUNT(*) AS n FROM calls WHERE status NOT IN ('queued', 'held')")
            return bool(row["n"] > 100)

        await shared.until(dialled, 60)
        await hosts[2].end(9)

        async def over() -> bool:
            found = await rows(shared, "SELECT status, COUNT(*) AS n FROM calls GROUP BY status")
            return {row["status"] for row in found} <= CALL_FINALS

        await shared.until(over, 120)
        calls = await rows(shared, "SELECT * FROM calls")
        moves = await rows(shared, "SELECT subject, type, at_ms FROM events WHERE type LIKE 'call.%' ORDER BY seq")
    arrived = (await shared.practice("GET", "ledger?limit=100000&channel=sip"))["arrivals"]
    everybody_was_called_as_often_as_is_written(calls, moves, arrived)
    limits_were_kept(moves, arrived)


def everybody_was_called_as_often_as_is_written(calls: list[Any], moves: list[Any], arrived: list[Any]) -> None:
    """Each attempt ended once, and left one INVITE or, where its process was killed, none or one."""
    by_number: defaultdict[str, list[Any]] = defaultdict(list)
    for call in calls:
        by_number[call["recipient"]].append(call)
    invites = Counter(each["to"] for each in arrived)
    finals = Counter((type_of(move), move["subject"]) for move in moves if type_of(move) in CALL_FINALS)
    assert len(by_number) == 300
    assert set(finals.values()) == {1}
    assert len(finals) == len(calls)
    for number, attempts in by_number.items():
        unknown = sum(call["status"] == "unknown" for call in attempts)
        assert len(attempts) - unknown <= invites[number] <= len(attempts), number
        assert sorted(call["attempt"] for call in attempts) == list(range(1, len(attempts) + 1))
    assert 0 < sum(call["status"] == "unknown" for call in calls) <= CHANNELS
    assert Counter(call["attempt"] for call in calls)[2] > 50  # busy and declined ones were called again
    assert all(call["status"] == "busy" for call in by_number["+12122000400"][:1])


def limits_were_kept(moves: list[Any], arrived: list[Any]) -> None:
    starts = sorted(each["at_s"] for each in arrived)
    assert max(sum(first <= at < first + 5 for at in starts) for first in starts) <= 5.5 * PER_SECOND
    assert min(b - a for a, b in pairwise(starts)) > 0
    assert at_once(spans(moves)) <= CHANNELS


def type_of(move: Any) -> str:
    return str(move["type"].partition(".")[2])


def spans(moves: list[Any]) -> list[tuple[int, int]]:
    """From `dialing` to the end of each call, in epoch ms, as the gateway wrote it."""
    begun: dict[str, int] = {}
    found = []
    for move in moves:
        if type_of(move) == "dialing":
            begun[move["subject"]] = move["at_ms"]
        elif type_of(move) in CALL_FINALS and move["subject"] in begun:
            found.append((begun[move["subject"]], move["at_ms"]))
    return found
