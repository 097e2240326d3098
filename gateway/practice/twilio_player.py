"""Runs TwiML as Twilio would: says and plays in real time (or faster), presses the scripted keys, follows actions.

Source: Twilio's TwiML reference: Gather (timeout 5 s, finishOnKey #, action defaults to the current document's URL,
no input falls through to the next verb unless actionOnEmptyResult), Redirect, Record, Reject, Dial.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urljoin
from uuid import uuid4

from gateway.errors.media import BadWav
from gateway.errors.practice import BadTwiml
from gateway.practice import played_audio, twiml
from gateway.practice.ledger import Ledger
from gateway.practice.leg import Goto, Leg
from gateway.practice.scripts import Press
from gateway.practice.twiml import Verb
from gateway.practice.webhooks import Webhooks

LETTERS_PER_S = 15.0  # how fast <Say> speaks
MOST_DOCUMENTS = 200  # a call that wants more is in a loop
_SILENT = Press("")
SPOKEN_ANSWER_S = 2.0  # how long a person talks into <Record>


@dataclass(frozen=True, slots=True)
class _End:
    """The call is over."""


class Player:
    """Runs documents for one call after another; what it meets goes into the leg's transcript."""

    def __init__(self, webhooks: Webhooks, ledger: Ledger, speed: float) -> None:
        """`speed` is how many times faster than life it goes."""
        self._webhooks = webhooks
        self._ledger = ledger
        self._speed = speed

    async def run(self, leg: Leg, goto: Goto) -> None:
        """Fetch and run documents until one ends the call. A bad document ends it too, with a complaint."""
        leg.presses = [*leg.script.presses]
        started = asyncio.get_running_loop().time()
        for _ in range(MOST_DOCUMENTS):
            try:
                verbs = await self._fetch(leg, goto)
            except BadTwiml as error:
                self._complain(leg, f"{goto.url}: {error}")
                return
            after = await self._verbs(leg, verbs, goto.url, started)
            if not isinstance(after, Goto):
                return
            goto = after
        self._complain(leg, f"{goto.url}: more than {MOST_DOCUMENTS} documents in one call")

    async def _fetch(self, leg: Leg, goto: Goto) -> tuple[Verb, ...]:
        if goto.document:
            return twiml.parse(goto.document)
        params = leg.params() | dict(goto.params)
        reply = await self._webhooks.send(goto.url, params, method=goto.method)
        leg.transcript.append({"fetched": goto.url, "status": reply.status, "digits": params.get("Digits")})
        if not reply.ok:
            raise BadTwiml(f"11200, HTTP retrieval failure: status {reply.status}")
        if reply.content_type not in {"text/xml", "application/xml"}:
            raise BadTwiml(f"12300, invalid Content-Type: {reply.content_type}")
        return twiml.parse(reply.body)

    async def _verbs(self, leg: Leg, verbs: Sequence[Verb], base: str, started: float) -> Goto | _End | None:
        for verb in verbs:
            after = await self._verb(leg, verb, base, started)
            if after:
                return after
        return None

    async def _verb(self, leg: Leg, verb: Verb, base: str, started: float) -> Goto | _End | None:
        """Run one verb and say where it leads; None goes on to the next."""
        match verb.name:
            case "Gather":
                return await self._gather(leg, verb, base, started)
            case "Redirect":
                return Goto(urljoin(base, verb.text), verb.attributes.get("method", "POST"))
            case "Hangup" | "Reject":
                leg.transcript.append({verb.name.lower(): True})
                return _End()
            case "Record":
                return await self._record(leg, verb, base)
            case "Dial":
                return await self._dial(leg, verb, base)
            case _:
                await self._speak(leg, verb, base)
                return None

    async def _speak(self, leg: Leg, verb: Verb, base: str) -> None:
        """Say, Play or Pause, and take the time it takes."""
        if verb.name == "Pause":
            seconds = float(verb.number("length", 1))
            leg.transcript.append({"paused": seconds})
        elif verb.name == "Say":
            seconds = len(verb.text) / LETTERS_PER_S
            leg.transcript.append({"said": verb.text})
        else:
            seconds = await self._audio_seconds(leg, urljoin(base, verb.text)) if verb.text else 0.0
        await self._sleep(seconds * max(verb.number("loop", 1), 1))

    async def _audio_seconds(self, leg: Leg, url: str) -> float:
        """Fetch what <Play> names and return its length; unreadable audio is complained of and skipped."""
        reply = await self._webhooks.fetch(url)
        try:
            facts = played_audio.read_wav(reply.body if reply.ok else b"")
        except BadWav as error:
            self._complain(leg, f"{url}: status {reply.status}, {error}")
            return 0.0
        leg.transcript.append({"played": url, "seconds": round(facts.seconds, 3)})
        return facts.seconds

    async def _gather(self, leg: Leg, verb: Verb, base: str, started: float) -> Goto | None:
        """Play what is inside, press what the script says, and submit it as Gather does."""
        press = leg.presses.pop(0) if leg.presses else _SILENT
        await self._prompt(leg, verb, base, started, press)
        finish, most = verb.attributes.get("finishOnKey", "#"), verb.number("numDigits", 0)
        digits, finished = _collect(press.keys, finish, most)
        complete = bool(finished) or bool(most and len(digits) == most)
        if not complete:
            await self._sleep(verb.number("timeout", 5))
        leg.transcript.append({"gathered": digits})
        if not digits and not finished and verb.attributes.get("actionOnEmptyResult") != "true":
            return None
        params = {"Digits": digits} | ({"FinishedOnKey": finished} if finished else {})
        action = urljoin(base, verb.attributes.get("action", ""))
        return Goto(action, verb.attributes.get("method", "POST"), params)

    async def _prompt(self, leg: Leg, verb: Verb, base: str, started: float, press: Press) -> None:
        """Play a Gather's prompts; a key with a fixed time interrupts them."""
        until = None if press.at_s is None else started + press.at_s / self._speed
        try:
            async with asyncio.timeout_at(until):
                await self._verbs(leg, verb.children, base, started)
        except TimeoutError:
            leg.transcript.append({"interrupted": True})

    async def _record(self, leg: Leg, verb: Verb, base: str) -> Goto:
        """Speak for two seconds and fall silent."""
        await self._sleep(SPOKEN_ANSWER_S + verb.number("timeout", 5))
        sid = f"RE{uuid4().hex}"
        leg.transcript.append({"recorded": SPOKEN_ANSWER_S, "sid": sid})
        params = {
            "RecordingUrl": urljoin(base, f"/practice/recordings/{sid}"),
            "RecordingSid": sid,
            "RecordingDuration": "2",
            "Digits": "",
        }
        return Goto(urljoin(base, verb.attributes.get("action", "")), verb.attributes.get("method", "POST"), params)

    async def _dial(self, leg: Leg, verb: Verb, base: str) -> Goto:
        """Ring the number or address, which always answers, and talk for two seconds."""
        number = verb.children[0].text if verb.children else verb.text
        leg.transcript.append({"dialled": number})
        await self._sleep(SPOKEN_ANSWER_S)
        params = {"DialCallStatus": "completed", "DialCallDuration": "2"}
        return Goto(urljoin(base, verb.attributes.get("action", "")), verb.attributes.get("method", "POST"), params)

    def _complain(self, leg: Leg, what: str) -> None:
        leg.transcript.append({"complaint": what})
        self._ledger.complain(what)

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)


def _collect(keys: str, finish: str, most: int) -> tuple[str, str]:
    """Return the digits a Gather takes from `keys`, and the finish key if that ended it."""
    digits = ""
    for key in keys:
        if key == finish:
            return digits, key
        digits += key
        if len(digits) == most:
            break
    return digits, ""
