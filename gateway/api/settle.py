"""Texts whose carrier never answered, settled by a person: one, or all of a job. Each goes into the audit log."""

from functools import partial
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from gateway.api.deeds import deed
from gateway.api.inputs import Input, plain
from gateway.api.messages import MessageView, view
from gateway.api.operation import Answer, Call, View, operation
from gateway.errors.api import NotFound, NotUnknown
from gateway.store import audit_log, jobs, settling
from gateway.store.database import Tx

_CHUNK: Final = 1_000  # texts a transaction


class Settle(Input):
    """What became of it, as far as a person knows."""

    as_: settling.Verdict = Field(
        alias="as",
        description="`sent`: the person has it, or will. `resend`: queue it again; if it had left, that is a copy, and "
        "flagged as one. `drop`: it ends as cancelled.",
    )
    note: Annotated[str, Field(max_length=500), AfterValidator(plain)] = Field(
        "", description="Why, in your own words; kept in the audit log."
    )


class Settled(View):
    """How many unknown texts of a job were settled."""

    job_id: str
    settled: int


@operation(
    "POST",
    "/v1/messages/{id}/settle",
    "Settle a text that its carrier never answered for.",
    scope="senders:admin",
    body=Settle,
    answers={200: MessageView},
)
async def one(call: Call, body: Settle) -> Answer:
    """Only a person says this; nothing does it by itself. A text that is not `unknown` any more is left as it is."""

    async def work(tx: Tx) -> MessageView:
        where = {"id": call.path("id"), "tenant_id": call.key.tenant_id, "mode": call.key.mode}
        row = await tx.row("messages_of_tenant", **where)
        if row is None:
            raise NotFound("message")
        if not await settling.settle(tx, [row["id"]], body.as_, call.now_ms, call.key.id):
            raise NotUnknown(row["status"])
        await audit_log.add(tx, deed(call, "message.settle", row["id"], {"as": body.as_}, body.note))
        now = await tx.row("messages_of_tenant", **where)
        return view(now or row)

    settled = await call.doors.database.write(work)
    _told(call, 1)
    return Answer(200, settled)


@operation(
    "POST",
    "/v1/jobs/{id}/settle",
    "Settle all texts of a broadcast that their carrier never answered for.",
    scope="senders:admin",
    body=Settle,
    answers={200: Settled},
)
async def of_job(call: Call, body: Settle) -> Answer:
    """As for one text; the audit log says how many they were. What becomes unknown later is not settled by this."""
    job_id = call.path("id")
    after, count = "", 0
    while True:
        last, settled = await call.doors.database.write(partial(_settle_some, call=call, body=body, after=after))
        count += settled
        if not last:
            break
        after = last
    _told(call, count)
    return Answer(200, Settled(job_id=job_id, settled=count))


async def _settle_some(tx: Tx, call: Call, body: Settle, after: str) -> tuple[str, int]:
    """Settle the next ones. Returns the id to go on after (empty: that was all), and how many were settled."""
    job = await jobs.get(tx, call.key.tenant_id, call.key.mode, call.path("id"))
    if job is None:
        raise NotFound("job")
    rows = await tx.rows("messages_ids_unknown_of_job", job_id=job.id, after=after, limit=_CHUNK)
    settled = await settling.settle(tx, [row["id"] for row in rows], body.as_, call.now_ms, call.key.id)
    if settled:
        await audit_log.add(
            tx, deed(call, "message.settle", job.id, {"as": body.as_, "texts": len(settled)}, body.note)
        )
    return rows[-1]["id"] if len(rows) == _CHUNK else "", len(settled)


def _told(call: Call, count: int) -> None:
    call.doors.metrics.settled.labels("person").inc(count)
    call.doors.signals.wake("messages")
    call.doors.signals.wake("events")
