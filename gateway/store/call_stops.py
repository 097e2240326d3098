"""A key pressed in a call by somebody who wants no more: obeyed, or told of where nobody knows who it was."""

from typing import Final

from gateway.model.call import Call
from gateway.model.event import Event
from gateway.model.opt_out import OptOut
from gateway.store import events, opt_outs
from gateway.store.database import Database, Tx
from gateway.store.signals import Signals
from gateway.voice.dialplan import Scope

_NOT_KEPT: Final = "opt_out.not_kept"


async def obey(database: Database, signals: Signals, call: Call, scope: Scope, key: str, now_ms: int) -> None:
    """Record what a key pressed in a call opts out of; when this returns it is on disk, and nothing more leaves.

    For a caller who showed no number nothing can be kept: an event of the call says so, once.
    """
    evidence = f"pressed {key} in {call.dialplan} version {call.dialplan_version}"
    towards = "tenant" if scope == "tenant" else call.sender
    said = OptOut(call.tenant_id, call.mode, call.recipient, towards, "dialplan", evidence, now_ms)
    if call.recipient.startswith("+"):
        await opt_outs.stop_with_recall(database, signals, said, callback_url=call.callback_url)
        return
    await database.write(lambda tx: _tell(tx, call, said))
    signals.wake("events")


async def _tell(tx: Tx, call: Call, said: OptOut) -> None:
    which = {"tenant_id": call.tenant_id, "mode": call.mode, "type": _NOT_KEPT, "job_id": "", "after": 0, "limit": 1}
    if await tx.row("events_of_subject", subject=call.id, **which) is None:
        data = {"scope": said.scope, "source": said.source, "evidence": said.evidence, "why": "no_number"}
        await events.add(
            tx, Event(_NOT_KEPT, call.tenant_id, call.mode, call.id, said.at_ms, data, call.job_id, call.callback_url)
        )
