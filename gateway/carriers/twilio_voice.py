"""Twilio Programmable Voice: placing calls over REST, and what a call is between two of its webhooks."""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
from twilio.base.exceptions import TwilioRestException

from gateway.carriers.base import Ready
from gateway.carriers.sip_outcomes import refused
from gateway.carriers.twilio import TwilioAccount, current_attempt, outcome_of
from gateway.errors.carriers import BadReport
from gateway.errors.speech import BadPrompt
from gateway.model.call import Call
from gateway.model.outcome import Accepted, Outcome
from gateway.net.http_client import Attempt, HttpClient
from gateway.speech.shaping import decoded
from gateway.store.calls import Prompt
from gateway.voice import twilio_call
from gateway.voice.dialplan import MachineAction, Plan

_RECORDING: Final = re.compile(r"RE[0-9a-f]{32}")
_MOST_RECORDED_S: Final = 660.0
_MOST_RECORDED_BYTES: Final = 12 << 20
_SPEECH_END_MS: Final = 1200  # MachineDetectionSpeechEndThreshold
_LISTENS: Final[dict[MachineAction, str]] = {"hangup": "Enable", "leave": "DetectMessageEnd"}  # at once; after the beep
_EVENTS: Final = ("initiated", "ringing", "answered", "completed")

# What Twilio's CallStatus means to us, and why it ended so; what is missing here changes nothing.
_STATUSES: Final = {
    "ringing": ("ringing", ""),
    "in-progress": ("answered", ""),
    "completed": ("completed", ""),
    "busy": ("busy", "busy"),
    "no-answer": ("no_answer", "no_answer"),
    "failed": ("failed", "carrier_refused"),
    "canceled": ("cancelled", "cancelled_at_carrier"),
}


@dataclass(frozen=True, slots=True)
class CallReport:
    """What Twilio says became of a call.

    status:   ours, or empty when it changes nothing.
    token:    the same for a repeat of this report.
    at_ms:    when it happened, to the second, as Twilio's clock says; None where it does not say.
    """

    carrier_id: str
    status: str
    reason: str
    error_code: str
    token: str
    at_ms: int | None


def detection(form: Mapping[str, str]) -> dict[str, object]:
    """What a webhook says of who answered, as `Call.detection` keeps it; empty where it was not asked.

    Source: Twilio, "Answering Machine Detection": AnsweredBy, MachineDetectionDuration (ms).
    """
    word, took_ms = form.get("AnsweredBy", ""), form.get("MachineDetectionDuration", "")
    if not word:
        return {}
    by = word if word in {"human", "unknown"} else "machine"
    known = {"known_after_s": int(took_ms) / 1000} if took_ms.isascii() and took_ms.isdigit() else {}
    left = {"left_after": word.removeprefix("machine_end_")} if word.startswith("machine_end_") else {}
    return {"by": by, "why": word[:40], **known, **left}


def message_delay_ms(form: Mapping[str, str], answered_in_s: float) -> int | None:
    """How soon after their greeting a person hears what the first webhook was answered with; None for a machine.

    Twilio tells of a person after so much silence, its default; where it does not listen, it counts from the answer.
    """
    by = detection(form).get("by")
    return None if by == "machine" else round(1000 * answered_in_s) + (_SPEECH_END_MS if by == "human" else 0)


def recorded(form: Mapping[str, str]) -> tuple[str, float] | None:
    """The recording that a webhook tells of: its id and its seconds. An id that is none of Twilio's is none."""
    sid, seconds = form.get("RecordingSid", ""), form.get("RecordingDuration", "")
    if not _RECORDING.fullmatch(sid) or not (seconds.isascii() and seconds.isdigit()) or int(seconds) == 0:
        return None
    return sid, float(seconds)


@dataclass(frozen=True, slots=True)
class Between:
    """A call between two webhooks: the engine's part, and what the last answer gave Twilio to play.

    handed_at: when that was, epoch seconds.
    pieces:    each with its seconds; None is a pause.
    """

    call: twilio_call.TwilioCall
    handed_at: float = 0.0
    pieces: tuple[tuple[Prompt | None, float], ...] = ()

    def heard(self, until: float) -> list[Prompt]:
        """What of the last answer was really played by then."""
        heard: list[Prompt] = []
        left = until - self.handed_at
        for prompt, seconds in self.pieces:
            played = round(min(seconds, left), 2)
            if prompt is not None and played > 0:
                heard.append({**prompt, "seconds": played})
            left -= seconds
        return heard

    def to_json(self) -> str:
        """For `Call.engine_state`."""
        return json.dumps({"call": twilio_call.to_json(self.call), "handed_at": self.handed_at, "pieces": self.pieces})


def between(plan: Plan, engine_state: str) -> Between:
    """What `Between.to_json` wrote."""
    plain: dict[str, Any] = json.loads(engine_state)
    pieces = tuple((prompt, seconds) for prompt, seconds in plain["pieces"])
    return Between(twilio_call.from_json(plan, plain["call"]), plain["handed_at"], pieces)


