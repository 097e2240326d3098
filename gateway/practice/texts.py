"""The life of a text after it was accepted: its reports, and what the person texts back."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from gateway.errors.practice import BadTwiml
from gateway.practice import segments, twiml
from gateway.practice.faults import Faults
from gateway.practice.ledger import Ledger
from gateway.practice.options import Options
from gateway.practice.scripts import TextScript, text_script
from gateway.practice.twilio_json import API_VERSION, Message
from gateway.practice.webhooks import Reply, Webhooks

STOP_WORDS = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"})
START_WORDS = frozenset({"START", "YES", "UNSTOP"})

Spawn = Callable[[Coroutine[Any, Any, Any]], None]


class Texts:
    """Moves texts through their states and posts what Twilio would post."""

    def __init__(self, options: Options, webhooks: Webhooks, faults: Faults, ledger: Ledger, spawn: Spawn) -> None:
        """`spawn` starts a task that the server ends when it stops."""
        self._options = options
        self._webhooks = webhooks
        self._faults = faults
        self._ledger = ledger
        self._spawn = spawn
        self._inbound_urls: dict[str, str] = {}
        self._queue_ends: dict[str, float] = {}  # by sender: when its queue here is empty, monotonic seconds
        self.blocked: set[tuple[str, str]] = set()
        self.messages: dict[str, Message] = {}
        self.by_party: dict[str, list[Message]] = {}

    def keep(self, message: Message) -> None:
        """Remember a message, so that it can be fetched and listed."""
        self.messages[message.sid] = message
        self.by_party.setdefault(message.to, []).append(message)

    def forget(self, message: Message) -> None:
        """Delete one message."""
        del self.messages[message.sid]
        self.by_party[message.to].remove(message)

    def clear(self) -> None:
        """Forget all messages, queues and blocks."""
        self._queue_ends.clear()
        self.messages.clear()
        self.by_party.clear()
        self.blocked.clear()

    def set_inbound_url(self, sender: str, url: str) -> None:
        """Post texts to `sender` there rather than to the general inbound URL."""
        self._inbound_urls[sender] = url

    def start(self, message: Message, script: TextScript) -> asyncio.Event:
        """Begin the life of an accepted text. Returns what is set when all its reports were posted."""
        self.keep(message)
        reported = asyncio.Event()
        self._spawn(self._live(message, script, reported))
        return reported

    def restore(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Know again the texts of a journal; one whose reports were cut off by the kill gets them all once more."""
        for line in lines:
            if line["kind"] == "text" and line["outcome"] == "accepted":
                message = Message(self._options.account_sid, line["to"], line["sender"], line["body"], line["segments"])
                message.sid, message.status_callback = line["sid"], line["status_callback"]
                message.date_created = line["at_ms"] / 1000
                self.keep(message)
            elif line["kind"] == "report" and line["sid"] in self.messages:
                self.messages[line["sid"]].move(line["status"], line["code"])
        for message in list(self.messages.values()):
            script = text_script(message.to)
            if message.status not in {*script.reports[-1:], "failed"}:
                self._spawn(self._live(message, script, asyncio.Event()))

    async def _live(self, message: Message, script: TextScript, reported: asyncio.Event) -> None:
        if not await self._leave_queue(message):
            script = TextScript(script.says, reports=("failed",), error_code=30036)
        failures = dict.fromkeys(("undelivered", "failed"), script.error_code)
        reports = [(state, failures.get(state)) for state in script.reports]
        if script.reverse or self._faults.reorder:
            reports.reverse()
        final = script.reports[-1:]
        await asyncio.sleep(script.late_s + self._faults.late_s)
        for state, code in reports:
            await asyncio.sleep(self._options.report_delay_s)
            if message.status == "canceled":
                break
            if message.status not in final:
                message.move(state, code)
            await self._report(message, state, code, script.repeat)
        reported.set()
        if message.status == "canceled":
            return
        if script.reply:
            await asyncio.sleep(self._options.reply_delay_s)
            await self.inbound(message.to, message.sender, script.reply)

    async def _leave_queue(self, message: Message) -> bool:
        """Wait behind what this sender has here already. False: it waited longer than its validity."""
        per_s = self._faults.queue_per_s
        if not per_s:
            return True
        now = time.monotonic()
        leaves = max(now, self._queue_ends.get(message.sender, 0.0))
        if leaves - now > message.validity_s:
            await asyncio.sleep(message.validity_s)
            return False
        self._queue_ends[message.sender] = leaves + message.segments / per_s
        await asyncio.sleep(leaves - now)
        return True

    async def _report(self, message: Message, state: str, code: int | None, repeat: int) -> None:
        if not message.status_callback:
            return
        params = {
            "SmsSid": message.sid,
            "SmsStatus": state,
            "MessageStatus": state,
            "To": message.to,
            "MessageSid": message.sid,
            "AccountSid": message.account_sid,
            "From": message.sender,
            "ApiVersion": API_VERSION,
        }
        if message.messaging_service_sid:
            params["MessagingServiceSid"] = message.messaging_service_sid
        if code:
            params["ErrorCode"] = str(code)
        for _ in range(repeat):
            posted = _stamp()
            reply = await self._webhooks.send(message.status_callback, params)
            told = {"sid": message.sid, "status": state, "code": code, "url": message.status_callback}
            self._ledger.journal.add("report", posted | told | _answered(reply))

    async def inbound(self, person: str, sender: str, body: str, *, sid: str | None = None) -> tuple[str, Reply]:
        """A person texts a sender. Returns the message's SID and the gateway's answer (status 0: nowhere to post).

        Giving the `sid` of an earlier text repeats it, as Twilio's retry would.
        """
        message = Message(
            self._options.account_sid, sender, person, body, segments.count(body), "received", direction="inbound"
        )
        message.sid = sid or message.sid
        self.keep(message)
        opt_out_type = self._note_keyword(person, sender, body)
        url = self._inbound_urls.get(sender) or self._options.inbound_url
        if not url:
            return message.sid, Reply(0)
        params = self._inbound_params(message)
        if opt_out_type:
            params["OptOutType"] = opt_out_type
        posted = _stamp()
        reply = await self._webhooks.send(url, params)
        said = {"sid": message.sid, "person": person, "sender": sender, "body": body}
        self._ledger.journal.add("inbound", posted | said | _answered(reply))
        self._check_answer(reply)
        return message.sid, reply

    def _check_answer(self, reply: Reply) -> None:
        """Complain of an answer that Twilio would turn into a text of its own, or not understand."""
        if reply.ok and reply.body.strip():
            try:
                words = [verb.name for verb in twiml.parse(reply.body)]
            except BadTwiml as error:
                words = [str(error)]
            if words:
                self._ledger.complain(f"an inbound text was not answered with empty TwiML: {words}")

    def _note_keyword(self, person: str, sender: str, body: str) -> str:
        """Block or unblock the pair when the carrier's own keyword handling is on; return STOP, START, HELP or ""."""
        word = body.strip().upper()
        if not self._options.keyword_handling:
            return ""
        if word in STOP_WORDS:
            self.blocked.add((sender, person))
            return "STOP"
        if word in START_WORDS and (sender, person) in self.blocked:
            self.blocked.discard((sender, person))
            return "START"
        return "HELP" if word in {"HELP", "INFO"} else ""

    @staticmethod
    def _inbound_params(message: Message) -> dict[str, str]:
        """Return the form of Twilio's inbound webhook."""
        country = {f"{side}{part}": "" for side in ("From", "To") for part in ("City", "State", "Zip")}
        return country | {
            "ToCountry": "US",
            "FromCountry": "US",
            "SmsMessageSid": message.sid,
            "NumMedia": "0",
            "SmsSid": message.sid,
            "SmsStatus": "received",
            "Body": message.body,
            "To": message.to,
            "NumSegments": str(message.segments),
            "MessageSid": message.sid,
            "AccountSid": message.account_sid,
            "From": message.sender,
            "ApiVersion": API_VERSION,
            "MessagingServiceSid": message.messaging_service_sid or "",
        }


def _stamp() -> dict[str, float]:
    return {"at_s": time.monotonic(), "at_ms": time.time_ns() // 1_000_000}


def _answered(reply: Reply) -> dict[str, int]:
    return {"http": reply.status, "answered_ms": time.time_ns() // 1_000_000}
