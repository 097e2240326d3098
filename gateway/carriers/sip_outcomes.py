"""What SIP's answers mean for a call, and for handing one over."""

from typing import Final

from gateway.carriers.voice_base import ReferResult, Unanswered
from gateway.sip.events import Failed

# What a final SIP status means for a call (RFC 3261, section 21); what is missing here is `failed`, carrier_refused.
_BUSY: Final = {486, 600}
_NO_ANSWER: Final = {408, 480, 487}
_LATER: Final = {503: "carrier_throttled", 401: "carrier_account", 407: "carrier_account"}
_FAILED: Final = {
    403: "forbidden",
    404: "invalid_number",
    410: "invalid_number",
    484: "invalid_number",
    488: "no_common_codec",
    603: "declined",
    604: "invalid_number",
}


def unanswered(failed: Failed, *, rang: bool = False) -> Unanswered:
    """Translate the end of a call that never came up. One that is in doubt is never taken back into the queue.

    rang: whether somebody may have heard it ring: then it is not offered again by itself either, whatever the refusal.
    """
    code = "" if failed.local else str(failed.status)
    if failed.in_doubt and (failed.local or failed.status in _LATER):
        return Unanswered("unknown", "no_response", code)
    if failed.local and failed.status == 503 and not rang:  # no connection: the INVITE never left
        return Unanswered("queued", "carrier_unreachable")
    if failed.status in _BUSY:
        return Unanswered("busy", "busy", code)
    if failed.status in _NO_ANSWER:
        return Unanswered("no_answer", "no_answer", code)
    if failed.status in _LATER and not rang:
        return Unanswered("queued", _LATER[failed.status], code)
    return Unanswered("failed", refused(failed.status), code)


def refused(status: int) -> str:
    """Our reason for a call that failed with this status."""
    return _FAILED.get(status, "carrier_refused")


def handed_over(status: int) -> ReferResult:
    """What the last word on a REFER means; one below 200 is a far end that has the person and says no more."""
    if status < 300:
        return "transferred"
    return "busy" if status in _BUSY else "no_answer" if status in _NO_ANSWER else "failed"
