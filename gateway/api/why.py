"""Why something waits or ended so: the gate that holds it, and when that opens (promise P6)."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from gateway.api import limits_of
from gateway.api.operation import Call, View
from gateway.api.views import when
from gateway.api.why_words import CALL_ENDED, CAPS, ENDED, HOLDS, IN_CALL, PAUSES, UNDER_WAY
from gateway.clock import monotonic
from gateway.errors.limits import BadLimits, UnknownProfile
from gateway.limits.profiles import kind_of, scope_name
from gateway.model.job import Job
from gateway.model.limit import Cap, Rolling
from gateway.store import attempts, leases, lives, tenants
from gateway.store.database import Row, Tx
from gateway.store.jobs import all_of, things_of
from gateway.store.signals import Things


class Why(View):
    """What holds a message or a call."""

    id: str
    status: str
    waiting_for: str | None = Field(description="The gate that holds it; null: it waits for nothing.")
    opens_at: str | None = Field(description="When that opens, as far as it is known; null: somebody must open it.")
    explanation: str


class HeldFor(View):
    """How many wait for one reason, and when the first of them may go on."""

    reason: str
    count: int
    opens_at: str | None


class JobWhy(Why):
    """What holds a job. `held` has every reason, the most frequent first."""

    held: list[HeldFor]


async def of_one(call: Call, things: Things, row: Row) -> Why:
    """Why one message or call of this caller's is where it is."""
    status = row["status"]
    if status == "queued":
        return await _of_queued(call, things, row)
    if status == "held":
        return await _of_held(call, row)
    if things == "messages" and status == "unknown":
        return await _of_unknown(call, row)
    if things == "messages" and status in UNDER_WAY:
        return _waits(row, UNDER_WAY[status], None)
    if status in IN_CALL:
        return _why(row, None, None, IN_CALL[status] + ".")
    because = f" ({row['reason']})" if row["reason"] and row["reason"] != status else ""
    code = f"; the carrier's code is {row['error_code']}" if row["error_code"] else ""
    ended = _of_ended_call(row) if things == "calls" else ENDED.get(status, status)
    told = f"{ended}{because}{code}."
    if things == "calls" and row["job_id"] is not None:
        told += await _of_next(call, row)
    return _why(row, None, None, told)


def _of_ended_call(row: Row) -> str:
    status, reason = row["status"], row["reason"]
    if status == "failed" and not row["error_code"]:  # it was not the carrier's doing
        return "It broke off" if row["answered_ms"] is not None else "It could not be made"
    known = CALL_ENDED.get((status, reason)) or CALL_ENDED.get((status, ""))
    return known or ENDED.get(status, status)


async def _of_next(call: Call, row: Row) -> str:
    """Which attempt followed a call, if one did."""
    following = await call.doors.database.read(lambda tx: attempts.next_of(tx, row))
    return f" Attempt {following['attempt']} is {following['id']}." if following is not None else ""


async def _of_unknown(call: Call, row: Row) -> Why:
    """Who is asked about it, and when next; or that a person must say what became of it."""
    by_hand = f"Settle it by hand: gateway settle {row['id']} sent|resend|drop"
    if row["reason"] == "absent_at_carrier":
        told = f"The carrier was asked twice and does not have it, and it is not sent again by itself. {by_hand}."
        return _why(row, "settlement", None, told)
    asked = await call.doors.database.read(lambda tx: tx.row("unsettled_one", message_id=row["id"]))
    opens_ms = asked["next_ms"] if asked is not None else None
    trouble = ", which cannot be read just now," if asked is not None and asked["tries"] else ""
    told = f"The carrier never answered. Its report, its own list{trouble} or a person must settle it. {by_hand}."
    return _why(row, "settlement", opens_ms, told)


