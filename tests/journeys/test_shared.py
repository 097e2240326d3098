"""One PostgreSQL and one Redis, the roles in processes of their own: drained and restarted one at a time, or killed."""

import asyncio
import contextlib
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from gateway.limits.valkey import EmbeddedValkey
from gateway.store import keys
from gateway.store.database import Database, migrations
from tests.journeys.conftest import HOME, SENDER, TOKEN, Stage, child
from tests.peers.ports import free_port

pytestmark = pytest.mark.journey


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    server = EmbeddedValkey(tmp_path / "valkey")
    yield asyncio.run(server.start())
    asyncio.run(server.stop())


@dataclass
class Host:
    """One process with its roles; it may be ended and begun again."""

    roles: str
    stage: Stage
    port: int = 0
    home: Path = HOME
    process: Any = None
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    async def start(self) -> None:
        data = self.stage.folder / self.roles.replace(",", "-")
        words = ["serve", "--roles", self.roles, "--port", str(self.port), "--data-dir", str(data)]
        self.process, ready = await asyncio.to_thread(
            self.stack.enter_context, child(words, self.stage.settings, self.stage.log, self.home)
        )
        self.url = ready["url"]

    async def end(self, signum: int) -> int:
        self.process.send_signal(signum)
        return int(await asyncio.to_thread(self.process.wait, 30))


class Shared(Stage):
    """The stage, with a database that several processes work on."""

    database_url: str

    async def states_now(self) -> Counter[str]:
        connection = await asyncpg.connect(self.database_url)
        try:
            rows = await connection.fetch("SELECT status, COUNT(*) AS n FROM messages GROUP BY 1")
        finally:
            await connection.close()
        return Counter({row["status"]: row["n"] for row in rows})

    async def schema_version(self) -> int:
        connection = await asyncpg.connect(self.database_url)
        try:
            return int(await connection.fetchval("SELECT version FROM schema_version"))
        finally:
            await connection.close()

    async def all_ended(self, timeout_s: float) -> Counter[str]:
        async def check() -> Counter[str]:
            states = await self.states_now()
            return states if not {"queued", "held", "sending", "sent", "unknown"} & states.keys() else Counter()

        found: Counter[str] = await self.until(check, timeout_s)
        return found

    async def all_told(self, timeout_s: float) -> Counter[str]:
        """Wait until what arrived is delivered and the rest is unknown: committed, and its writer died before the wire."""

        async def check() -> Counter[str]:
            states, arrived = await self.states_now(), {each["to"] for each in await self.arrivals()}
            told = states.keys() <= {"delivered", "unknown"} and states["delivered"] == len(arrived)
            return states if told else Counter()

        found: Counter[str] = await self.until(check, timeout_s)
        return found


@pytest.fixture
async def shared(tmp_path: Path, far_end: dict[str, Any], postgres_url: str, redis_url: str) -> AsyncIterator[Shared]:
    async with Database.open(postgres_url) as database:
        issued = await database.write(lambda tx: keys.issue(tx, "city-water", label="test"))
    settings: dict[str, object] = {
        "database.url": postgres_url.replace("gateway@", ""),
        "database.username": "gateway",
        "redis.url": redis_url,
        "callbacks.secret": "the-same-in-all",
        "callbacks.allow_private": True,
        "twilio.account_sid": far_end["account_sid"],
        "twilio.auth_token": TOKEN,
        "twilio.base_url": far_end["url"],
        "twilio.timeout_s": 2,
        "logs.level": "warning",
    }
    async with aiohttp.ClientSession() as http:
        port = free_port()
        stage = Shared(
            tmp_path, far_end["url"], port, settings | {"public_url": f"http://127.0.0.1:{port}"}, issued.secret, http
        )
        stage.database_url = postgres_url
        await stage.practice("POST", "reset")
        inbound = f"{stage.url}/carriers/twilio/inbound"
        await stage.practice("PUT", f"senders/{SENDER}", {"rate": "200/s", "inbound_url": inbound})
        yield stage


def people(number: int) -> list[str]:
    return [f"+1212555{index:04}" for index in range(2000, 2000 + number)]


@pytest.fixture
def next_release(tmp_path: Path) -> Path:
    """The same programs with one migration more, which adds what migrations may add."""
    there = tmp_path / "next"
    for name in ("gateway", "config"):
        shutil.copytree(HOME / name, there / name)
    last = migrations()[-1][0]
    (there / f"gateway/store/migrations/{last + 1:04}_next.sql").write_text(NEXT)
    return there


