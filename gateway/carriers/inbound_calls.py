"""Somebody rings one of our senders: which plan answers, and the row of that call. The same for every road."""

from dataclasses import dataclass
from typing import Literal

import structlog

from gateway import phone
from gateway.clock import new_id
from gateway.errors.phone import InvalidNumber
from gateway.errors.voice import BadDialplan, BadVariables, UnknownDialplan
from gateway.model.call import Call
from gateway.model.event import Event
from gateway.model.sender import Sender
from gateway.store import calls, events, tenants
from gateway.store.calls import Plans
from gateway.store.database import Database, Row, Tx
from gateway.store.records import to_row
from gateway.voice import engine
from gateway.voice.dialplan import Plan
from gateway.voice.state import State
from gateway.voice.values import MAX_VALUE

_log = structlog.get_logger(__name__)
ANONYMOUS = "anonymous"  # the person of a call that shows no number


@dataclass(frozen=True, slots=True)
class Answering:
    """A call that is to be answered: its row is kept, and its engine waits for the answer."""

    call: Call
    state: State


NotAnswered = Literal["unknown_number", "no_dialplan"]


@dataclass(frozen=True, slots=True)
class InboundCalls:
    """Finds the plan for calls that come in."""

    database: Database
    plans: Plans

    async def find(
        self, called: str, caller: str, *, mode: str, carrier: str, carrier_id: str | None, now_ms: int
    ) -> Answering | NotAnswered:
        """Give the newest version of the called sender's `inbound_dialplan`, ready to start; nothing is kept yet.

        called, caller: as the carrier wrote them.
        Returns: what to answer with, to be handed to `keep`; or why nobody answers.
        """
        person, number = _number(caller) or ANONYMOUS, _number(called)
        sender = await self.database.read(lambda tx: tenants.sender(tx, number)) if number else None
        if sender is None:
            return "unknown_number"
        try:
            version, plan = await self.plans.get(sender.tenant_id, sender.inbound_dialplan)
            pair = {"recipient": person, "sender": sender.number, "tenant_id": sender.tenant_id, "mode": mode}
            row = await self.database.read(lambda tx: tx.row("calls_words_for", **pair))
            variables = _known(plan, sender, person, row)
            state = engine.start(plan, variables)
        except (UnknownDialplan, BadDialplan, BadVariables) as error:
            if sender.inbound_dialplan:
                _log.warning("nobody_answers", dialplan=sender.inbound_dialplan, error=str(error))
            return "no_dialplan"
        call = Call(
            id=new_id("call"),
            tenant_id=sender.tenant_id,
            mode=mode,
            sender=sender.number,
            recipient=person,
            dialplan=plan.name,
            dialplan_version=version,
            variables=variables,
            direction="in",
            status="ringing",
            carrier=carrier,
            carrier_id=carrier_id,
            callback_url=row["callback_url"] if row is not None else "",
            created_ms=now_ms,
            updated_ms=now_ms,
        )
        return Answering(call, state)

    async def keep(self, call: Call, holder: int = 0) -> bool:
        """Keep the row of a call that is being answered, with an event. holder: the process that has it on a trunk.

        Returns: False where there is one already of what the carrier names so: another process was asked, too.
        """

        async def work(tx: Tx) -> bool:
            if call.carrier_id is not None:
                seen = {"carrier": call.carrier, "token": f"{call.carrier_id}:received", "answer": call.id}
                if not await tx.run("webhooks_insert", **seen, at_ms=call.created_ms):
                    return False
            await tx.run("calls_insert", **to_row(call))
            if holder:
                await tx.run("calls_answered_by_holder", id=call.id, holder=holder)
            data = {"from": call.recipient, "to": call.sender, "dialplan": call.dialplan}
            received = Event("call.received", call.tenant_id, call.mode, call.id, call.created_ms, data)
            await events.add(tx, received)
            return True

        return await self.database.write(work)

    async def known(self, carrier_id: str) -> Call | None:
        """The call that a carrier names so."""
        return await self.database.read(lambda tx: calls.by_carrier_id(tx, carrier_id))


def _known(plan: Plan, sender: Sender, person: str, last: Row | None) -> dict[str, str]:
    """What the gateway knows of a call that comes in, as far as the plan asks for it."""
    said = last["body"][:MAX_VALUE] if last is not None else ""
    heard = {"last_message": said} if any(map(str.isalnum, said)) else {}  # of a lone emoji nothing can be spoken
    facts = {"from": person, "to": sender.number, **heard}
    return {name: value for name, value in facts.items() if name in plan.variables}


def _number(text: str) -> str:
    try:
        return phone.parse(text)
    except InvalidNumber:
        return ""
