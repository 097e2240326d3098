"""What a text from a person does, whichever road it came by: kept, obeyed, answered and told, in one transaction."""

from dataclasses import dataclass, replace

from gateway.carriers.base import Incoming
from gateway.clock import new_id
from gateway.model.event import Event
from gateway.model.message import Message
from gateway.model.opt_out import Inbound, OptOut
from gateway.model.sender import Sender
from gateway.sms.keywords import Keyword, Keywords
from gateway.sms.segments import segment
from gateway.store import events, opt_outs, tenants
from gateway.store.criteria import OfPerson
from gateway.store.database import Database, Tx
from gateway.store.recall import write_with_recall
from gateway.store.records import to_row
from gateway.store.signals import Signals

_CONFIRM_WITHIN_MS = 5 * 60_000  # 47 CFR 64.1200(a)(12): one confirmation, presumed fine within five minutes
_HELP_EVERY_MS = 60_000  # two auto-responders would otherwise talk to each other for hours
_REPLY_PRIORITY = 9


@dataclass(frozen=True, slots=True)
class InboundTexts:
    """Takes texts that came in. `keywords` is what config/keywords.toml says."""

    database: Database
    signals: Signals
    keywords: Keywords

    async def take(self, carrier: str, mode: str, text: Incoming, now_ms: int) -> None:
        """Take one text; when this returns it is on disk. The same `carrier_id` again has no second effect.

        A text to a number that is nobody's sender is dropped: there is no tenant to tell.
        """
        sender = await self.database.read(lambda tx: self._to(tx, carrier, text))
        if sender is None:
            return
        stop = OptOut(sender.tenant_id, mode, text.person, "tenant", "keyword", text.body[:160], now_ms)
        await write_with_recall(
            self.database,
            self.signals,
            self._forbidden_by(sender, stop, text.body),
            now_ms,
            lambda tx: self._take(tx, carrier, mode, text, sender, now_ms),
        )
        self.signals.wake("messages")
        self.signals.wake("events")

    async def _to(self, tx: Tx, carrier: str, text: Incoming) -> Sender | None:
        """Whom it is for; nobody, if it came before: a stop that was taken back since must not recall anything."""
        if await tx.row("inbound_seen", carrier=carrier, carrier_id=text.carrier_id) is not None:
            return None
        return await tenants.sender(tx, text.sender)

    def _forbidden_by(self, sender: Sender, said: OptOut, body: str) -> OfPerson | None:
        """What a stop forbids; a text that is not one forbids nothing. All of it is looked at, as `_take` does."""
        kind = self.keywords.classify(body, sender_kind=sender.kind, opted_out=False).kind
        return OfPerson.forbidden_by(said) if kind == "stop" else None

    async def _take(self, tx: Tx, carrier: str, mode: str, text: Incoming, sender: Sender, now_ms: int) -> None:
        row = await tx.row("messages_last_to", recipient=text.person, sender=text.sender, mode=mode)
        said = await opt_outs.of_person(tx, sender.tenant_id, mode, text.person)
        keyword = self.keywords.classify(text.body, sender_kind=sender.kind, opted_out=bool(said))
        inbound = Inbound(
            id=new_id("in"),
            tenant_id=sender.tenant_id,
            mode=mode,
            carrier=carrier,
            carrier_id=text.carrier_id,
            sender=text.sender,
            person=text.person,
            body=text.body,
            keyword=keyword.kind if keyword.kind != "none" else "",
            answers=row["id"] if row is not None else None,
            at_ms=now_ms,
        )
        if not await tx.run("inbound_insert", **to_row(inbound)):
            return
        callback_url = row["callback_url"] if row is not None else ""
        await self._obey(tx, sender, inbound, keyword, callback_url)
        await events.add(tx, _event(inbound, keyword, row["job_id"] if row is not None else None, callback_url))

    async def _obey(self, tx: Tx, sender: Sender, inbound: Inbound, keyword: Keyword, callback_url: str) -> None:
        said = OptOut(
            sender.tenant_id, inbound.mode, inbound.person, "tenant", "keyword", inbound.body[:160], inbound.at_ms
        )
        act = False
        if keyword.kind == "stop":
            before = await opt_outs.of_person(tx, sender.tenant_id, inbound.mode, inbound.person)
            await opt_outs.stop(tx, said, callback_url=callback_url)
            act = all(each["scope"] != "tenant" for each in before)  # to one sender alone is less than this
        elif keyword.kind == "start":
            act = await opt_outs.start(tx, replace(said, scope=sender.number), callback_url=callback_url)
        elif keyword.kind == "help":
            since_ms = inbound.at_ms - _HELP_EVERY_MS
            act = not await tx.value("messages_replies_since", **_pair(inbound), kind="help_reply", since_ms=since_ms)
        if act and sender.keyword_replies == "gateway":
            await tx.run("messages_insert", **to_row(self._reply(sender, inbound, keyword)))

    def _reply(self, sender: Sender, inbound: Inbound, keyword: Keyword) -> Message:
        own = {"stop": sender.stop_text, "start": sender.start_text, "help": sender.help_text}[keyword.kind]
        body = own or self.keywords.reply(keyword)
        counted = segment(body)
        return Message(
            id=new_id("msg"),
            tenant_id=sender.tenant_id,
            mode=inbound.mode,
            sender=sender.number,
            recipient=inbound.person,
            body=body,
            encoding=counted.encoding,
            segments=counted.segments,
            kind=f"{keyword.kind}_reply",
            priority=_REPLY_PRIORITY,
            expires_ms=inbound.at_ms + _CONFIRM_WITHIN_MS,
            reference=inbound.id,
            created_ms=inbound.at_ms,
            updated_ms=inbound.at_ms,
        )


def _pair(inbound: Inbound) -> dict[str, str]:
    return {"sender": inbound.sender, "recipient": inbound.person, "mode": inbound.mode}


def _event(inbound: Inbound, keyword: Keyword, job_id: str | None, callback_url: str) -> Event:
    data = {
        "from": inbound.person,
        "to": inbound.sender,
        "body": inbound.body,
        "keyword": inbound.keyword,
        "probable_opt_out": keyword.probable,
        "answers": inbound.answers,
    }
    return Event(
        "inbound.received",
        inbound.tenant_id,
        inbound.mode,
        inbound.id,
        inbound.at_ms,
        data,
        job_id=job_id,
        callback_url=callback_url,
    )
