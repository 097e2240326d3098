"""The life of a text after it was accepted: its reports, and what the person texts back."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.errors import BadTwiml
from gateway.practice import segments, twiml
from gateway.practice.faults import Faults
from gateway.practice.ledger import Ledger
from gateway.practice.options import Options
from gateway.practice.scripts import TextScript
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
        """Forget all messages and blocks."""
        self.messages.clear()
        self.by_party.clear()
        self.blocked.clear()

    def set_inbound_url(self, sender: str, url: str) -> None:
        """Post texts to `sender` there rather than to the general inbound URL."""
        self._inbound_urls[sender] = url

    def start(self, message: Message, script: TextScript) -> None:
        """Begin the life of an accepted text."""
        self.keep(message)
        self._spawn(self._live(message, script))

    async def _live(self, message: Message, script: TextScript) -> None:
        failures = dict.fromkeys(("undelivered", "failed"), script.error_code)
        reports = [(state, failures.get(state)) for state in script.reports]
        if script.reverse or self._faults.reorder:
            reports.reverse()
        final = script.reports[-1:]
        for state, code in reports:
            await asyncio.sleep(self._options.report_delay_s)
            if message.status == "canceled":
                return
            if message.status not in final:
                message.move(state, code)
            await self._report(message, state, code, script.repeat)
        if script.reply:
            await asyncio.sleep(self._options.reply_delay_s)
            await self.inbound(message.to, message.sender, script.reply)

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
            await self._webhooks.send(message.status_callback, params)

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
        reply = await self._webhooks.send(url, params)
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
