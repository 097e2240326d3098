"""What a job says to everybody: its `message` or its `call`, resolved once and kept with the job.

People streamed in later get the same words: a template that is edited meanwhile changes nothing.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from gateway.api import plans
from gateway.api.inputs import Duration, Input, Name, Text, Variables, refuse
from gateway.api.operation import Call
from gateway.api.people import CallPeople, People, TextPeople
from gateway.api.problems import told_at
from gateway.api.wording import wording
from gateway.campaign.hours import DAYS, is_zone, read
from gateway.campaign.retry import MOST_ATTEMPTS, too_many
from gateway.errors.api import FieldProblem, InvalidRequest
from gateway.model.call import Call as CallRecord
from gateway.model.job import Category, Job
from gateway.model.message import Message
from gateway.sms.wording import kept
from gateway.store.records import to_row

Outcome = Literal["busy", "no_answer", "machine", "failed"]


class JobMessage(Input):
    """What everybody is written: a body or a saved template, with `{{ name }}` for each person's variables."""

    body: Text | None = None
    template: Name | None = None
    signature: Name | None = None
    smart_encoding: bool = False


class JobCall(Input):
    """What everybody is called with. `variables` hold for all; a recipient's own go before them."""

    dialplan: Name
    variables: Variables = Field(default_factory=dict)


class Hours(Input):
    """When people may be called, by the clocks of every time zone that their number stands for; or of one `zone`."""

    model_config = ConfigDict(**Input.model_config, validate_by_name=True)

    from_: str = Field(alias="from", examples=["09:00"])
    to: str = Field(examples=["20:00"])
    days: list[str] = Field(default_factory=lambda: list(DAYS))
    zone: str | None = Field(None, description="An IANA name. Null: the zones of each person's number, all of them.")

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        try:
            read(self.from_, self.to, self.days)
        except ValueError as error:
            raise refuse("bad_hours", str(error)) from None
        if self.zone is not None and not is_zone(self.zone):
            raise refuse("unknown_zone", "there is no such time zone; they are named like America/New_York")
        return self


class Retry(Input):
    """What follows a call that ended so: `attempts` more calls, each `after` the last; then a text, if there is one."""

    after: Duration = Field("0s", description="How long after the end of the call: 30s, 5m, 1h; at most 7d.")
    attempts: int = Field(0, ge=0, le=MOST_ATTEMPTS, description="How many further calls this outcome may bring.")
    number: Literal["same", "next"] = Field("same", description="`next`: the person's other numbers, in turn.")
    text: JobMessage | None = Field(None, description="Written to the number just called when no attempt is left.")

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.attempts and self.text is None:
            raise refuse("missing_field", "a rule has attempts, a text, or both; this one does nothing")
        if not self.attempts and self.number == "next":
            raise refuse("missing_field", "another number is called only where the rule has attempts")
        return self


async def of_message(call: Call, message: JobMessage, at: str = "message.") -> dict[str, Any]:
    """The spec of an SMS job; `at` is where in the request it stands. Raises InvalidRequest."""
    words = await wording(
        call,
        body=message.body,
        name=message.template,
        signature=message.signature,
        smart_encoding=message.smart_encoding,
        fills=True,
        at=at,
    )
    if words.template is not None and not words.template.names:
        with told_at(f"{at}body"):
            words.of({})  # the same for everybody: no recipient is to blame
    return {**message.model_dump(), "text": words.body, "signed": words.signature}


async def of_call(call: Call, said: JobCall, category: Category) -> dict[str, Any]:
    """The spec of a voice job, with the dialplan's version pinned. Raises InvalidRequest, BadDialplan."""
    version, plan = await plans.for_calling(call, said.dialplan, "call.dialplan", category=category)
    plans.check_variables(plan, said.variables, at="call.variables", are_all=False)
    return {**said.model_dump(), "version": version}


async def of_retries(call: Call, said: Mapping[Outcome, Retry]) -> dict[str, dict[str, Any]]:
    """What follows each outcome of a voice job's calls, its texts resolved. Raises InvalidRequest."""
    return {
        outcome: {**rule.model_dump(), "text": await _words(call, rule.text, f"retries.{outcome}.text.")}
        for outcome, rule in said.items()
    }


async def check_retries(
    call: Call, spec: Mapping[str, Any], retries: Mapping[str, Mapping[str, Any]], category: Category
) -> None:
    """Raise InvalidRequest where a voice job's calls would leave messages more often than its category may."""
    _, plan = await plans.published(call, spec["dialplan"], "call.dialplan", spec["version"])
    wrong = [*too_many(retries, category, leaves=plan.machine.action != "hangup")]
    if wrong:
        raise InvalidRequest(*(FieldProblem(field, "too_many_messages", why) for field, why in wrong))


async def _words(call: Call, text: JobMessage | None, at: str) -> dict[str, Any] | None:
    return await of_message(call, text, at) if text is not None else None


async def people_of(
    call: Call, channel: str, spec: Mapping[str, Any], retries: Mapping[str, Mapping[str, Any]]
) -> People:
    """Takes the people of a job with this spec and these retries."""
    if channel == "sms":
        return TextPeople(kept(spec))
    _, plan = await plans.published(call, spec["dialplan"], "call.dialplan", spec["version"])
    texts = [kept(rule["text"]) for rule in retries.values() if rule["text"]]
    return CallPeople(plan, spec["variables"], texts)


def base_row(job: Job, start: tuple[str, str, int | None], now_ms: int) -> dict[str, Any]:
    """What all rows of a job have in common. `start`: status, reason and end of hold."""
    status, reason, until_ms = start
    common: dict[str, Any] = {
        "id": "",
        "tenant_id": job.tenant_id,
        "mode": job.mode,
        "sender": job.sender,
        "recipient": "",
        "job_id": job.id,
        "priority": job.priority,
        "status": status,
        "reason": reason,
        "hold_until_ms": until_ms,
        "expires_ms": job.expires_ms,
        "callback_url": job.callback_url,
        "created_ms": now_ms,
        "updated_ms": now_ms,
    }
    if job.channel == "sms":
        return to_row(Message(**common, body="", encoding="", segments=0))
    return to_row(CallRecord(**common, dialplan=str(job.spec["dialplan"]), dialplan_version=_version(job)))


def _version(job: Job) -> int:
    version: Any = job.spec["version"]
    return int(version)
