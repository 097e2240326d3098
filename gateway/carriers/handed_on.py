"""What a webhook tells of a recording or a transfer: kept with the call once, while it is up or after its end."""

from collections.abc import Mapping

from gateway.carriers.twilio_voice import recorded
from gateway.clock import now_ms
from gateway.model.call import Call
from gateway.model.event import Event
from gateway.store import calls, events, recordings
from gateway.store.database import Tx
from gateway.voice import twiml
from gateway.voice.dialplan import Plan, TransferNode


async def keep(tx: Tx, call: Call, plan: Plan, node: str, step: int, form: Mapping[str, str]) -> None:
    """Keep what the webhook of this step tells of the node that the call was in; of its repeat nothing.

    call: as it is now.
    """
    found, transfers, said = list(call.recordings), list(call.transfers), recorded(form)
    if said is not None and said[0] not in {each["id"] for each in found}:
        found.append({"id": said[0], "node": node, "seconds": said[1]})
        await recordings.add(tx, call, said[0], node, b"", now_ms(), source=call.carrier)
    if "DialCallStatus" in form and await _is_first(tx, call.carrier, f"{call.id}:dialled:{step}"):
        asked, result = plan.nodes.get(node), twiml.dialled(form["DialCallStatus"])
        to = {"to": asked.to} if isinstance(asked, TransferNode) else {}
        transfers.append({**to, "how": "dial", "result": result})
        if result == "transferred" and await calls.was_transferred(tx, call.id):
            await events.add(tx, _corrected(call, result))
    if (len(found), len(transfers)) != (len(call.recordings), len(call.transfers)):
        await calls.found(tx, call.id, calls.Evidence(call.detection, call.message_delay_ms, transfers, found))


async def _is_first(tx: Tx, carrier: str, token: str) -> bool:
    return bool(await tx.run("webhooks_insert", carrier=carrier, token=token, answer="", at_ms=now_ms()))


def _corrected(call: Call, outcome: str) -> Event:
    data = {"status": call.status, "outcome": outcome}
    return Event("call.report", call.tenant_id, call.mode, call.id, now_ms(), data, call.job_id, call.callback_url)
