"""Twilio's REST API, as far as texts and calls go: create, fetch, list, update, delete. Every request is judged.

Source: Twilio's OpenAPI description of the 2010-04-01 API; error bodies: Twilio, "REST API: error and warning".
"""

import asyncio
import base64
import hmac
import socket
import struct
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import replace

from aiohttp import web

from gateway.practice import segments, twilio_json, twilio_params
from gateway.practice.faults import Faults
from gateway.practice.ledger import Ledger
from gateway.practice.options import Options
from gateway.practice.scripts import Answer, TextScript, text_script
from gateway.practice.texts import Texts
from gateway.practice.twilio_calls import TwilioCalls
from gateway.practice.twilio_json import Message
from gateway.practice.twilio_params import TwilioError
from gateway.practice.twilio_requests import NOT_FOUND, Stamp, named, pairs, query_of
from gateway.practice.twilio_rest_calls import CallHandlers

_Handler = Callable[[web.Request, Stamp], Awaitable[web.StreamResponse]]
_OUTCOMES = {400: "refused", 429: "throttled"}


class TwilioRest:
    """The handlers. `routes()` puts them under /2010-04-01/Accounts/{AccountSid}."""

    def __init__(self, options: Options, ledger: Ledger, texts: Texts, calls: TwilioCalls, faults: Faults) -> None:
        """All parts are shared with the rest of the far end."""
        self._account = options.account_sid
        secret = f"{options.account_sid}:{options.auth_token}"
        self._authorization = "Basic " + base64.b64encode(secret.encode()).decode()
        self._ledger = ledger
        self._texts = texts
        self._calls = CallHandlers(options.account_sid, ledger, calls, faults, self._throttled)
        self._faults = faults
        self._tries: Counter[str] = Counter()
        self._recent: deque[float] = deque()
        self._offered = 0  # texts that a switch may strike

    def routes(self) -> list[web.RouteDef]:
        """Return what to add to the application."""
        root, calls = "/2010-04-01/Accounts/{account}", self._calls
        return [
            web.post(root + "/Messages.json", self._served(self._create_message)),
            web.get(root + "/Messages.json", self._served(self._list_messages)),
            web.get(root + "/Messages/{sid}.json", self._served(self._fetch_message)),
            web.post(root + "/Messages/{sid}.json", self._served(self._update_message)),
            web.delete(root + "/Messages/{sid}.json", self._served(self._delete_message)),
            web.post(root + "/Calls.json", self._served(calls.create)),
            web.get(root + "/Calls.json", self._served(calls.listing)),
            web.get(root + "/Calls/{sid}.json", self._served(calls.fetch)),
            web.post(root + "/Calls/{sid}.json", self._served(calls.update)),
            web.delete(root + "/Calls/{sid}.json", self._served(calls.delete)),
            web.get(root + "/Recordings/{sid}.wav", self._served(calls.fetch_recording)),
            web.delete(root + "/Recordings/{sid}.json", self._served(calls.delete_recording)),
        ]

    def forget(self) -> None:
        """Forget how often each number was tried."""
        self._tries.clear()

    def _served(self, handler: _Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Wrap a handler: note the time first, check the key, and answer errors as Twilio does."""

        async def serve(request: web.Request) -> web.StreamResponse:
            stamp = (time.monotonic(), time.time_ns() // 1_000_000)
            if self._faults.reset:
                return _reset(request)
            try:
                self._check_key(request)
                response = await handler(request, stamp)
            except TwilioError as error:
                if error.status == 400:
                    self._ledger.complain(f"{request.method} {request.path}: {error.code} {error}")
                response = _problem(error)
            await asyncio.sleep(self._faults.latency_s)
            return response

        return serve

    def _check_key(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), self._authorization.encode()):
            raise TwilioError(401, 20003, "Authenticate")
        if request.match_info["account"] != self._account:
            raise NOT_FOUND

    async def _create_message(self, request: web.Request, stamp: Stamp) -> web.StreamResponse:
        form = twilio_params.check_message(await pairs(request))
        first = {name: values[0] for name, values in form.items()}
        message = Message(
            self._account,
            to=first["To"],
            sender=first.get("From", ""),
            body=first.get("Body", ""),
            segments=1 if "MediaUrl" in form else segments.count(first.get("Body", "")),
            messaging_service_sid=first.get("MessagingServiceSid"),
            status_callback=first.get("StatusCallback"),
            media=len(form.get("MediaUrl", [])),
            validity_s=int(first.get("ValidityPeriod", "36000")),
        )
        script = self._text_script(message, stamp[0])
        self._note(message, script, stamp)
        return await self._answer_message(request, message, script)

    def _text_script(self, message: Message, now_s: float) -> TextScript:
        """Return what happens to this text: the switches first, then keyword blocks, then its number's script."""
        script = text_script(message.to)
        if self._faults.fail_status:
            return TextScript("switch", Answer.REFUSE, self._faults.fail_status, 20500)
        if self._throttled(now_s):
            return TextScript("switch", Answer.REFUSE, 429, 20429)
        if (message.sender, message.to) in self._texts.blocked:
            return TextScript("blocked", Answer.REFUSE, 400, 21610)
        if script.times:
            self._tries[message.to] += 1
            if self._tries[message.to] > script.times:
                return TextScript(script.says, reports=script.reports)
        return self._struck(script) if script.answer is Answer.ACCEPT else script

    def _struck(self, script: TextScript) -> TextScript:
        """Return what the switches make of a text that would be accepted and answered so."""
        faults = self._faults
        self._offered += 1
        if self._offered % (faults.every or 1):
            return script
        if faults.silence:
            return replace(script, answer=Answer.ACCEPT_THEN_HANG)
        if faults.drop:
            return replace(script, answer=Answer.ACCEPT_THEN_RESET)
        if faults.accept_status:
            return replace(script, answer=Answer.ACCEPT_THEN_REFUSE, status=faults.accept_status, code=20500)
        return script

    def _throttled(self, now_s: float) -> bool:
        """Say whether the throttle_per_s switch refuses one more request in this rolling second."""
        most = self._faults.throttle_per_s
        while self._recent and now_s - self._recent[0] >= 1.0:
            self._recent.popleft()
        if most and len(self._recent) >= most:
            return True
        self._recent.append(now_s)
        return False

    def _note(self, message: Message, script: TextScript, stamp: Stamp) -> None:
        outcome = "accepted"
        if script.answer is Answer.REFUSE:
            outcome = _OUTCOMES.get(script.status, "failed")
        elif script.answer is Answer.RESET:
            outcome = "reset"
        self._ledger.record(
            "text",
            stamp,
            sender=message.sender or message.messaging_service_sid or "",
            to=message.to,
            body=message.body,
            segments=message.segments,
            sid=message.sid if outcome == "accepted" else "",
            outcome=outcome,
            status_callback=message.status_callback or "",
        )

    async def _answer_message(self, request: web.Request, message: Message, script: TextScript) -> web.StreamResponse:
        """Let the accepted text live, and answer, or fail to, as the script says."""
        created = web.json_response(message.json(), status=201)
        if script.answer not in {Answer.REFUSE, Answer.RESET}:
            reported = self._texts.start(message, script)
            if self._faults.early:
                await reported.wait()
        match script.answer:
            case Answer.REFUSE | Answer.ACCEPT_THEN_REFUSE:
                return _problem(TwilioError(script.status, script.code, f"{script.says} (practice)"))
            case Answer.RESET | Answer.ACCEPT_THEN_RESET:
                return _reset(request)
            case Answer.ACCEPT_THEN_HANG:
                await asyncio.Event().wait()  # ends when the client leaves or the server stops
        await asyncio.sleep(script.delay_s)
        return created

    async def _list_messages(self, request: web.Request, _: Stamp) -> web.StreamResponse:
        query = query_of(request, twilio_params.LIST_MESSAGE)
        if self._faults.list_status:
            raise TwilioError(self._faults.list_status, 20500, "a switch is on (practice)")
        newest_s = time.time() - self._faults.list_lag_s
        texts = self._texts
        pool = texts.by_party.get(query["To"], []) if "To" in query else list(texts.messages.values())
        sender = query.get("From")
        found = [
            message
            for message in reversed(pool)
            if sender in {None, message.sender}
            and message.date_created <= newest_s
            and twilio_json.sent_within(message, query)
        ]
        return web.json_response(twilio_json.page("messages", request.path, found, query))

    async def _fetch_message(self, request: web.Request, _: Stamp) -> web.StreamResponse:
        return web.json_response(named(self._texts.messages, request).json())

    async def _update_message(self, request: web.Request, _: Stamp) -> web.StreamResponse:
        message = named(self._texts.messages, request)
        form = twilio_params.check(await pairs(request), twilio_params.UPDATE_MESSAGE)
        if "Status" in form:
            if message.status not in {"queued", "accepted", "scheduled"}:
                raise TwilioError(400, 30409, "The message is past cancelling")
            message.move("canceled")
        if "Body" in form:
            message.body = form["Body"][0]
        return web.json_response(message.json())

    async def _delete_message(self, request: web.Request, _: Stamp) -> web.StreamResponse:
        message = named(self._texts.messages, request)
        self._texts.forget(message)
        return web.Response(status=204)


def _problem(error: TwilioError) -> web.Response:
    return web.json_response(twilio_json.error(error.status, error.code, str(error)), status=error.status)


def _reset(request: web.Request) -> web.Response:
    """Reset the TCP connection: lingering 0 s makes the close an RST."""
    if request.transport is not None:
        sock = request.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response()