async def _of_held(call: Call, row: Row) -> Why:
    """A hold of a paused job does not end by itself, whatever it is for."""
    if row["job_id"] is not None and row["reason"] != "paused":
        found = {"id": row["job_id"], "tenant_id": row["tenant_id"], "mode": row["mode"]}
        job = await call.doors.database.read(lambda tx: tx.row("jobs_of_tenant", **found))
        if job is not None and job["status"] == "paused":
            return _waits(row, "paused", None)
    if row["reason"] in CAPS and "segments" in row.keys():  # noqa: SIM118 - a row is no mapping: `in` looks at values
        return await _of_cap(call, row)
    return _waits(row, row["reason"], row["hold_until_ms"])


async def _of_cap(call: Call, row: Row) -> Why:
    """Whose cap has no room for it; of several the smallest."""
    sender = await call.doors.database.read(lambda tx: tenants.sender(tx, row["sender"]))
    try:
        limits = await limits_of.of_all_scopes(call.doors, sender, row["mode"]) if sender is not None else ()
    except (UnknownProfile, BadLimits):
        limits = ()
    caps = [cap for cap in limits if isinstance(cap, Cap | Rolling) and _window(cap) == CAPS[row["reason"]][0]]
    full = [each.cap for each in await limits_of.fullness(call.doors, caps) if each.free < _units(each.cap, row)]
    if not full:
        return _waits(row, row["reason"], row["hold_until_ms"])
    return _why(row, row["reason"], row["hold_until_ms"], _told_of_cap(min(full, key=lambda cap: cap.limit), row))


def _told_of_cap(cap: Cap | Rolling, row: Row) -> str:
    network = f" for {cap.network}" if isinstance(cap, Cap) and cap.network else ""
    what = f"{cap.limit} {cap.unit}s {CAPS[row['reason']][1]}{network} of {kind_of(cap.key)} {scope_name(cap.key)}"
    if cap.limit < _units(cap, row):
        return f"It takes {_units(cap, row)} of the {what}: it stays until that limit is raised."
    until = f" until {when(row['hold_until_ms'])}" if row["hold_until_ms"] is not None else ""
    return f"The {what} are used up{until}."


def _window(cap: Cap | Rolling) -> str:
    return cap.window if isinstance(cap, Cap) else ""


def _units(cap: Cap | Rolling, row: Row) -> int:
    return int(row["segments"]) if cap.unit == "segment" else 1


async def _gate_of(call: Call, things: Things, sender: str, mode: str) -> tuple[str, int | None]:
    """What keeps a sender's queue waiting, as this process knows it or another wrote it into its lease."""
    if (known := call.doors.signals.gates.get((things, sender, mode))) is not None:
        return known
    row = await call.doors.database.read(lambda tx: tx.row("leases_of", things=things, sender=sender, mode=mode))
    if row is not None and row["is_held"]:
        return row["reason"], row["opens_ms"]
    return ("", None) if await _has_worker(call, things) else ("no_worker", None)


async def _has_worker(call: Call, things: Things) -> bool:
    """Whether any process lives that sends these. Where there is one process in all, it is this one.

    One that was killed is known to be gone when its beat has stood still between two looks.
    """
    if call.doors.database.bus is None:
        return True

    async def look(tx: Tx) -> tuple[set[int], dict[int, int]]:
        return await leases.holders_of(tx, things), await leases.beats(tx)

    holders, beats = await call.doors.database.read(look)
    return not holders <= call.doors.stillness.look(beats, monotonic()).keys()


async def _of_queued(call: Call, things: Things, row: Row) -> Why:
    reason, opens_ms = await _gate_of(call, things, row["sender"], row["mode"])
    if reason not in {"", "rate"}:
        return _waits(row, reason, opens_ms)
    place = {name: row[name] for name in ("sender", "mode", "priority", "id")}

    async def look(tx: Tx) -> tuple[int, int, float | None]:
        ahead = int(await tx.value(f"{things}_ahead", **place))
        segments = int(await tx.value("messages_ahead_segments", **place)) if things == "messages" else ahead
        sender = await tenants.sender(tx, row["sender"]) if things == "messages" else None
        return ahead, segments, limits_of.pace(call.doors, sender, row["mode"]) if sender is not None else None

    ahead, segments, per_s = await call.doors.database.read(look)
    opens_ms = call.now_ms + int(segments / per_s * 1000) if per_s else None
    others = f"{ahead} others of this sender leave before it" if ahead else "It is the next of its sender to leave"
    speed = f", at {per_s:g} segments a second" if per_s and things == "messages" else ""
    return _why(row, "rate", opens_ms, f"{others}{speed}.")


