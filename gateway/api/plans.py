"""Dialplans as the API uses them: read from their published versions, each once, and checked off the event loop."""

import asyncio
from functools import lru_cache

from gateway.api.operation import Call
from gateway.errors.api import FieldProblem, InvalidRequest
from gateway.errors.voice import BadDialplan, BadVariables, PlanProblem
from gateway.model.job import Category
from gateway.speech.prompts import TenantPrompts
from gateway.store import dialplans
from gateway.voice import disclosure, exemptions, values
from gateway.voice.cases import faults
from gateway.voice.check import check, load_checked
from gateway.voice.dialplan import Plan
from gateway.voice.loader import load


def file_of(name: str) -> str:
    """What a plan's file is called in problems."""
    return f"{name}.yaml"


@lru_cache(maxsize=64)
def _loaded(source: str, file: str) -> Plan:
    return load(source, file=file)


async def published(call: Call, name: str, field: str, version: int | None = None) -> tuple[int, Plan]:
    """A tenant's plan: that version, or the newest. Raises InvalidRequest at `field` when there is none."""
    tenant_id = call.key.tenant_id
    found = await call.doors.database.read(lambda tx: dialplans.source_of(tx, tenant_id, name, version))
    if found is None:
        detail = (
            "no dialplan of this name is published; do so by PUT /v1/dialplans/{name} or `gateway dialplan publish`"
        )
        raise InvalidRequest(FieldProblem(field, "unknown_dialplan", detail))
    number, source = found
    return number, await asyncio.to_thread(_loaded, source, file_of(name))


async def for_calling(call: Call, name: str, field: str, *, category: Category | None) -> tuple[int, Plan]:
    """The newest version of a plan that may place calls, and those of a broadcast of that category if it is for one.

    Raises: InvalidRequest at `field`; BadDialplan for a plan that lost a prompt, has no opt-out key, or does not say
            what the category demands.
    """
    version, plan = await published(call, name, field)
    if plan.inbound:
        raise InvalidRequest(FieldProblem(field, "inbound_dialplan", "this dialplan answers calls, it places none"))
    found = check(plan, prompts=call.doors.prompts.of(call.key.tenant_id).names, broadcast=category is not None)
    if category is not None and not any(each.severity == "error" for each in found):
        found += disclosure.problems(plan, {}, category) + exemptions.problems(plan, {}, category)
    wrong = [each for each in found if each.severity == "error"]
    if wrong:
        raise BadDialplan(tuple(wrong))
    return version, plan


def check_variables(plan: Plan, variables: dict[str, str], *, at: str = "variables", are_all: bool = True) -> None:
    """Raise InvalidRequest with an entry for each variable that does not fit the plan, or that it does not declare.

    are_all: False for what a whole job has in common; its recipients give the rest.
    """
    try:
        values.check(plan, variables, are_all=are_all)
    except BadVariables as error:
        raise InvalidRequest(
            *(FieldProblem(f"{at}.{name}", error.slug, why) for name, why in error.problems.items())
        ) from None


def checked(
    source: str, name: str, prompts: TenantPrompts, tests: str = "", *, by_twilio: bool
) -> tuple[Plan, tuple[PlanProblem, ...]]:
    """Read and check a plan that is to be published. It may take a second: call it in a thread.

    tests:   the tests that stand beside it; it must pass them. by_twilio: whether its calls may go over Twilio.
    Returns: the plan and its warnings.
    Raises:  BadDialplan with all that is wrong; also where the plan calls itself otherwise than `name`.
    """
    plan, warnings = load_checked(source, file=file_of(name), prompts=prompts.names, by_twilio=by_twilio)
    if plan.name != name:
        told = f"'name' is {plan.name!r}, and the plan is to be published as {name!r}"
        raise BadDialplan((PlanProblem(file_of(name), 1, None, told),))
    failed = faults(plan, tests, file=f"{name}.test.yaml") if tests.strip() else ()
    if failed:
        raise BadDialplan(failed)
    return plan, warnings