NEXT = """
ALTER TABLE messages ADD COLUMN urgency TEXT NOT NULL DEFAULT 'usual';
ALTER TABLE senders ADD COLUMN nickname TEXT;
CREATE INDEX messages_urgent ON messages (urgency) WHERE urgency <> 'usual';
CREATE TABLE nicknames (name TEXT PRIMARY KEY, number TEXT NOT NULL REFERENCES senders (number));
"""


async def test_an_upgrade_one_at_a_time_and_a_kill_lose_nothing_and_send_nothing_twice(
    shared: Shared, next_release: Path
) -> None:
    api, housekeeper = Host("api", shared, shared.port), Host("housekeeper,callbacks", shared)
    workers = [Host("sms", shared), Host("sms,callbacks", shared)]
    with contextlib.ExitStack() as stack:
        for host in (api, housekeeper, *workers):
            stack.enter_context(host.stack)
        await asyncio.gather(*(host.start() for host in (api, housekeeper, *workers)))
        await shared.sender(rate="30/s")  # slow enough for the migration to come between two reports
        job_id = await shared.job(people(200))

        await shared.arrived(20)
        assert await workers[0].end(15) == 0  # drained and begun again, one at a time: what a rolling upgrade is
        workers[0].home = next_release
        await workers[0].start()  # it migrates, while those of the old release send
        assert await shared.schema_version() == migrations()[-1][0] + 1
        await shared.arrived(100)
        assert await workers[1].end(15) == 0
        workers[1].home = next_release
        await workers[1].start()
        await shared.arrived(150)
        await workers[0].end(9)  # that one has every sender again: what it had written is told by reports

        told = await shared.all_told(60)
        again = await shared.must("POST", f"/v1/jobs/{job_id}/settle", {"as": "resend"})  # a person: they never left
        ended = await shared.all_ended(60)
        arrivals = await shared.arrivals()
        ready = [await shared.ask("GET", "/readyz")]
        async with shared.http.get(f"{workers[1].url}/v1/jobs") as answer:
            closed = answer.status

    assert again == {"job_id": job_id, "settled": told["unknown"]}
    # What is committed leaves within 200 ms. After a hand-over the line makes up what nobody took, so that these may
    # hold all that the rolling second allows, and not more.
    assert told["unknown"] <= 30
    assert ended == {"delivered": 200}
    assert Counter(each["to"] for each in arrivals) == Counter(people(200))
    assert ready == [(200, {"status": "ready", "missing": []})]
    assert closed == 404  # a worker serves no API


PLAN = """
name: bill
language: en-US
start: ask
nodes:
  ask: {menu: {prompt: {say: "Press 9 to end."}, choices: {"9": remove}, timeout: 3s, attempts: 1, otherwise: bye}}
  remove: {opt_out: tenant, then: hangup}
  bye: {say: "Goodbye.", then: hangup}
"""


async def test_a_call_is_dialled_by_one_process_and_talked_to_by_another(shared: Shared) -> None:
    """The carrier's webhooks reach the API; the key that says stop takes back what waits elsewhere."""
    person = "+12125550109"
    api, voice = Host("api", shared, shared.port), Host("voice,sms", shared)
    with contextlib.ExitStack() as stack:
        for host in (api, voice):
            stack.enter_context(host.stack)
        await asyncio.gather(api.start(), voice.start())
        await shared.must(
            "PUT", f"/v1/senders/{SENDER}", {"status": "verified", "voice": "twilio", "keyword_replies": "gateway"}
        )
        headers = {"Authorization": f"Bearer {shared.key}", "Content-Type": "application/yaml"}
        async with shared.http.put(f"{shared.url}/v1/dialplans/bill", data=PLAN, headers=headers) as answer:
            assert answer.status < 300, await answer.text()
        later = {"to": person, "from": SENDER, "body": "Later", "send_at": "2100-01-01T00:00:00Z"}
        text = await shared.must("POST", "/v1/messages", later)
        call = await shared.must("POST", "/v1/calls", {"to": person, "from": SENDER, "dialplan": "bill"})

        async def over() -> Any:
            found = await shared.must("GET", f"/v1/calls/{call['id']}")
            return found if found["status"] not in {"queued", "dialing", "ringing", "answered"} else None

        ended = await shared.until(over, 30)
        waiting = await shared.must("GET", f"/v1/messages/{text['id']}")

    assert (ended["status"], ended["keys"]) == ("completed", "9")
    assert (waiting["status"], waiting["reason"]) == ("cancelled", "opted_out")
