"""A call over Twilio's API while it lasts, and where its TwiML sends it next."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.practice.scripts import CallScript, Press
from gateway.practice.twilio_json import API_VERSION, Call


@dataclass(frozen=True, slots=True)
class Goto:
    """Run a document: the one given, or what `url` answers to the call's parameters and these."""

    url: str
    method: str = "POST"
    params: Mapping[str, str] = field(default_factory=dict)
    document: bytes = b""


@dataclass(slots=True)
class Leg:
    """A call in progress: its record, its script, where its progress is reported, and how to end it early."""

    call: Call
    script: CallScript
    form: Mapping[str, list[str]]
    sequence: int = 0
    limit: asyncio.Timeout | None = None
    redirect: Goto | None = None
    cancelled: bool = False
    presses: list[Press] = field(default_factory=list)
    transcript: list[dict[str, object]] = field(default_factory=list)

    def first(self, name: str, default: str = "") -> str:
        """Return the first value of a form parameter."""
        return self.form.get(name, [default])[0]

    def params(self) -> dict[str, str]:
        """Return what every voice webhook of this call carries."""
        call = self.call
        answered_by = {"AnsweredBy": call.answered_by} if call.answered_by else {}
        return answered_by | {
            "CallSid": call.sid,
            "AccountSid": call.account_sid,
            "From": call.sender,
            "To": call.to,
            "Caller": call.sender,
            "Called": call.to,
            "CallStatus": call.status,
            "Direction": call.direction,
            "ApiVersion": API_VERSION,
        }
