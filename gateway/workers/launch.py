"""Broadcasts before their first call: every prompt rendered and judged; a job that fails is paused, nobody is called.

What passed is remembered in this process alone: after a restart it is looked at again, out of the cache of audio.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import structlog

from gateway.clock import now_ms
from gateway.errors.voice import PlanProblem
from gateway.model.call import Call
from gateway.model.job import Job
from gateway.speech.prompts import Prompts
from gateway.store import jobs
from gateway.store.calls import Plans
from gateway.store.database import Database
from gateway.store.signals import Signals
from gateway.workers.launch_check import launch_check

_REMEMBERED: Final = 10_000  # jobs
_log = structlog.get_logger(__name__)
Verdict = Literal["passed", "refused"]


@dataclass(frozen=True, slots=True)
class Look:
    """One job being looked at. `call_id`: the call whose variables are the sample."""

    call_id: str
    task: asyncio.Task[Verdict]


@dataclass(slots=True)
class Launches:
    """The jobs of all loops of a process. `longest_s`: what one prompt may play."""

    database: Database
    signals: Signals
    prompts: Prompts
    plans: Plans
    longest_s: float
    _passed: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _looks: dict[str, Look] = field(default_factory=dict)

    def begin(self, calls: Sequence[Call]) -> dict[str, Look]:
        """Have the jobs of these looked at that were not yet, each with the variables of its first call here.

        Returns: the look at each such job, by its id; to be given to `over` when it is done.
        """
        of_jobs = [(call.job_id, call) for call in reversed(calls) if call.job_id is not None]
        unseen = {job_id: call for job_id, call in of_jobs if job_id not in self._passed}
        for job_id, call in unseen.items():
            if job_id not in self._looks:
                self._looks[job_id] = Look(call.id, asyncio.create_task(self._look(job_id, call), name="launch"))
        return {job_id: self._looks[job_id] for job_id in unseen}

    def over(self, job_id: str) -> None:
        """Its look is done. Unless it passed, it is looked at again when its calls come up once more."""
        task = self._looks.pop(job_id).task
        if task.exception() is None and task.result() == "passed":
            self._passed[job_id] = None
            while len(self._passed) > _REMEMBERED:
                self._passed.popitem(last=False)

    async def close(self) -> None:
        """Stop looking."""
        tasks = [look.task for look in self._looks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._looks.clear()

    async def _look(self, job_id: str, call: Call) -> Verdict:
        _, plan = await self.plans.get(call.tenant_id, call.dialplan, call.dialplan_version)
        job = await self.database.read(lambda tx: jobs.get(tx, call.tenant_id, call.mode, job_id))
        if job is None:
            return "passed"
        if job.status != "running":
            return "refused"  # nothing of it is to be dialled
        common: Any = job.spec.get("variables")
        checked = await launch_check(
            plan,
            call.variables,
            self.prompts.of(call.tenant_id),
            longest_s=self.longest_s,
            category=job.category,
            common=common,
        )
        return await self._told(job, [_as_dict(problem) for problem in checked.problems], is_refused=checked.is_refused)

    async def _told(self, job: Job, found: list[dict[str, object]], *, is_refused: bool) -> Verdict:
        if is_refused:
            _log.warning("job_paused", reason="launch", job_id=job.id, problems=found)
            await jobs.refuse_launch(self.database, self.signals, job, found, now_ms())
            self.signals.wake("events")
            return "refused"
        if found != list(job.launch):
            await self.database.write(lambda tx: jobs.launched(tx, job, found))
        return "passed"


def _as_dict(problem: PlanProblem) -> dict[str, object]:
    return {"node": problem.node, "line": problem.line, "severity": problem.severity, "text": problem.text}
