"""Twilio's resources as this far end keeps them, and their JSON: messages, calls, lists and errors.

Source: the schemas api.v2010.account.message and api.v2010.account.call of Twilio's OpenAPI description.
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Protocol
from urllib.parse import urlencode

API_VERSION = "2010-04-01"
_CALL_PARTS = (
    "notifications",
    "recordings",
    "payments",
    "events",
    "siprec",
    "streams",
    "transcriptions",
    "user_defined_message_subscriptions",
    "user_defined_messages",
)


def new_sid(prefix: str) -> str:
    """Return a fresh identifier of 34 characters: SM for a message, CA for a call."""
    return prefix + secrets.token_hex(16)


def stamp(moment: float | None) -> str | None:
    """Write seconds since 1970 as Twilio's REST does: RFC 2822 in UTC, to the second."""
    return None if moment is None else formatdate(int(moment)).replace("-0000", "+0000")


class Resource(Protocol):
    """What a list needs to know of a message or a call."""

    @property
    def to(self) -> str:
        """The far party."""

    @property
    def sender(self) -> str:
        """The near party."""

    def json(self) -> dict[str, object]:
        """Return the fields Twilio would give."""


@dataclass(slots=True)
class Message:
    """One text, in or out. Times are seconds since 1970."""

    account_sid: str
    to: str
    sender: str
    body: str
    segments: int
    status: str = "queued"
    direction: str = "outbound-api"
    messaging_service_sid: str | None = None
    status_callback: str | None = None
    media: int = 0
    error_code: int | None = None
    validity_s: int = 36_000
    date_sent: float | None = None
    sid: str = field(default_factory=lambda: new_sid("SM"))
    date_created: float = field(default_factory=time.time)
    date_updated: float = field(default_factory=time.time)

    def move(self, status: str, error_code: int | None = None) -> None:
        """Take the next state of the message's life."""
        self.status = status
        self.error_code = error_code
        self.date_updated = time.time()
        if status in {"sent", "delivered", "undelivered"} and self.date_sent is None:
            self.date_sent = self.date_updated

    def json(self) -> dict[str, object]:
        """Return the fields Twilio would give."""
        uri = f"/{API_VERSION}/Accounts/{self.account_sid}/Messages/{self.sid}"
        return {
            "account_sid": self.account_sid,
            "api_version": API_VERSION,
            "body": self.body,
            "date_created": stamp(self.date_created),
            "date_sent": stamp(self.date_sent),
            "date_updated": stamp(self.date_updated),
            "direction": self.direction,
            "error_code": self.error_code,
            "error_message": f"Error {self.error_code}" if self.error_code else None,
            "from": self.sender or None,
            "messaging_service_sid": self.messaging_service_sid,
            "num_media": str(self.media),
            "num_segments": str(self.segments),
            "price": None,
            "price_unit": "USD",
            "sid": self.sid,
            "status": self.status,
            "subresource_uris": {"media": f"{uri}/Media.json"},
            "to": self.to,
            "uri": f"{uri}.json",
        }


@dataclass(slots=True)
class Call:
    """One call over Twilio's API, in or out. Times are seconds since 1970."""

    account_sid: str
    to: str
    sender: str
    direction: str = "outbound-api"
    status: str = "queued"
    answered_by: str | None = None
    start: float | None = None
    end: float | None = None
    sid: str = field(default_factory=lambda: new_sid("CA"))
    date_created: float = field(default_factory=time.time)
    date_updated: float = field(default_factory=time.time)

    def move(self, status: str) -> None:
        """Take the next state of the call's life."""
        self.status = status
        self.date_updated = time.time()
        if status == "in-progress" and self.start is None:
            self.start = self.date_updated
        elif status not in {"queued", "ringing", "in-progress"}:
            self.end = self.date_updated

    @property
    def duration_s(self) -> int | None:
        """Whole seconds from answer to end; 0 if never answered, None while it lasts."""
        if self.end is None:
            return None
        return round(self.end - self.start) if self.start else 0

    def json(self) -> dict[str, object]:
        """Return the fields Twilio would give."""
        uri = f"/{API_VERSION}/Accounts/{self.account_sid}/Calls/{self.sid}"
        return {
            "account_sid": self.account_sid,
            "answered_by": self.answered_by,
            "api_version": API_VERSION,
            "caller_name": None,
            "date_created": stamp(self.date_created),
            "date_updated": stamp(self.date_updated),
            "direction": self.direction,
            "duration": None if self.duration_s is None else str(self.duration_s),
            "end_time": stamp(self.end),
            "forwarded_from": None,
            "from": self.sender,
            "from_formatted": self.sender,
            "group_sid": None,
            "parent_call_sid": None,
            "phone_number_sid": None,
            "price": None,
            "price_unit": "USD",
            "queue_time": "0",
            "sid": self.sid,
            "start_time": stamp(self.start),
            "status": self.status,
            "subresource_uris": {part: f"{uri}/{part.title().replace('_', '')}.json" for part in _CALL_PARTS},
            "to": self.to,
            "to_formatted": self.to,
            "trunk_sid": None,
            "uri": f"{uri}.json",
        }


def error(status: int, code: int, message: str) -> dict[str, object]:
    """Return the body of an error answer."""
    more = f"https://www.twilio.com/docs/errors/{code}"
    return {"code": code, "message": message, "more_info": more, "status": status}


def page(name: str, path: str, found: Sequence[Resource], query: Mapping[str, str]) -> dict[str, object]:
    """Return one page of a list: `PageSize` resources (50, at most 1,000) from page number `Page` on."""
    size = min(max(int(query.get("PageSize", "50")), 1), 1000)
    number = max(int(query.get("Page", "0")), 0)
    shown = found[number * size : (number + 1) * size]

    def uri(of: int) -> str:
        return f"{path}?{urlencode({**query, 'PageSize': size, 'Page': of})}"

    return {
        "end": number * size + max(len(shown) - 1, 0),
        "first_page_uri": uri(0),
        "next_page_uri": uri(number + 1) if (number + 1) * size < len(found) else None,
        "page": number,
        "page_size": size,
        "previous_page_uri": uri(number - 1) if number else None,
        "start": number * size,
        "uri": uri(number),
        name: [resource.json() for resource in shown],
    }


def sent_within(message: Message, query: Mapping[str, str]) -> bool:
    """Say whether a message passes the DateSent filters. They look at date_sent, which is empty while queued.

    `DateSent` means that day in UTC; `DateSent<` and `DateSent>` include their bound, a bare day its whole day.
    """
    filters = {name: text for name, text in query.items() if name.startswith("DateSent")}
    if not filters:
        return True
    if message.date_sent is None:
        return False
    sent = datetime.fromtimestamp(message.date_sent, UTC)
    return all(_holds(name[len("DateSent") :], sent, text) for name, text in filters.items())


def _holds(operator: str, sent: datetime, text: str) -> bool:
    bound = datetime.fromisoformat(text)
    bound = bound.astimezone(UTC) if bound.tzinfo else bound.replace(tzinfo=UTC)
    whole_day = len(text) == len("2026-01-31")
    if operator == "<":
        return sent.date() <= bound.date() if whole_day else sent <= bound
    if operator == ">":
        return sent >= bound
    return sent.date() == bound.date()
