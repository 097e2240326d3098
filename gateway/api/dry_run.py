"""What a job would do, with nothing stored: who can be reached, what it costs, when it would end."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

from pydantic import Field

from gateway import phone
from gateway.api import limits_of
from gateway.api.estimate import finish
from gateway.api.job_answers import UNUSED, Entries, UnusedVariable, entries, unused
from gateway.api.operation import Call, View
from gateway.api.people import People, TextPeople
from gateway.api.views import when
from gateway.campaign import finish as finishing
from gateway.campaign import hours
from gateway.errors.limits import BadLimits, UnknownProfile
from gateway.model.sender import Sender
from gateway.store import opt_outs
from gateway.store.database import Tx

_NOTICEABLE_MS: Final = 1_000


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
    finish_at: str | None = Field(
        description="When the last would leave, under the rate, the caps and the hours; null: not known. Without "
        "further attempts of calls."
    )
    limited_by: str | None = Field(description="What decides that: rate, cap_day, cap_week, cap_month, hours, blocked.")
    never_in_hours: int = Field(
        description="Of calls: whose number stands for time zones that have no such hour in common. Not in `finish_at`."
    )


@dataclass(frozen=True, slots=True)
class Draft:
    """A job that is only thought of. hours: as `Job.hours`."""

    sender: Sender
    is_voice: bool
    start_ms: int | None
    hours: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Forecast:
    """When it would begin and end, and why then. never: people whom no hour suits."""

    begins_ms: int | None
    ends_ms: int | None
    limited_by: str | None
    never: int = 0


async def dry_run(call: Call, draft: Draft, people: People) -> DryRun:
    """Work out what would happen to these people."""
    said_stop, theirs = await call.doors.database.read(lambda tx: _opted_out(call, tx, draft.sender, people))
    units = people.units - theirs
    ahead = await _ahead(call, draft)
    begins_ms = max(draft.start_ms or 0, call.now_ms)
    if draft.is_voice:
        forecast = await _of_calls(call, draft, people, said_stop, ahead)
    else:
        forecast = await _of_texts(call, draft, ahead + units, begins_ms)
    return DryRun(
        total=people.count + people.left.count,
        accepted=people.count,
        opted_out=len(said_stop),
        invalid=entries(people.left),
        unused_variables=unused(people),
        segments=units,
        encodings=people.encodings if isinstance(people, TextPeople) else {},
        ahead=ahead,
        starts_at=when(forecast.begins_ms),
        finish_at=when(forecast.ends_ms),
        limited_by=forecast.limited_by,
        never_in_hours=forecast.never,
    )


async def _opted_out(call: Call, tx: Tx, sender: Sender, people: People) -> tuple[set[str], int]:
    """Those of them who have said stop, and what theirs would have cost."""
    said_stop: set[str] = set()
    units = 0
    for chunk in people.chunks():
        said = await opt_outs.among(tx, call.key.tenant_id, call.key.mode, sender.number, [each[0] for each in chunk])
        said_stop |= said
        units += sum(each[3] for each in chunk if each[0] in said)
    return said_stop, units


async def _ahead(call: Call, draft: Draft) -> int:
    where = {"sender": draft.sender.number, "mode": call.key.mode}
    waiting = "calls_waiting_of_sender" if draft.is_voice else "messages_waiting_segments"
    return int(await call.doors.database.read(lambda tx: tx.value(waiting, **where)))


async def _of_texts(call: Call, draft: Draft, units: int, begins_ms: int) -> _Forecast:
    try:
        limits = limits_of.of_sender(call.doors, draft.sender, call.key.mode)
    except (UnknownProfile, BadLimits):
        return _Forecast(begins_ms, None, None)
    rate = limits_of.rate_of(limits)
    if limits_of.is_blocked(limits):
        return _Forecast(begins_ms, None, "blocked")
    if not rate:
        return _Forecast(begins_ms, None, None)
    found = finish(units, rate, await limits_of.fullness(call.doors, limits), begins_ms * 1000)
    return _Forecast(begins_ms, found.finish_us // 1000 if found.finish_us is not None else None, found.limited_by)


async def _of_calls(call: Call, draft: Draft, people: People, said_stop: AbstractSet[str], ahead: int) -> _Forecast:
    begins_ms, per_s = max(draft.start_ms or 0, call.now_ms), _calls_per_second(call, draft.sender)
    if not per_s:
        return _Forecast(begins_ms, None, None)
    alone_ms = begins_ms + round((ahead + people.count - len(said_stop)) / per_s * 1000)
    if not draft.hours:
        return _Forecast(begins_ms, alone_ms, "rate")
    found = await asyncio.to_thread(_within_hours, draft.hours, people, said_stop, ahead, per_s, begins_ms)
    is_late = found.ends_ms is None or found.ends_ms > alone_ms + _NOTICEABLE_MS
    return _Forecast(found.begins_ms, found.ends_ms, "hours" if is_late else "rate", found.never)


def _within_hours(
    said: Mapping[str, Any], people: People, said_stop: AbstractSet[str], ahead: int, per_s: float, begins_ms: int
) -> finishing.Finish:
    """100,000 people take about a second: call it in a thread."""
    zone = (said["zone"],) if said["zone"] else None
    counts = Counter(
        zone or phone.zones(each[0]) for chunk in people.chunks() for each in chunk if each[0] not in said_stop
    )
    allowed = hours.read(said["from"], said["to"], said["days"])
    return finishing.within(allowed, counts, ahead=ahead, per_s=per_s, start_ms=begins_ms)


def _calls_per_second(call: Call, sender: Sender) -> float | None:
    settings = call.doors.settings
    if sender.voice == "twilio":
        return settings.twilio.calls_per_second
    trunk = settings.trunks.get(sender.voice)
    return trunk.calls_per_second if trunk is not None else None
