"""Webhooks of one call at Twilio, posted by hand: signed as Twilio signs them."""

from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import aiohttp
from twilio.request_validator import RequestValidator

from gateway.carriers.twilio_voice import Between
from gateway.store import calls
from gateway.store.calls import Plans
from gateway.voice import engine
from gateway.voice.twilio_call import TwilioCall


@dataclass(frozen=True, slots=True)
class Twilio:
    """Webhooks of one call, posted by hand: signed as Twilio signs them."""

    calling: Any
    http: aiohttp.ClientSession

    async def post(self, path: str, *, sign: bool = True, **form: str) -> tuple[int, str]:
        url = f"{self.calling.url}/carriers/twilio/{path}"
        token = self.calling.far_end.parts.options.auth_token if sign else "wrong"
        headers = {"X-Twilio-Signature": RequestValidator(token).compute_signature(url, form)}
        async with self.http.post(url, data=form, headers=headers) as answer:
            return answer.status, await answer.text()

    async def turn(self, call_id: str, step: int, **form: str) -> ET.Element:
        status, xml = await self.post(f"voice?call={call_id}&step={step}", CallSid="CA1", **form)
        assert status == 200
        return ET.fromstring(xml)  # noqa: S314  it is our own answer

    async def status(self, call_id: str, word: str, sequence: int, **form: str) -> int:
        more = {"CallSid": "CA1", "CallStatus": word, "SequenceNumber": str(sequence), **form}
        return (await self.post(f"voice-status?call={call_id}", **more))[0]


async def placed(calling: Any, version: int = 1, **other: Any) -> str:
    """A call that Twilio took: nobody but the test posts its webhooks."""
    more = {"status": "dialing", "carrier": "twilio", "carrier_id": "CA1", "dialplan_version": version, **other}
    (call_id,) = await calling.queue("1234", **more)
    _, plan = await Plans(calling.database).get("acme", "bill", version)
    state = engine.start(plan, {"name": "Ana"})
    waiting = Between(TwilioCall(state)).to_json()
    await calling.database.write(lambda tx: calls.progress(tx, call_id, state, (), 1, engine_state=waiting))
    return str(call_id)
