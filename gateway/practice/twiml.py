"""Reading TwiML: an XML document becomes verbs, or an error that says what Twilio would not run.

Source: Twilio's TwiML reference for voice (verbs, attributes, nesting). Only what an announcement call needs is known
here: Say, Play, Pause, Gather, Redirect, Hangup, Reject, Record and Dial (to a number or a SIP address).
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from gateway.errors.practice import BadTwiml

BIGGEST_DOCUMENT = 64 * 1024  # bytes; Twilio's own limit

ATTRIBUTES: Mapping[str, frozenset[str]] = {
    "Say": frozenset({"voice", "language", "loop"}),
    "Play": frozenset({"loop", "digits"}),
    "Pause": frozenset({"length"}),
    "Gather": frozenset(
        {
            "action",
            "method",
            "timeout",
            "finishOnKey",
            "numDigits",
            "input",
            "actionOnEmptyResult",
            "language",
            "hints",
            "bargeIn",
            "speechTimeout",
            "speechModel",
            "maxSpeechTime",
            "enhanced",
            "profanityFilter",
            "partialResultCallback",
            "partialResultCallbackMethod",
            "debug",
        }
    ),
    "Redirect": frozenset({"method"}),
    "Hangup": frozenset(),
    "Reject": frozenset({"reason"}),
    "Record": frozenset(
        {
            "action",
            "method",
            "timeout",
            "finishOnKey",
            "maxLength",
            "playBeep",
            "trim",
            "recordingStatusCallback",
            "recordingStatusCallbackMethod",
            "recordingStatusCallbackEvent",
            "transcribe",
            "transcribeCallback",
        }
    ),
    "Dial": frozenset({"action", "method", "timeout", "callerId", "timeLimit", "answerOnBridge", "hangupOnStar"}),
    "Number": frozenset({"sendDigits"}),
    "Sip": frozenset({"username", "password"}),
}
_INSIDE: Mapping[str, Container[str]] = {"Gather": {"Say", "Play", "Pause"}, "Dial": {"Number", "Sip"}}
_AT_THE_TOP = ATTRIBUTES.keys() - {"Number", "Sip"}
_NEED_TEXT = frozenset({"Say", "Play", "Redirect", "Number", "Sip"})
_NUMBERS = frozenset({"timeout", "numDigits", "length", "loop", "maxLength"})


@dataclass(frozen=True, slots=True)
class Verb:
    """One element: its name, its attributes, its text, and what stands in it: what a Gather says, whom a Dial rings."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    children: tuple["Verb", ...] = ()

    def number(self, attribute: str, default: int) -> int:
        """Return a whole-number attribute."""
        return int(self.attributes.get(attribute, default))


def parse(document: bytes) -> tuple[Verb, ...]:
    """Read a TwiML document. Raises BadTwiml with what is wrong: not XML, no Response, an unknown verb or attribute."""
    if len(document) > BIGGEST_DOCUMENT:
        raise BadTwiml("the document is larger than 64 kB")
    if b"<!DOCTYPE" in document or b"<!ENTITY" in document:
        raise BadTwiml("the document declares a type or an entity")
    try:
        root = ET.fromstring(document)  # noqa: S314  entities are refused above
    except ET.ParseError as error:
        raise BadTwiml(f"not XML: {error}") from None
    if root.tag != "Response":
        raise BadTwiml(f"the root is {root.tag}, not Response")
    return tuple(_verb(element, _AT_THE_TOP) for element in root)


def _verb(element: ET.Element, allowed: Container[str]) -> Verb:
    if element.tag not in allowed:
        raise BadTwiml(f"{element.tag} cannot stand here")
    for name, value in element.attrib.items():
        if name not in ATTRIBUTES[element.tag]:
            raise BadTwiml(f"{element.tag} has no attribute {name}")
        if name in _NUMBERS and not value.isdecimal():
            raise BadTwiml(f"{element.tag} {name} is not a number: {value!r}")
    text = (element.text or "").strip()
    plays_keys = element.tag == "Play" and "digits" in element.attrib
    if element.tag in _NEED_TEXT and not text and not plays_keys:
        raise BadTwiml(f"{element.tag} is empty")
    nested = _INSIDE.get(element.tag, ())
    return Verb(element.tag, dict(element.attrib), text, tuple(_verb(child, nested) for child in element))
