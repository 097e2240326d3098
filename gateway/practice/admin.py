"""The far end's own endpoints under /practice/: its ledger, its switches, and "text or call the gateway now"."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import orjson
from aiohttp import web

from gateway import phone
from gateway.errors import GatewayError
from gateway.errors.practice import InvalidPracticeOption
from gateway.practice import scripts
from gateway.practice.faults import Faults
from gateway.practice.ledger import Arrival, Ledger, Rate
from gateway.practice.options import Options
from gateway.practice.scripts import CallScript, Press
from gateway.practice.texts import Texts
from gateway.practice.twilio_calls import TwilioCalls
from gateway.practice.twilio_rest import TwilioRest
from gateway.practice.webhooks import Webhooks


class SipPhone(Protocol):
    """What the admin side needs of the SIP phone."""

    def place(self, caller: str, called: str, script: CallScript) -> str:
        """Call the gateway; returns the call's identifier. Raises InvalidPracticeOption: nowhere to call."""

    def calls(self) -> list[dict[str, object]]:
        """Return what is known of every SIP call."""

    def heard(self, call_id: str) -> bytes | None:
        """Return what was heard in a call, as a WAV file."""

    def clear(self) -> None:
        """Forget finished calls."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the far end that the admin side shows and steers."""

    options: Options
    ledger: Ledger
    faults: Faults
    texts: Texts
    calls: TwilioCalls
    rest: TwilioRest
    webhooks: Webhooks
    phone: SipPhone


@dataclass(slots=True)
class _Sender:
    voice_url: str = ""
    status_url: str = ""


