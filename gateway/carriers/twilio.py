"""Twilio Programmable Messaging. A text is posted by this file itself; lists (and calls) go by the `twilio` package.

The package's own HTTP client ignores its timeout and its `max_retries` posts again, so its requests go through ours.
Building a text's form and reading its answer would cost as much in it as the post itself (decision 0007).
"""

import contextvars
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote_plus

import aiohttp
import orjson
from twilio.base.exceptions import TwilioRestException
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from gateway.carriers.base import Incoming, Listed, Ready, Report, Written
from gateway.carriers.twilio_codes import ACCOUNT, REFUSALS, THROTTLES, refusal
from gateway.errors.carriers import BadReport, CarrierListUnread
from gateway.model.message import Message
from gateway.model.outcome import Accepted, NotSent, Outcome, Refused, Throttled, Unknown
from gateway.net.http_client import Answer, Attempt, HttpClient, TakenBackError

_API: Final = "https://api.twilio.com"
_MAX_VALIDITY_S: Final = 36_000  # Twilio: ValidityPeriod is 1 to 36,000 seconds
_PAGE: Final = 100  # texts a page of a list: some 100 kB
_MOST_LISTED: Final = 2_000  # texts to one person within the time asked about: more is no list we understand

# What Twilio's MessageStatus means to us; what is missing here changes nothing.
_STATUSES: Final = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "delivered",
    "undelivered": "undelivered",
    "failed": "failed",
    "canceled": "failed",
    "queued": "sent",
    "accepted": "sent",
    "sending": "sent",
}

# Who we are, or where we ask, is wrong: a text was not even looked at, and every other would fare the same. A carrier's
# word on this very text goes before.
_NOT_OURS: Final = frozenset({401, 403, 404, 405, 407})

# Beside 5xx, what leaves in doubt whether a text was taken: a 303 answers a request that was worked off (RFC 9110,
# section 15.4.4); a 408 is said of a connection that is about to be closed, and may meet our text on its way there.
_IN_DOUBT: Final = frozenset({303, 408})
_LONGEST_WISH_S: Final = 300  # of a carrier that asks us to wait: a proxy's hour would keep a sender from everybody

_IN_QUEUE: Final = frozenset({"accepted", "scheduled", "queued", "sending"})

_quoted = lru_cache(maxsize=256)(quote_plus)  # what all texts of a job share: their body and their sender

_log = logging.getLogger("twilio")
# What the transport is to make of the request that the package builds next in this task, and how long it may take.
current_attempt: contextvars.ContextVar[tuple[Attempt, float]] = contextvars.ContextVar("attempt")


class TwilioTransport(AsyncHttpClient):  # type: ignore[misc]
    """The `twilio` package's HTTP over our client: `base_url` instead of Twilio's host, one try, our timeout."""

    def __init__(self, http: HttpClient, base_url: str) -> None:
        super().__init__(_log, True, None)
        self._http = http
        self._base_url = base_url.rstrip("/")

    async def request(
        self,
        method: str,
        url: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - the package's signature
        allow_redirects: bool = False,  # noqa: ARG002
    ) -> Response:
        """Make the request that the package built."""
        attempt, timeout_s = current_attempt.get()
        answer = await self._http.request(
            method,
            url.replace(_API, self._base_url, 1),
            attempt,
            timeout_s=timeout_s,
            params=params,
            data=data or b"",
            headers={**(headers or {}), **({"Authorization": aiohttp.encode_basic_auth(*auth)} if auth else {})},
        )
        return Response(answer.status, answer.body, answer.headers)


@dataclass(frozen=True, slots=True)
class TwilioAccount:
    """One account. `webhook_url` is where Twilio reaches `/carriers/<name>/` of ours."""

    name: str
    account_sid: str
    auth_token: str
    base_url: str
    webhook_url: str

    def client(self, http: HttpClient) -> Any:
        """The package's REST client over our HTTP."""
        return Client(self.account_sid, self.auth_token, http_client=TwilioTransport(http, self.base_url))