def _waits(row: Row, reason: str, opens_ms: int | None) -> Why:
    until = f" until {when(opens_ms)}" if opens_ms is not None else ""
    return _why(row, reason, opens_ms, f"{HOLDS.get(reason, reason.replace('_', ' '))}{until}.")


def _why(row: Row | Mapping[str, Any], gate: str | None, opens_ms: int | None, explanation: str) -> Why:
    return Why(id=row["id"], status=row["status"], waiting_for=gate, opens_at=when(opens_ms), explanation=explanation)


async def of_job(call: Call, job: Job) -> JobWhy:
    """Why a job is not finished, if it is not."""
    things = things_of(job)

    async def look(tx: Tx) -> tuple[list[Row], dict[str, Any]]:
        held = [row for every in all_of(job) for row in await tx.rows(f"{every}_held_in_job", job_id=job.id)]
        return held, await lives.counts(tx, things, job.id)

    rows, counts = await call.doors.database.read(look)
    held = [HeldFor(reason=row["reason"], count=row["n"], opens_at=when(row["until_ms"])) for row in rows]
    sender_waits = await _gate_of(call, things, job.sender, job.mode)
    gate, opens_ms, told = _of_job(job, sender_waits, rows, counts)
    return JobWhy(id=job.id, status=job.status, waiting_for=gate, opens_at=when(opens_ms), explanation=told, held=held)


def _of_job(
    job: Job, sender_waits: tuple[str, int | None], rows: list[Row], counts: Mapping[str, Any]
) -> tuple[str | None, int | None, str]:
    """The gate, when it opens, and a sentence."""
    by_state: Mapping[str, int] = counts["by_state"]
    waiting = by_state.get("queued", 0) + by_state.get("held", 0)
    if job.status == "paused":
        told = f"The job is paused with {waiting} waiting; resume it with POST /v1/jobs/{{id}}/resume."
        because = f"{PAUSES[job.reason]}{_found(job)}. " if job.reason else ""
        return job.reason or "paused", None, because + told
    unknown = by_state.get("unknown", 0) if job.channel == "sms" else 0
    if job.status in {"completed", "cancelled"} and not unknown:
        return None, None, f"The job is {job.status}."
    if by_state.get("queued"):
        reason, opens_ms = sender_waits
        if reason in {"", "rate"}:
            return "rate", None, f"It is sending: {by_state['queued']} leave one after the other at the sender's rate."
        return reason, opens_ms, f"{HOLDS.get(reason, reason)}; {by_state['queued']} wait."
    if rows:
        first = rows[0]
        until = f" until {when(first['until_ms'])}" if first["until_ms"] is not None else ""
        reason = first["reason"]
        return reason, first["until_ms"], f"{HOLDS.get(reason, reason)}{until}; {first['n']} wait for that."
    if unknown:
        told = f"The job is {job.status}; for {unknown} of its texts the carrier never answered"
        return "settlement", None, f"{told}: gateway unknown list --job {job.id}."
    if under_way := sum(by_state.get(state, 0) for state in IN_CALL):
        return None, None, f"All have been dialled; calls that go on: {under_way}."
    if by_state.get("unknown") or by_state.get("sent") or by_state.get("sending"):
        return "delivery_report", None, "All have been offered; some delivery reports have not come yet."
    return None, None, "Nothing of it waits."


def _found(job: Job) -> str:
    """The first of what kept a job from its first call; all of it stands in the job."""
    wrong = [each for each in job.launch if each["severity"] == "error"] if job.reason == "launch" else []
    more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return f": node {wrong[0]['node']} {wrong[0]['text']}{more}" if wrong else ""
