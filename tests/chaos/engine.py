"""The campaign engine of a trial: hands texts over, says stop for people, and writes down what it was answered.

Its ledger is on disk before it goes on. What gets no answer is asked again, under the same Idempotency-Key.
"""

import asyncio
import hashlib
import hmac
import json
import os
from random import Random
from typing import Any

from aiohttp import web

from tests.chaos.world import CALLBACK_SECRET, SENDER, TENANT, World

WORDS = ("Your water is off", "Your water is off on Monday. " * 8)  # one segment, and two


class Engine:
    """Works on one world until everything is handed over."""

    def __init__(self, world: World, dice: Random, *, people: int, stops: float, jobs: int, share: float) -> None:
        """`stops`: the share of people who say stop meanwhile. `jobs`: how often those of the job are
        written to. `share`: how many of all they are; 0: a third to two thirds.
        """
        self._world = world
        self._dice = dice
        self._jobs = jobs
        self._share = share
        self.people = [f"+1212555{1000 + number}" for number in range(people)]
        self.stops = [person for person in self.people if dice.random() < stops]
        self.ledger = world.folder / "accepted.jsonl"
        self.told: list[dict[str, Any]] = []
        self._file = os.open(self.ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._runner: web.AppRunner | None = None
        self.callback_url = ""

    async def listen(self) -> None:
        """Take callbacks."""
        app = web.Application()
        app.add_routes([web.post("/told", self._told)])
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.callback_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/told"

    async def close(self) -> None:
        """Take no more callbacks."""
        os.close(self._file)
        if self._runner is not None:
            await self._runner.cleanup()

    async def work(self) -> None:
        """Hand over a job of about half the people, then the others one by one, and say the stops meanwhile."""
        half = int(len(self.people) * (self._share or self._dice.uniform(1 / 3, 2 / 3)))
        jobs = (self._job(number, self.people[:half]) for number in range(self._jobs))
        await asyncio.gather(*jobs, self._texts(self.people[half:]), self._say_stops())

    async def _job(self, number: int, people: list[str]) -> None:
        reference = f"job-{number}"
        if self._dice.random() < 0.5:
            await asyncio.sleep(self._dice.uniform(0, 0.5))
        body = {
            "channel": "sms",
            "from": SENDER,
            "message": {"body": self._dice.choice(WORDS)},
            "recipients": [{"to": person} for person in people],
            "reference": reference,
            "on_unknown": self._dice.choice(("rest", "rest", "resend")),
            "callback_url": self.callback_url,
        }
        found = await self._world.sure("POST", "/v1/jobs", body, **{"Idempotency-Key": reference})
        assert found["accepted"] == len(people), found
        self._write({"job_id": found["id"], "people": len(people), "reference": reference})

    async def _texts(self, people: list[str]) -> None:
        for number, person in enumerate(people):
            reference = f"text-{number}"
            body = {
                "to": person,
                "from": SENDER,
                "body": self._dice.choice(WORDS),
                "reference": reference,
                "callback_url": self.callback_url,
            }
            found = await self._world.sure("POST", "/v1/messages", body, **{"Idempotency-Key": reference})
            self._write({"message_id": found["id"], "reference": reference})
            await asyncio.sleep(self._dice.uniform(0, 0.03))

    async def _say_stops(self) -> None:
        await asyncio.gather(*(self._stop(number, person) for number, person in enumerate(self.stops)))

    async def _stop(self, number: int, person: str) -> None:
        await asyncio.sleep(self._dice.uniform(0, 5))
        form = {"MessageSid": f"SMstop{number}", "From": person, "To": SENDER, "Body": "Stop"}
        await self._world.webhook("/carriers/twilio/inbound", form)
        self._write({"stop": person, "tenant_id": TENANT})

    def _write(self, entry: dict[str, object]) -> None:
        line = json.dumps({"at_ms": self._world.now_ms(), **entry}) + "\n"
        os.write(self._file, line.encode())
        os.fsync(self._file)

    async def _told(self, request: web.Request) -> web.Response:
        body = await request.read()
        at, _, given = request.headers["Gateway-Signature"].partition(",v1=")
        digest = hmac.new(
            CALLBACK_SECRET.encode(), at.removeprefix("t=").encode() + b"." + body, hashlib.sha256
        ).hexdigest()
        if not hmac.compare_digest(digest, given):
            return web.Response(status=403)
        self.told.append(json.loads(body))
        return web.Response()
