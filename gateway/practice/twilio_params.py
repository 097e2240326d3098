"""What may stand in a request to Twilio's REST API: names, types and rules of the four requests spoken here.

Source: Twilio's OpenAPI description of the 2010-04-01 API (CreateMessage, UpdateMessage, CreateCall, UpdateCall and
the two lists); a test holds these tables against that file where it is present. Error codes: Twilio's error and
warning dictionary.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway import phone
from gateway.errors.phone import InvalidNumber


class TwilioError(Exception):
    """A request that Twilio would refuse: HTTP status, Twilio's error code, and the message it would give."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of parameter: its name and the test its text must pass. A list may be given several times."""

    name: str
    fits: Callable[[str], bool]
    is_list: bool = False


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    return lambda text: compiled.fullmatch(text) is not None


def _is_moment(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _sid(prefix: str) -> Kind:
    return Kind(f"{prefix} sid", lambda text: re.fullmatch(rf"{prefix}[0-9a-fA-F]{{32}}", text) is not None)


def _one_of(*words: str) -> Kind:
    return Kind("|".join(words), frozenset(words).__contains__)


Declared = Mapping[str, Kind]  # a request's parameters by name

TEXT = Kind("string", lambda _: True)
TEXTS = Kind("array", lambda _: True, is_list=True)
PHONE = Kind("phone-number", bool)  # its form has an error code of its own: 21211, 21212
URI = Kind("uri", _matches(r"https?://[^\s]+"))
URIS = Kind("array", _matches(r"https?://[^\s]+"), is_list=True)
INTEGER = Kind("integer", _matches(r"-?[0-9]{1,18}"))
NUMBER = Kind("number", _matches(r"-?[0-9]+(\.[0-9]+)?"))
BOOLEAN = Kind("boolean", _matches("true|false"))
MOMENT = Kind("date-time", _is_moment)
METHOD = _one_of("GET", "POST")

CREATE_MESSAGE: Declared = {
    "To": PHONE,
    "StatusCallback": URI,
    "ApplicationSid": _sid("AP"),
    "MaxPrice": NUMBER,
    "ProvideFeedback": BOOLEAN,
    "Attempt": INTEGER,
    "ValidityPeriod": INTEGER,
    "ForceDelivery": BOOLEAN,
    "ContentRetention": _one_of("retain", "discard"),
    "AddressRetention": _one_of("retain", "obfuscate"),
    "SmartEncoded": BOOLEAN,
    "PersistentAction": TEXTS,
    "TrafficType": _one_of("free"),
    "ShortenUrls": BOOLEAN,
    "ScheduleType": _one_of("fixed"),
    "SendAt": MOMENT,
    "SendAsMms": BOOLEAN,
    "ContentVariables": TEXT,
    "RiskCheck": _one_of("enable", "disable"),
    "From": PHONE,
    "FallbackFrom": PHONE,
    "MessagingServiceSid": _sid("MG"),
    "Body": TEXT,
    "MediaUrl": URIS,
    "ContentSid": _sid("HX"),
}
UPDATE_MESSAGE: Declared = {"Body": TEXT, "Status": _one_of("canceled")}
CREATE_CALL: Declared = {
    "To": PHONE,
    "From": PHONE,
    "Method": METHOD,
    "FallbackUrl": URI,
    "FallbackMethod": METHOD,
    "StatusCallback": URI,
    "StatusCallbackEvent": TEXTS,
    "StatusCallbackMethod": METHOD,
    "SendDigits": TEXT,
    "Timeout": INTEGER,
    "Record": BOOLEAN,
    "RecordingChannels": TEXT,
    "RecordingStatusCallback": TEXT,
    "RecordingStatusCallbackMethod": METHOD,
    "SipAuthUsername": TEXT,
    "SipAuthPassword": TEXT,
    "MachineDetection": TEXT,
    "MachineDetectionTimeout": INTEGER,
    "RecordingStatusCallbackEvent": TEXTS,
    "Trim": TEXT,
    "CallerId": TEXT,
    "MachineDetectionSpeechThreshold": INTEGER,
    "MachineDetectionSpeechEndThreshold": INTEGER,
    "MachineDetectionSilenceTimeout": INTEGER,
    "AsyncAmd": TEXT,
    "AsyncAmdStatusCallback": URI,
    "AsyncAmdStatusCallbackMethod": METHOD,
    "Byoc": _sid("BY"),
    "CallReason": TEXT,
    "CallToken": TEXT,
    "RecordingTrack": TEXT,
    "TimeLimit": INTEGER,
    "ClientNotificationUrl": URI,
    "Url": URI,
    "Twiml": TEXT,
    "ApplicationSid": _sid("AP"),
}
UPDATE_CALL: Declared = {
    "Url": URI,
    "Method": METHOD,
    "Status": _one_of("canceled", "completed"),
    "FallbackUrl": URI,
    "FallbackMethod": METHOD,
    "StatusCallback": URI,
    "StatusCallbackMethod": METHOD,
    "Twiml": TEXT,
    "TimeLimit": INTEGER,
}
LIST_MESSAGE: Declared = {
    "To": PHONE,
    "From": PHONE,
    "DateSent": MOMENT,
    "DateSent<": MOMENT,
    "DateSent>": MOMENT,
    "PageSize": INTEGER,
    "Page": INTEGER,
    "PageToken": TEXT,
}
LIST_CALL: Declared = {
    "To": PHONE,
    "From": PHONE,
    "ParentCallSid": _sid("CA"),
    "Status": _one_of("queued", "ringing", "in-progress", "completed", "busy", "failed", "no-answer", "canceled"),
    "StartTime": MOMENT,
    "StartTime<": MOMENT,
    "StartTime>": MOMENT,
    "EndTime": MOMENT,
    "EndTime<": MOMENT,
    "EndTime>": MOMENT,
    "PageSize": INTEGER,
    "Page": INTEGER,
    "PageToken": TEXT,
}

CALL_EVENTS = frozenset({"initiated", "ringing", "answered", "completed"})
MACHINE_DETECTION = frozenset({"Enable", "DetectMessageEnd"})


def check(pairs: Iterable[tuple[str, str]], declared: Declared) -> dict[str, list[str]]:
    """Hold name-value pairs against a declared set and return the values by name.

    Raises: TwilioError 400: 20001 for a name outside the set, 20422 for a value of the wrong type or given twice.
    """
    values: dict[str, list[str]] = {}
    for name, text in pairs:
        kind = declared.get(name)
        if kind is None:
            raise TwilioError(400, 20001, f"Unknown parameter: {name}")
        if not kind.fits(text):
            raise TwilioError(400, 20422, f"Invalid Parameter: {name} is not of type {kind.name}")
        if name in values and not kind.is_list:
            raise TwilioError(400, 20422, f"Invalid Parameter: {name} is given more than once")
        values.setdefault(name, []).append(text)
    return values


def check_message(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Check a CreateMessage form and return its values. Raises TwilioError 400 with Twilio's code."""
    form = check(pairs, CREATE_MESSAGE)
    _need_phone(form, "To", missing=21604, invalid=21211)
    if "MessagingServiceSid" not in form:
        _need_phone(form, "From", missing=21603, invalid=21212)
    if not {"Body", "MediaUrl", "ContentSid"} & form.keys() or form.get("Body") == [""]:
        raise TwilioError(400, 21602, "Message body is required.")
    if {"Body", "ContentSid"} <= form.keys():
        raise TwilioError(400, 20422, "Invalid Parameter: Body and ContentSid exclude each other")
    if len(form.get("Body", [""])[0]) > 1600:
        raise TwilioError(400, 21617, "The concatenated message body exceeds the 1600 character limit")
    if not 1 <= int(form.get("ValidityPeriod", ["1"])[0]) <= 36_000:
        raise TwilioError(400, 20422, "Invalid Parameter: ValidityPeriod must lie between 1 and 36000")
    if "SendAt" in form and "MessagingServiceSid" not in form:
        raise TwilioError(400, 35118, "MessagingServiceSid is required to schedule a message")
    return form


def check_call(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Check a CreateCall form and return its values. Raises TwilioError 400 with Twilio's code."""
    form = check(pairs, CREATE_CALL)
    _need_phone(form, "To", missing=21201, invalid=21211)
    _need_phone(form, "From", missing=21213, invalid=21212)
    if len({"Url", "Twiml", "ApplicationSid"} & form.keys()) != 1:
        raise TwilioError(400, 21205, "Exactly one of Url, Twiml and ApplicationSid is required.")
    for event in form.get("StatusCallbackEvent", []):
        if event not in CALL_EVENTS:
            raise TwilioError(400, 21626, f"Invalid StatusCallbackEvent: {event}")
    if not MACHINE_DETECTION.issuperset(form.get("MachineDetection", [])):
        raise TwilioError(400, 20422, "Invalid Parameter: MachineDetection is Enable or DetectMessageEnd")
    if not 1 <= int(form.get("Timeout", ["60"])[0]) <= 600:
        raise TwilioError(400, 20422, "Invalid Parameter: Timeout must lie between 1 and 600")
    return form


def _need_phone(form: Mapping[str, list[str]], name: str, *, missing: int, invalid: int) -> None:
    if name not in form:
        raise TwilioError(400, missing, f"A '{name}' phone number is required.")
    number = form[name][0]
    try:
        plain = phone.parse(number) if name == "To" else phone.parse_sender(number)
    except InvalidNumber:
        plain = ""
    if plain != number:  # Twilio reads some other spellings too; a gateway gives E.164
        raise TwilioError(400, invalid, f"Invalid '{name}' Phone Number")