class TwilioVoice:
    """The voice road of one Twilio account.

    detects_machines:   whether Twilio listens for who answers, in calls whose plan asks.
    deletes_recordings: whether what was fetched is deleted there.
    """

    def __init__(
        self,
        account: TwilioAccount,
        http: HttpClient,
        *,
        detects_machines: bool = False,
        deletes_recordings: bool = True,
    ) -> None:
        self.name = account.name
        self.deletes_recordings = deletes_recordings
        self.secrets = frozenset({account.auth_token})
        self._account = account
        self._client = account.client(http)
        self._detects_machines = detects_machines

    async def place(
        self, call: Call, ready: Ready, *, machine: MachineAction, timeout_s: float, ring_timeout_s: int
    ) -> Outcome:
        """Offer one call, once. See `WebhookCarrier.place`."""
        attempt = Attempt(ready)
        current_attempt.set((attempt, timeout_s))
        fields: dict[str, Any] = {"to": call.recipient, "from_": call.sender, "timeout": ring_timeout_s}
        fields |= {"url": self.action(call.id, 0), "method": "POST"}
        fields["status_callback"] = f"{self._account.webhook_url}/voice-status?{urlencode({'call': call.id})}"
        fields |= {"status_callback_event": list(_EVENTS), "status_callback_method": "POST"}
        if self._detects_machines and machine in _LISTENS:
            fields["machine_detection"] = _LISTENS[machine]
        try:
            created = await self._client.calls.create_async(**fields)
        except Exception as error:  # noqa: BLE001 - whatever it was, the call was placed once or not at all
            return outcome_of(error, attempt)
        return Accepted(created.sid, created.status or "queued")

    async def ask(self, carrier_id: str, *, timeout_s: float) -> CallReport | None:
        """What Twilio has of a call now; None when it does not answer."""
        current_attempt.set((Attempt(), timeout_s))
        try:
            found = await self._client.calls(carrier_id).fetch_async()
        except Exception:  # noqa: BLE001 - whatever it was, it is asked again
            return None
        status, reason = _STATUSES.get(found.status, ("", ""))
        return CallReport(carrier_id, status, reason, "", f"{carrier_id}:asked:{found.status}", None)

    async def recording(self, sid: str, *, timeout_s: float) -> bytes | None:
        """What was recorded under this id, 8 kHz PCM16; None while Twilio does not give it."""
        account = self._account
        url = f"{account.base_url}/2010-04-01/Accounts/{account.account_sid}/Recordings/{sid}.wav"
        headers = {"Authorization": aiohttp.encode_basic_auth(account.account_sid, account.auth_token)}
        try:
            async with (
                asyncio.timeout(timeout_s),
                aiohttp.ClientSession(headers=headers) as http,
                http.get(url, allow_redirects=False) as answer,
            ):
                data = bytearray()
                async for piece in answer.content.iter_chunked(1 << 16):
                    data += piece
                    if len(data) > _MOST_RECORDED_BYTES:
                        return None
            return decoded(bytes(data), max_seconds=_MOST_RECORDED_S).pcm if answer.status == HTTPStatus.OK else None
        except (TimeoutError, OSError, aiohttp.ClientError, BadPrompt):
            return None

    async def delete_recording(self, sid: str, *, timeout_s: float) -> bool:
        """Have Twilio delete it. Returns whether it is gone, then or before."""
        current_attempt.set((Attempt(), timeout_s))
        try:
            return bool(await self._client.recordings(sid).delete_async())
        except TwilioRestException as error:
            return bool(error.status == HTTPStatus.NOT_FOUND)
        except Exception:  # noqa: BLE001 - it may be there still: it is tried again
            return False

    def action(self, call_id: str, step: int) -> str:
        """The URL that Twilio asks for step `step` of a call."""
        return f"{self._account.webhook_url}/voice?{urlencode({'call': call_id, 'step': step})}"

    def read_status(self, form: Mapping[str, str]) -> CallReport:
        """Translate a status callback whose signature was checked. Raises BadReport."""
        sid, word = form.get("CallSid"), form.get("CallStatus")
        if not sid or not word:
            raise BadReport("CallSid and CallStatus are both needed")
        status, reason = _STATUSES.get(word, ("", ""))
        code = form.get("SipResponseCode", "") if status not in {"completed", "answered", "ringing"} else ""
        if status == "failed" and code.isascii() and code.isdigit():
            reason = refused(int(code))  # a number that nobody has is not called again, by any rule
        token = f"{sid}:{form.get('SequenceNumber', '')}:{word}"
        return CallReport(sid, status, reason, code, token, _moment(form.get("Timestamp", "")))


def _moment(text: str) -> int | None:
    """An RFC 2822 date as epoch milliseconds."""
    try:
        return int(parsedate_to_datetime(text).timestamp() * 1000)
    except (ValueError, IndexError, OverflowError):
        return None
