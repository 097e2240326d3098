"""Twilio's REST API for calls and what was recorded in them; `twilio_rest` checks the key and answers errors."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from gateway.media import wav
from gateway.practice import twilio_json, twilio_params
from gateway.practice.faults import Faults
from gateway.practice.greetings import words
from gateway.practice.ledger import Ledger
from gateway.practice.leg import Goto
from gateway.practice.scripts import call_script
from gateway.practice.twilio_calls import TwilioCalls
from gateway.practice.twilio_json import Call
from gateway.practice.twilio_params import TwilioError
from gateway.practice.twilio_player import SPOKEN_ANSWER_S
from gateway.practice.twilio_requests import NOT_FOUND, Stamp, named, pairs, query_of


class CallHandlers:
    """The handlers under /Calls and /Recordings."""

    def __init__(
        self, account: str, ledger: Ledger, calls: TwilioCalls, faults: Faults, throttled: Callable[[float], bool]
    ) -> None:
        """`throttled` says whether one more request, at this monotonic time, is too many."""
        self._account = account
        self._ledger = ledger
        self._calls = calls
        self._faults = faults
        self._throttled = throttled

    async def fetch_recording(self, request: web.Request, _stamp: Stamp) -> web.StreamResponse:
        """What somebody said into <Record>: two seconds of words."""
        if not self._calls.has_recording(request.match_info["sid"]):
            raise NOT_FOUND
        return web.Response(body=wav.write(words(SPOKEN_ANSWER_S)), content_type="audio/x-wav")

    async def delete_recording(self, request: web.Request, _stamp: Stamp) -> web.StreamResponse:
        """Have it no more."""
        if not self._calls.has_recording(request.match_info["sid"]):
            raise NOT_FOUND
        self._calls.delete_recording(request.match_info["sid"])
        return web.Response(status=204)

    async def create(self, request: web.Request, stamp: Stamp) -> web.StreamResponse:
        """Place a call."""
        form = twilio_params.check_call(await pairs(request))
        if self._faults.fail_status or self._throttled(stamp[0]):
            status, code = (self._faults.fail_status, 20500) if self._faults.fail_status else (429, 20429)
            raise TwilioError(status, code, "a switch is on (practice)")
        call = Call(self._account, form["To"][0], form["From"][0])
        self._ledger.record(
            "call",
            stamp,
            sender=call.sender,
            to=call.to,
            body="",
            segments=0,
            sid=call.sid,
            outcome="accepted",
            status_callback=form.get("StatusCallback", [""])[0],
        )
        created = web.json_response(call.json(), status=201)
        self._calls.start(call, call_script(call.to), form)
        if self._faults.silence:
            await asyncio.Event().wait()
        return created

    async def listing(self, request: web.Request, _: Stamp) -> web.StreamResponse:
        """The calls that fit, newest first."""
        query = query_of(request, twilio_params.LIST_CALL)
        wanted = {"To": query.get("To"), "From": query.get("From"), "Status": query.get("Status")}
        found = [
            leg.call
            for leg in reversed(self._calls.legs.values())
            if wanted["To"] in {None, leg.call.to}
            and wanted["From"] in {None, leg.call.sender}
            and wanted["Status"] in {None, leg.call.status}
        ]
        return web.json_response(twilio_json.page("calls", request.path, found, query))

    async def fetch(self, request: web.Request, _: Stamp) -> web.StreamResponse:
        """How a call stands."""
        return web.json_response(named(self._calls.legs, request).call.json())

    async def update(self, request: web.Request, _: Stamp) -> web.StreamResponse:
        """Hang up, or go on with another document."""
        leg = named(self._calls.legs, request)
        form = twilio_params.check(await pairs(request), twilio_params.UPDATE_CALL)
        if leg.call.end is not None:
            raise TwilioError(400, 21220, "Call is not in-progress. Cannot redirect.")
        if "Status" in form:
            self._calls.hang_up(leg)
        elif "Url" in form or "Twiml" in form:
            document = form.get("Twiml", [""])[0].encode()
            goto = Goto(form.get("Url", [""])[0], form.get("Method", ["POST"])[0], {}, document)
            self._calls.send_to(leg, goto)
        return web.json_response(leg.call.json())

    async def delete(self, request: web.Request, _: Stamp) -> web.StreamResponse:
        """Have it no more."""
        del self._calls.legs[named(self._calls.legs, request).call.sid]
        return web.Response(status=204)
