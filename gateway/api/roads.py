"""Whether a sender may be used for what is asked, and whether an engine may be called back where it says."""

import ipaddress
from urllib.parse import urlsplit

from gateway.api.operation import Call
from gateway.errors.api import FieldProblem, InvalidRequest
from gateway.model.sender import Sender
from gateway.net.http_client import is_public
from gateway.settings_types import is_loopback
from gateway.store import tenants


async def for_texts(call: Call, number: str) -> Sender:
    """The tenant's sender, which texts can leave from. Raises InvalidRequest at `from`."""
    sender = await _own(call, number)
    if not sender.carrier:
        raise InvalidRequest(FieldProblem("from", "no_road", "this sender has no carrier for texts"))
    return sender


async def for_calls(call: Call, number: str) -> Sender:
    """The tenant's sender, which calls can leave from. Raises InvalidRequest at `from`."""
    sender = await _own(call, number)
    if not sender.voice:
        raise InvalidRequest(FieldProblem("from", "no_road", "this sender has no voice road; set its `voice`"))
    return sender


async def _own(call: Call, number: str) -> Sender:
    sender = await call.doors.database.read(lambda tx: tenants.sender(tx, number))
    if sender is None or sender.tenant_id != call.key.tenant_id:
        detail = "no such sender; make it by PUT /v1/senders/{number}, or `gateway sender set`"
        raise InvalidRequest(FieldProblem("from", "unknown_sender", detail))
    return sender


def check_callback(call: Call, url: str | None) -> str:
    """The URL to keep, "" for none. Raises InvalidRequest for one that names a private address.

    A name that resolves to one is found when it is called, where nothing can change it any more.
    """
    if not url:
        return ""
    host = urlsplit(url).hostname or ""
    if not call.doors.settings.callbacks.allow_private and _is_private(host):
        detail = "this address is private; callbacks go to public ones (callbacks.allow_private)"
        raise InvalidRequest(FieldProblem("callback_url", "private_address", detail))
    return url


def _is_private(host: str) -> bool:
    if is_loopback(host) or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        return not is_public(ipaddress.ip_address(host))
    except ValueError:
        return False


def check_times(now_ms: int, begins: tuple[str, int | None], expires_ms: int | None) -> None:
    """Raise InvalidRequest unless what begins ends later, and in the future. `begins`: the field's name and value."""
    name, begins_ms = begins
    if expires_ms is not None and expires_ms <= now_ms:
        raise InvalidRequest(FieldProblem("expires_at", "in_the_past", "this time has passed"))
    if expires_ms is not None and begins_ms is not None and expires_ms <= begins_ms:
        raise InvalidRequest(FieldProblem("expires_at", "before_the_start", f"this is not after {name}"))


def start_of(now_ms: int, begins_ms: int | None) -> tuple[str, str, int | None]:
    """Status, reason and end of hold of what begins then: held until a time to come, else queued."""
    if begins_ms is not None and begins_ms > now_ms:
        return "held", "scheduled", begins_ms
    return "queued", "", None
