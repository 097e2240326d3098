"""Texts that a call's plan sends to the person: messages like any other, under the call's own sender."""

import structlog

from gateway.clock import new_id
from gateway.errors.sms import BadText
from gateway.model.call import Call
from gateway.model.message import Message
from gateway.sms.segments import segment
from gateway.store.database import Tx
from gateway.store.records import to_row

_log = structlog.get_logger(__name__)


def text_of(call: Call, body: str, now_ms: int) -> Message | None:
    """The text a call sends: `reference` is the call. None, and logged, where it cannot be sent.

    That is so for a caller who showed no number, and for words that are empty or too long once they are filled in.
    """
    if not call.recipient.startswith("+"):
        _log.warning("call_sends_no_text", call=call.id, why="the caller showed no number")
        return None
    try:
        counted = segment(body)
    except BadText as error:
        _log.warning("call_sends_no_text", call=call.id, why=str(error))
        return None
    return Message(
        id=new_id("msg"),
        tenant_id=call.tenant_id,
        mode=call.mode,
        sender=call.sender,
        recipient=call.recipient,
        body=body,
        encoding=counted.encoding,
        segments=counted.segments,
        priority=call.priority,
        reference=call.id,
        callback_url=call.callback_url,
        created_ms=now_ms,
        updated_ms=now_ms,
    )


async def add(tx: Tx, message: Message) -> None:
    """Queue it; once, however often the same message is added."""
    known = await tx.row("messages_of_tenant", id=message.id, tenant_id=message.tenant_id, mode=message.mode)
    if known is None:
        await tx.run("messages_insert", **to_row(message))
