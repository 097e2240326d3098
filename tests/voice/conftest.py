"""A telephone behind Twilio, as far as TwiML goes: reads the answer, plays it, presses keys, calls the next URL."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

import pytest

from gateway.practice.twiml import parse
from gateway.voice import twilio_call, twiml
from gateway.voice.dialplan import KEYS, Pause, Plan, Play, Say
from gateway.voice.state import State
from gateway.voice.transcript import words
from gateway.voice.twiml_verbs import Clip

CLIP_SECONDS = 2.0


@dataclass
class TwilioPhone:
    """Places one call against `gateway.voice.twiml` and keeps what was heard. Its clock starts at 1,000 s."""

    call: twilio_call.TwilioCall
    now: float = 1000.0
    said: list[str] = field(default_factory=list)
    opt_outs: int = 0
    sms: list[str] = field(default_factory=list)
    recordings: int = 0
    clips: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> State:
        return self.call.state

    def post(self, step: int, form: Mapping[str, str]) -> ET.Element:
        """One webhook, through JSON as it would be stored in between; every fresh one is posted a second time."""
        self.call = twilio_call.from_json(self.state.plan, twilio_call.to_json(self.call))
        turn = twiml.receive(self.call, step, form, now=self.now)
        self.opt_outs += len(turn.opt_outs)
        self.sms += [text.body for text in turn.texts]
        rendered = {part: self._clip(part) for part in turn.parts}
        self.call, xml = twiml.reply(
            turn, clip=rendered.__getitem__, action="/voice?call=1&step={}".format, now=self.now
        )
        again, repeated = twiml.reply(
            twiml.receive(self.call, step, form, now=self.now + 1),
            clip=rendered.__getitem__,
            action=str,
            now=self.now + 1,
        )
        assert (again, repeated) == (self.call, xml)
        parse(xml.encode())  # the practice far end knows what Twilio would not run
        return ET.fromstring(xml)  # noqa: S314  # it is our own answer

    def _clip(self, part: Say | Play) -> Clip:
        url = f"https://gateway.example/audio/{len(self.clips)}"
        self.clips[url] = words(part)
        return Clip(url, CLIP_SECONDS)

    def hear(self, verbs: Sequence[ET.Element]) -> None:
        """Play what is to be played, to its end."""
        for verb in verbs:
            if verb.tag == "Play":
                self.said.append(self.clips[verb.text or ""])
                self.now += CLIP_SECONDS
            elif verb.tag == "Pause":
                self.said.append(words(Pause(float(verb.attrib["length"]))))
                self.now += float(verb.attrib["length"])

    def run(self, keys: Sequence[str]) -> None:
        """The whole call: `keys` as for `transcript.simulate`."""
        rest = list(keys)
        form = {"AnsweredBy": "machine_end_beep" if rest[:1] == ["machine"] else "human"}
        del rest[: rest[:1] == ["machine"]]
        step = 0
        while True:
            answer = self.post(step, form)
            self.hear(list(answer))
            gather, redirect = answer.find("Gather"), answer.find("Redirect")
            dial, record = answer.find("Dial"), answer.find("Record")
            if dial is not None or record is not None:
                if rest[:1] == ["hangup"]:
                    del rest[0]
                    break
                if dial is not None:
                    form, url = self._dial(rest), dial.attrib["action"]
                elif record is not None:
                    form, url = self._record(record, rest.pop(0) if rest else "silence"), record.attrib["action"]
            elif gather is not None:
                self.hear(list(gather))
                entry = rest.pop(0) if rest else "silence"
                if entry == "hangup":
                    break
                form, url = self._gather(gather, entry), gather.attrib["action"]
            elif redirect is not None:
                form, url = {}, redirect.text or ""
            else:
                assert answer[-1].tag == "Hangup"
                break
            step = int(re.search(r"step=(\d+)", url)[1])  # type: ignore[index]
        turn = twiml.hung_up(self.call, by="person", now=self.now)
        self.call, self.opt_outs = turn.call, self.opt_outs + len(turn.opt_outs)

    def _dial(self, rest: list[str]) -> dict[str, str]:
        """Ring the other number; who is put through talks until both are done."""
        self.now += 10.0
        if rest[:1] == ["no_transfer"]:
            del rest[0]
            return {"DialCallStatus": "no-answer"}
        return {"DialCallStatus": "completed"}

    def _record(self, record: ET.Element, entry: str) -> dict[str, str]:
        """What <Record> makes of an entry: a recording, or the verb after it when nothing was said."""
        finish = record.attrib["finishOnKey"]
        ends = bool(finish) and finish in entry
        if not ends and entry != "speaks":
            return {}  # on to the <Redirect>, which leads to the same step
        self.recordings += 1
        self.now += 5.0
        digits = {"Digits": finish} if ends else {}
        return {"RecordingSid": f"recording-{self.recordings}", "RecordingDuration": "5", **digits}

    def _gather(self, gather: ET.Element, entry: str) -> dict[str, str]:
        """What <Gather> makes of an entry: digits up to numDigits or finishOnKey, or the wait for them."""
        assert gather.attrib["actionOnEmptyResult"] == "true"
        digits, finish = "", gather.attrib["finishOnKey"]
        for key in entry if entry[0] in KEYS else "":
            if key == finish:
                return {"Digits": digits, "FinishedOnKey": key}
            digits += key
            if len(digits) == int(gather.attrib["numDigits"]):
                return {"Digits": digits}
        self.now += float(gather.attrib["timeout"])
        return {"Digits": digits}


Dial = Callable[[Plan, Mapping[str, str], Sequence[str]], TwilioPhone]


@pytest.fixture(scope="session")
def dial() -> Dial:
    """Make one whole call over TwiML."""

    def place(plan: Plan, variables: Mapping[str, str], keys: Sequence[str]) -> TwilioPhone:
        phone = TwilioPhone(twilio_call.begin(plan, variables))
        phone.run(keys)
        return phone

    return place