class TwilioSms:
    """The SMS road of one Twilio account."""

    def __init__(self, account: TwilioAccount, http: HttpClient) -> None:
        self.name = account.name
        self.secrets = frozenset({account.auth_token})
        self._client = account.client(http)
        self._http = http
        self._texts_at = f"{account.base_url.rstrip('/')}/2010-04-01/Accounts/{account.account_sid}/Messages.json"
        self._reports_at = quote_plus(f"{account.webhook_url}/status?id=")
        self._headers = {
            "Authorization": aiohttp.encode_basic_auth(account.account_sid, account.auth_token),
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }

    async def send(
        self, message: Message, ready: Ready, on_written: Written, *, timeout_s: float, validity_s: int | None
    ) -> Outcome:
        """Offer one message, once. See `SmsCarrier.send`."""
        attempt = Attempt(ready, on_written)
        try:
            form = self._form(message, validity_s)
            answer = await self._http.request(
                "POST", self._texts_at, attempt, timeout_s=timeout_s, data=form, headers=self._headers
            )
        except Exception as error:  # noqa: BLE001 - whatever it was, the text is out there once or not at all
            return outcome_of(error, attempt)
        return _read(answer)

    def _form(self, message: Message, validity_s: int | None) -> bytes:
        """The form of `POST …/Messages.json`, as the `twilio` package would write it: a test compares the two.

        Ids of ours are letters, digits and underscores: nothing in them is quoted.
        """
        form = (
            f"To={quote_plus(message.recipient)}&From={_quoted(message.sender)}&Body={_quoted(message.body)}"
            f"&StatusCallback={self._reports_at}{message.id}"
            "&SmartEncoded=false"  # Twilio's own substitutions would change the count we took limits for
        )
        if validity_s is not None:
            form += f"&ValidityPeriod={max(1, min(validity_s, _MAX_VALIDITY_S))}"
        return form.encode("ascii")

    def read_report(self, form: Mapping[str, str], query: Mapping[str, str]) -> Report:
        """Translate a StatusCallback. The id in its URL is ours; MessageSid is Twilio's."""
        sid = form.get("MessageSid") or form.get("SmsSid")
        word = form.get("MessageStatus") or form.get("SmsStatus")
        if not sid or not word:
            raise BadReport("MessageSid and MessageStatus are both needed")
        return _report(query.get("id"), sid, word, form.get("ErrorCode", ""))

    async def listed(self, sender: str, recipient: str, since_ms: int, *, timeout_s: float) -> list[Listed]:
        """See `ListingCarrier`. Twilio's date filters look at DateSent, which is empty while queued: not used."""
        current_attempt.set((Attempt(), timeout_s))
        found: dict[str, Listed] = {}  # a page may begin with what the one before ended with
        read = 0
        try:
            pages = await self._client.messages.stream_async(
                to=recipient, from_=sender, page_size=_PAGE, limit=_MOST_LISTED
            )
            async for record in pages:
                listed = _listed(record)
                if listed.created_ms < since_ms:
                    return list(found.values())
                found[listed.report.carrier_id] = listed
                read += 1
        except Exception as error:
            raise CarrierListUnread(self.name, type(error).__name__) from error
        if read == _MOST_LISTED:
            raise CarrierListUnread(self.name, f"{_MOST_LISTED} texts to one person and no end")
        return list(found.values())

    def read_incoming(self, form: Mapping[str, str]) -> Incoming:
        """Translate an inbound message webhook."""
        missing = [name for name in ("MessageSid", "From", "To") if not form.get(name)]
        if missing:
            raise BadReport(f"missing {', '.join(missing)}")
        return Incoming(form["MessageSid"], form["To"], form["From"], form.get("Body", ""))


def _listed(record: Any) -> Listed:
    created_ms = int(record.date_created.timestamp() * 1000)
    return Listed(
        record.body or "", created_ms, _report(None, record.sid, str(record.status), str(record.error_code or ""))
    )


def _report(message_id: str | None, sid: str, word: str, code: str) -> Report:
    """What Twilio's word for a status, and its error code, mean to us."""
    status = _STATUSES.get(word, "")
    reason = ""
    if status in {"failed", "undelivered"}:
        reason, final = refusal(code)
        reason = "cancelled_at_carrier" if word == "canceled" else reason
        status = final if final == "expired" else status
    return Report(message_id, sid, status, reason, code, has_left=word not in _IN_QUEUE)


def _read(answer: Answer) -> Outcome:
    """What Twilio says of a text it was offered."""
    try:
        told = orjson.loads(answer.body)
        told = told if isinstance(told, dict) else {}
    except orjson.JSONDecodeError:
        told = {}
    if not 200 <= answer.status < 300:
        wish_s = _retry_after_s(answer.headers.get("retry-after", ""))
        return _refused(answer.status, str(told.get("code") or answer.status), wish_s)
    sid = told.get("sid")
    if not isinstance(sid, str) or not sid:
        return Unknown("unreadable")
    return Accepted(sid, str(told.get("status") or "queued"))


def outcome_of(error: Exception, attempt: Attempt) -> Outcome:
    """What became of a request that ended in `error`: see product promise P2 for the line between the last two."""
    if isinstance(error, TwilioRestException):
        return _refused(error.status, str(error.code or ""))
    if isinstance(error, TakenBackError):
        return NotSent("taken_back")
    if attempt.written:
        broken = isinstance(error, OSError)
        return Unknown(
            "timeout" if isinstance(error, TimeoutError) else "connection_broken" if broken else "unreadable"
        )
    return NotSent("timeout" if isinstance(error, TimeoutError) else "connection_refused")


def _retry_after_s(text: str) -> float | None:
    """What a Retry-After of whole seconds wishes (RFC 9110, section 10.2.3), up to a bound; None for anything else."""
    return float(min(int(text), _LONGEST_WISH_S)) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _refused(status: int, code: str, retry_after_s: float | None = None) -> Outcome:
    if status == 429 or code in THROTTLES:
        return Throttled(code or "429", retry_after_s)
    if status >= 500 or (status in _IN_DOUBT and code not in REFUSALS):
        return Unknown(f"http_{status}")
    if code in ACCOUNT or (code not in REFUSALS and (status in _NOT_OURS or status < 400)):
        return NotSent("carrier_account")
    reason, final = refusal(code)
    return Refused(code, reason, final)
