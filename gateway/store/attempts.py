"""What follows a call of a broadcast, kept in the transaction that ends it: so each attempt is made once, or never."""

from dataclasses import dataclass
from typing import Any

from gateway.campaign import retry
from gateway.campaign.retry import Again, Write
from gateway.clock import new_id
from gateway.model.call import Call
from gateway.model.job import Job
from gateway.model.message import Message
from gateway.sms import wording
from gateway.store.database import Row, Tx
from gateway.store.records import to_record, to_row


@dataclass(frozen=True, slots=True)
class Following:
    """A call or a text that waits for its time from now on."""

    thing: Call | Message

    @property
    def told(self) -> dict[str, object]:
        """What the event of the ended call says of it."""
        channel = "voice" if isinstance(self.thing, Call) else "sms"
        return {"next": {"id": self.thing.id, "channel": channel, "at_ms": self.thing.hold_until_ms}}


async def after(tx: Tx, call: Call, status: str, reason: str, now_ms: int) -> Following | None:
    """Give what follows a call that ends now in `status`, to be handed to `keep` if it does; None: nothing."""
    job = await _job(tx, call)
    step = retry.follow(job.retries, call, status, reason, now_ms) if job is not None else None
    if step is None or await _has_said_stop(tx, call):
        return None
    return Following(_call(call, step, now_ms) if isinstance(step, Again) else _text(call, step, now_ms))


async def keep(tx: Tx, following: Following) -> None:
    """Keep what follows."""
    table = "calls" if isinstance(following.thing, Call) else "messages"
    await tx.run(f"{table}_insert", **to_row(following.thing))


async def next_of(tx: Tx, call: Row) -> Row | None:
    """The attempt that followed this call, if one did."""
    return await tx.row("calls_attempt", first_id=call["first_id"] or call["id"], attempt=call["attempt"] + 1)


async def _job(tx: Tx, call: Call) -> Job | None:
    """The job that the call belongs to, if anything may follow there."""
    row = await tx.row("jobs_one", id=call.job_id) if call.job_id is not None else None
    return to_record(Job, row) if row is not None and row["status"] != "cancelled" else None


async def _has_said_stop(tx: Tx, call: Call) -> bool:
    """Whether the person has opted out, by any of their numbers."""
    whose = {"tenant_id": call.tenant_id, "mode": call.mode, "sender": call.sender}
    return await tx.row("opt_outs_among", **whose, recipients=[call.recipient, *call.alternatives]) is not None


def _common(call: Call, at_ms: int, now_ms: int) -> dict[str, Any]:
    same = ("tenant_id", "mode", "sender", "job_id", "priority", "expires_ms", "reference", "metadata", "callback_url")
    waits = {"status": "held", "reason": "retry", "hold_until_ms": at_ms}
    return {name: getattr(call, name) for name in same} | waits | {"created_ms": now_ms, "updated_ms": now_ms}


def _call(call: Call, step: Again, now_ms: int) -> Call:
    return Call(
        **_common(call, step.at_ms, now_ms),
        id=new_id("call"),
        recipient=step.recipient,
        dialplan=call.dialplan,
        dialplan_version=call.dialplan_version,
        variables=call.variables,
        attempt=call.attempt + 1,
        first_id=call.first_id or call.id,
        alternatives=step.alternatives,
        tried=step.tried,
    )


def _text(call: Call, step: Write, now_ms: int) -> Message:
    body, counted = wording.kept(step.words).of(call.variables)
    return Message(
        **_common(call, step.at_ms, now_ms),
        id=new_id("msg"),
        recipient=call.recipient,
        body=body,
        encoding=counted.encoding,
        segments=counted.segments,
    )