class Admin:
    """The handlers; `routes()` puts them under /practice/."""

    def __init__(self, parts: Parts) -> None:
        """Steer these parts."""
        self._parts = parts
        self._senders: dict[str, _Sender] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return what to add to the application."""
        return [
            web.get("/practice/table", _told(self._table)),
            web.get("/practice/ledger", _told(self._ledger)),
            web.get("/practice/counts", _told(self._counts)),
            web.get("/practice/rates", _told(self._rates)),
            web.get("/practice/webhooks", _told(self._webhooks)),
            web.post("/practice/reset", _told(self._reset)),
            web.post("/practice/inbound", _told(self._inbound)),
            web.post("/practice/call-in", _told(self._call_in)),
            web.get("/practice/calls", _told(self._calls)),
            web.get("/practice/calls/{id}.wav", _told(self._wav)),
            web.get("/practice/calls/{id}", _told(self._call)),
            web.get("/practice/faults", _told(self._faults)),
            web.put("/practice/faults", _told(self._set_faults)),
            web.put("/practice/senders/{number}", _told(self._set_sender)),
        ]

    async def _table(self, _: web.Request) -> web.Response:
        return web.Response(text=scripts.table(), content_type="text/markdown")

    async def _ledger(self, request: web.Request) -> web.Response:
        """List up to `limit` (1,000) arrivals after number `after`, of one channel, sender, to or outcome if given."""
        query = request.query
        after, limit = _number(query.get("after", "0")), _number(query.get("limit", "1000"))
        wanted = {name: query[name] for name in ("channel", "sender", "to", "outcome") if name in query}
        found: list[Arrival] = []
        for arrival in self._parts.ledger.arrivals[after:]:
            if all(getattr(arrival, name) == value for name, value in wanted.items()):
                found.append(arrival)
            if len(found) == limit:
                break
        return _json({"arrivals": [asdict(a) for a in found], "complaints": self._parts.ledger.complaints})

    async def _counts(self, _: web.Request) -> web.Response:
        parts = self._parts
        more = {"webhooks": dict(parts.webhooks.tallies), "blocked_pairs": len(parts.texts.blocked)}
        return _json(parts.ledger.counts() | more)

    async def _rates(self, _: web.Request) -> web.Response:
        return _json({"senders": [asdict(report) for report in self._parts.ledger.rate_reports()]})

    async def _webhooks(self, _: web.Request) -> web.Response:
        return _json({"webhooks": [asdict(delivery) for delivery in self._parts.webhooks.sent]})

    async def _reset(self, _: web.Request) -> web.Response:
        """Forget what was received and turn every switch off. Rates and URLs of senders stay."""
        parts = self._parts
        for part in (parts.ledger, parts.texts, parts.calls, parts.phone):
            part.clear()
        parts.rest.forget()
        parts.webhooks.sent.clear()
        parts.webhooks.tallies.clear()
        parts.faults.set(asdict(Faults()))
        return _json({})

    async def _inbound(self, request: web.Request) -> web.Response:
        """Text a sender now: {from, to, body, sid?}; `sid` repeats an earlier text. Answers what the gateway said."""
        given = await _body(request, {"from", "to", "body"}, {"sid"})
        person, sender = phone.parse(given["from"]), phone.parse_sender(given["to"])
        sid, reply = await self._parts.texts.inbound(person, sender, given["body"], sid=given.get("sid"))
        return _json({"sid": sid, "status": reply.status, "answer": reply.body.decode(errors="replace")})

    async def _call_in(self, request: web.Request) -> web.Response:
        """Call a sender now: {from, to, via: "sip" | "twilio", keys?, hangs_up_s?}.

        keys is a list of what is pressed after each prompt, "" for silence; without it the caller's last four digits
        decide, as for calls that the gateway places.
        """
        given = await _body(request, {"from", "to", "via"}, {"keys", "hangs_up_s"})
        person, sender = phone.parse(given["from"]), phone.parse_sender(given["to"])
        script = scripts.call_script(person)
        if "keys" in given or "hangs_up_s" in given:
            presses = tuple(Press(str(keys)) for keys in given.get("keys", []))
            script = CallScript("as told", presses=presses, hangs_up_s=given.get("hangs_up_s"))
        if given["via"] == "sip":
            return _json({"id": self._parts.phone.place(person, sender, script)})
        settings = self._senders.get(sender, _Sender())
        url = settings.voice_url or self._parts.options.voice_url
        if given["via"] != "twilio" or not url:
            raise InvalidPracticeOption("via is sip or twilio, and twilio needs a voice URL")
        return _json({"id": self._parts.calls.inbound(person, sender, script, url, settings.status_url)})

    async def _calls(self, _: web.Request) -> web.Response:
        return _json({"calls": [*self._twilio_calls(), *self._parts.phone.calls()]})

    async def _call(self, request: web.Request) -> web.Response:
        wanted = request.match_info["id"]
        for call in (*self._twilio_calls(), *self._parts.phone.calls()):
            if call["id"] == wanted:
                return _json(call)
        raise web.HTTPNotFound

    async def _wav(self, request: web.Request) -> web.Response:
        heard = self._parts.phone.heard(request.match_info["id"])
        if heard is None:
            raise web.HTTPNotFound
        return web.Response(body=heard, content_type="audio/wav")

    def _twilio_calls(self) -> list[dict[str, object]]:
        return [
            {"id": sid, "via": "twilio", "call": leg.call.json(), "transcript": leg.transcript}
            for sid, leg in self._parts.calls.legs.items()
        ]

    async def _faults(self, _: web.Request) -> web.Response:
        return _json(asdict(self._parts.faults))

    async def _set_faults(self, request: web.Request) -> web.Response:
        self._parts.faults.set(await _object(request))
        return _json(asdict(self._parts.faults))

    async def _set_sender(self, request: web.Request) -> web.Response:
        """Set what a sender should keep and where its traffic goes: {rate?, inbound_url?, voice_url?, status_url?}."""
        sender = phone.parse_sender(request.match_info["number"])
        given = await _body(request, set(), {"rate", "inbound_url", "voice_url", "status_url"})
        if "rate" in given:
            self._parts.ledger.rates[sender] = Rate.parse(given["rate"])
        if "inbound_url" in given:
            self._parts.texts.set_inbound_url(sender, given["inbound_url"])
        settings = self._senders.setdefault(sender, _Sender())
        settings.voice_url = given.get("voice_url", settings.voice_url)
        settings.status_url = given.get("status_url", settings.status_url)
        return _json(given)


def _told(
    handler: Callable[[web.Request], Awaitable[web.Response]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Wrap a handler so that errors raised on purpose are answered in words."""

    async def tell(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except GatewayError as error:
            return web.json_response({"type": error.slug, "detail": str(error)}, status=error.status)

    return tell


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        found = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise InvalidPracticeOption("the body must be a JSON object")
    return found


async def _body(request: web.Request, needed: set[str], optional: set[str]) -> dict[str, Any]:
    """Return the JSON object of a request; keys is a list, hangs_up_s a number, all else text."""
    found = await _object(request)
    kinds: dict[str, tuple[type, ...]] = {"keys": (list,), "hangs_up_s": (int, float)}
    wrong = [name for name, value in found.items() if not isinstance(value, kinds.get(name, (str,)))]
    if not needed <= found.keys() <= needed | optional or wrong:
        raise InvalidPracticeOption(f"give {sorted(needed)} and at most {sorted(optional)}; wrong type: {wrong}")
    return found


def _number(text: str) -> int:
    if not text.isdecimal():
        raise InvalidPracticeOption(f"{text!r} is not a number")
    return int(text)


def _json(value: object) -> web.Response:
    """Answer JSON; keys that are numbers become text."""
    body = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    return web.Response(body=body, content_type="application/json")
