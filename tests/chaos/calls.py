"""The calls of a trial: people who are rung, what the engine was answered, and what is held against the far end's ledger.

The far end's phone notes every INVITE that asks for a person. Each person here is asked for by one call, and by one more where
the job's was busy; so more INVITEs to one person are a call that was dialled twice, whatever identifiers they carry.
"""

import asyncio
from collections import Counter
from random import Random
from typing import Any, Final

from gateway.model.states import CALL_FINALS
from tests.chaos.engine import Engine
from tests.chaos.world import SENDER, World

_PLAN: Final = """
name: chaos
language: en-US
start: notice
nodes:
  notice:
    menu:
      prompt: {say: "The water is off. Press 1 for somebody to speak to, 9 to be removed from our list."}
      choices: {"1": agent, "9": remove}
      timeout: 1s
      attempts: 1
      otherwise: bye
  agent: {transfer: {to: "+16462990601", ring: 10s}, on_failure: bye}
  remove: {opt_out: tenant, then: hangup}
  bye: {outcome: heard, then: hangup}
"""
_DESK: Final = "+16462990601"  # whom those who press 1 are put through to, over a second leg; hangs up after 2 s
_PRESSES_1: Final = "0101"
# What a person does (docs/practice.md): takes it, presses 1, is busy, hangs up at once, into the prompt, declines, answers without ringing.
_ENDINGS: Final = ("1000", "0101", "0400", "0600", "0601", "0402", "0602", "1001")
_AGAIN: Final = {"busy": {"after": "1s", "attempts": 1}}  # who is busy is rung once more, by the job
_ENDS: Final = frozenset(f"call.{state}" for state in CALL_FINALS)
_SETTLED_S: Final = 75.0
_IN_JOB: Final = 0.6


class Calls:
    """Hands calls over beside the texts, waits for their ends, and judges them."""

    def __init__(self, world: World, engine: Engine, dice: Random, people: int) -> None:
        """`people`: how many are rung, most of them by one job."""
        self._world = world
        self._engine = engine
        self.people = [f"+1646{200 + number // 8}{_ENDINGS[number % 8]}" for number in range(people)]
        dice.shuffle(self.people)
        self._accepted: dict[str, int] = {}  # people by the reference under which they were accepted

    async def work(self) -> None:
        """Publish the plan, and hand over a job and single calls."""
        world, half = self._world, int(len(self.people) * _IN_JOB)
        await world.sure("PUT", "/v1/dialplans/chaos", _PLAN)
        job = {"channel": "voice", "recipients": [{"to": person} for person in self.people[:half]], "retries": _AGAIN}
        await asyncio.gather(
            self._hand_over("/v1/jobs", "calls", half, {**job, "call": {"dialplan": "chaos"}}), self._singles(half)
        )

    async def _singles(self, first: int) -> None:
        for number, person in enumerate(self.people[first:]):
            await self._hand_over("/v1/calls", f"call-{number}", 1, {"to": person, "dialplan": "chaos"})

    async def _hand_over(self, path: str, reference: str, people: int, body: dict[str, Any]) -> None:
        told = {"from": SENDER, "reference": reference, "callback_url": self._engine.callback_url}
        await self._world.sure("POST", path, {**body, **told}, **{"Idempotency-Key": reference})
        self._accepted[reference] = people

    async def faults(self) -> list[str]:
        """Wait for the ends, and tell what is wrong."""

        async def ended() -> bool:
            return all(each["status"] in CALL_FINALS for each in await self._rows())

        async def told() -> bool:
            return not await self._untold()

        await self._world.until(ended, _SETTLED_S)
        await self._world.until(told, 15)
        rows, rung = await self._rows(), Counter(self._world.invited())
        self._world.note(f"calls: {dict(Counter(each['status'] for each in rows))}, {sum(rung.values())} INVITEs")
        wrong = [*self._lost(rows), *self._followed(rows), *await self._ended_once(rows), *self._twice(rows, rung)]
        return [*wrong, *await self._untold()]

    def _lost(self, rows: list[Any]) -> list[str]:
        kept = Counter(each["reference"] or "calls" for each in rows if each["first_id"] is None)
        return [
            f"P1 lost: {count} calls were accepted as {reference}, {kept[reference]} are there"
            for reference, count in self._accepted.items()
            if kept[reference] != count
        ]

    def _followed(self, rows: list[Any]) -> list[str]:
        """Each busy call of the job has one further attempt, and no other call has one."""
        followed = Counter(each["first_id"] for each in rows if each["first_id"] is not None)
        busy = {each["id"] for each in rows if each["job_id"] and each["status"] == "busy" and each["first_id"] is None}
        return [f"P1 attempts: {each} has {followed[each]}" for each in busy if followed[each] != 1] + [
            f"P2 attempts: {each} was not busy, and was followed" for each in followed.keys() - busy
        ]

    async def _ended_once(self, rows: list[Any]) -> list[str]:
        events = await self._all("/v1/events", "next_after", "after")
        ends = Counter(each["id"] for each in events if each["type"] in _ENDS)
        open_ones = [f"P1 not_ended: {each['id']} is {each['status']}" for each in rows if not _is_over(each)]
        wrong = [each for each in rows if _is_over(each) and ends[each["id"]] != 1]
        return open_ones + [f"P1 ended_again: {each['id']} has {ends[each['id']]} ends" for each in wrong]

    def _twice(self, rows: list[Any], rung: Counter[str]) -> list[str]:
        calls = Counter(each["to"] for each in rows)
        calls[_DESK] = sum(person.endswith(_PRESSES_1) for person in calls.elements())
        strangers = rung.keys() - {*self.people, _DESK}
        silent = {each["to"] for each in rows if each["status"] in {"completed", "busy"}} - rung.keys()
        return [
            *(
                f"P2 rung_twice: {person[:5]}… got {count} INVITEs"
                for person, count in rung.items()
                if count > calls[person]
            ),
            *(f"P2 stranger: {person[:5]}… was rung" for person in strangers),
            *(f"P1 never_arrived: {person[:5]}… was never rung" for person in silent),
        ]

    async def _untold(self) -> list[str]:
        told = {(each["id"], each["type"]) for each in self._engine.told}
        ends = {(each["id"], f"call.{each['status']}") for each in await self._rows()}
        return [f"P7 untold: {each} {kind}" for each, kind in sorted(ends - told)[:5]]

    async def _rows(self) -> list[Any]:
        return await self._all("/v1/calls", "next_cursor", "cursor")

    async def _all(self, path: str, following: str, word: str) -> list[Any]:
        found: list[Any] = []
        page = await self._world.sure("GET", path)
        while page["items"]:
            found += page["items"]
            if not page[following]:
                break
            page = await self._world.sure("GET", f"{path}{'&' if '?' in path else '?'}{word}={page[following]}")
        return found


def _is_over(row: Any) -> bool:
    return row["status"] in CALL_FINALS
