"""What a job would do, with nothing stored: who can be reached, what it costs, when it would end."""

from dataclasses import dataclass

from pydantic import Field

from gateway.api import limits_of
from gateway.api.estimate import Estimate, finish
from gateway.api.job_answers import UNUSED, Entries, UnusedVariable, entries, unused
from gateway.api.operation import Call, View
from gateway.api.people import People, TextPeople
from gateway.api.views import when
from gateway.errors.limits import BadLimits, UnknownProfile
from gateway.model.sender import Sender
from gateway.store import opt_outs
from gateway.store.database import Tx


class DryRun(View):
    """The plan of a job. Nothing was stored."""

    dry_run: bool = True
    total: int
    accepted: int = Field(description="Who would be written to or called.")
    opted_out: int = Field(description="Of these who have said stop: they end as `suppressed`.")
    invalid: Entries
    unused_variables: list[UnusedVariable] = Field(description=UNUSED)
    segments: int = Field(description="Of all texts that would be sent; of calls, how many.")
    encodings: dict[str, int] = Field(description="Texts by encoding.")
    ahead: int = Field(description="Segments or calls of this sender that wait already.")
    starts_at: str | None
    finish_at: str | None = Field(description="When the last would leave, under the rate and caps; null: not known.")
    limited_by: str | None = Field(description="What decides that: rate, cap_day, cap_week, cap_month, blocked.")


@dataclass(frozen=True, slots=True)
class Draft:
    """A job that is only thought of."""

    sender: Sender
    is_voice: bool
    start_ms: int | None


async def dry_run(call: Call, draft: Draft, people: People) -> DryRun:
    """Work out what would happen to these people."""
    opted_out, theirs = await call.doors.database.read(lambda tx: _opted_out(call, tx, draft.sender, people))
    units = people.units - theirs
    begins_ms = max(draft.start_ms or 0, call.now_ms)
    ahead, estimate = await _estimate(call, draft, units, begins_ms)
    finish_ms = estimate.finish_us // 1000 if estimate is not None and estimate.finish_us is not None else None
    return DryRun(
        total=people.count + people.left.count,
        accepted=people.count,
        opted_out=opted_out,
        invalid=entries(people.left),
        unused_variables=unused(people),
        segments=units,
        encodings=people.encodings if isinstance(people, TextPeople) else {},
        ahead=ahead,
        starts_at=when(begins_ms),
        finish_at=when(finish_ms),
        limited_by=estimate.limited_by if estimate is not None else None,
    )


async def _opted_out(call: Call, tx: Tx, sender: Sender, people: People) -> tuple[int, int]:
    """How many of them have said stop, and what theirs would have cost."""
    count = units = 0
    for chunk in people.chunks():
        said = await opt_outs.among(tx, call.key.tenant_id, call.key.mode, sender.number, [each[0] for each in chunk])
        count += len(said)
        units += sum(each[3] for each in chunk if each[0] in said)
    return count, units


async def _estimate(call: Call, draft: Draft, units: int, begins_ms: int) -> tuple[int, Estimate | None]:
    where = {"sender": draft.sender.number, "mode": call.key.mode}
    waiting = "calls_waiting_of_sender" if draft.is_voice else "messages_waiting_segments"
    ahead = int(await call.doors.database.read(lambda tx: tx.value(waiting, **where)))
    if draft.is_voice:
        per_s = _calls_per_second(call, draft.sender)
        return ahead, finish(ahead + units, per_s, (), begins_ms * 1000) if per_s else None
    try:
        limits = limits_of.of_sender(call.doors, draft.sender, call.key.mode)
    except (UnknownProfile, BadLimits):
        return ahead, None
    rate = limits_of.rate_of(limits)
    if limits_of.is_blocked(limits):
        return ahead, Estimate(None, "blocked")
    if not rate:
        return ahead, None
    return ahead, finish(ahead + units, rate, await limits_of.fullness(call.doors, limits), begins_ms * 1000)


def _calls_per_second(call: Call, sender: Sender) -> float | None:
    settings = call.doors.settings
    if sender.voice == "twilio":
        return settings.twilio.calls_per_second
    trunk = settings.trunks.get(sender.voice)
    return trunk.calls_per_second if trunk is not None else None
