"""What every carrier can do. A carrier only translates: it never retries, paces or stores."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gateway.model.message import Message
from gateway.model.outcome import Outcome

# Awaited with the connection in hand, just before the first byte; False takes the message back.
Ready = Callable[[], Awaitable[bool]]
Written = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Report:
    """What the carrier says became of a message. `status` is ours, or empty when it changes nothing."""

    message_id: str | None
    carrier_id: str
    status: str
    reason: str = ""
    error_code: str = ""
    has_left: bool = False  # the carrier's own queue


@dataclass(frozen=True, slots=True)
class Listed:
    """One text in a carrier's own list. `created_ms` is by the carrier's clock; `report` is what it says of it."""

    body: str
    created_ms: int
    report: Report


@dataclass(frozen=True, slots=True)
class Incoming:
    """A text somebody sent to one of our senders."""

    carrier_id: str
    sender: str
    person: str
    body: str


class SmsCarrier(Protocol):
    """One road to the phone network."""

    name: str
    secrets: frozenset[str]  # masked wherever this carrier's traffic is logged

    async def send(
        self, message: Message, ready: Ready, on_written: Written, *, timeout_s: float, validity_s: int | None
    ) -> Outcome:
        """Offer one message, once.

        ready:      see `Ready`; it is where the caller's pacing waits, so that a slow handshake never bends the rate.
        on_written: called as the bytes are handed to the socket: what the next ones keep their distance from.
        What the carrier did is returned, never raised. Bytes out but no answer is Unknown, not NotSent.
        """
        ...

    def read_report(self, form: Mapping[str, str], query: Mapping[str, str]) -> Report:
        """Translate a delivery report whose signature was checked. Raises BadReport."""
        ...

    def read_incoming(self, form: Mapping[str, str]) -> Incoming:
        """Translate an inbound text whose signature was checked. Raises BadReport."""
        ...


@runtime_checkable
class ListingCarrier(SmsCarrier, Protocol):
    """A carrier that tells what it has: what nobody answered for can be looked up there."""

    async def listed(self, sender: str, recipient: str, since_ms: int, *, timeout_s: float) -> list[Listed]:
        """Every text from `sender` to `recipient` that the carrier created at or after `since_ms`, newest first.

        timeout_s: for each request to the carrier.
        Raises:    CarrierListUnread where the list could not be read whole: then nothing is known to be absent.
        """
        ...
