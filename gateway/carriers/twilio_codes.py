"""Twilio's error codes in our words. Source: Twilio's error pages, as gathered for 2026-10."""

from typing import Final

# code: (our reason, the state it ends in)
REFUSALS: Final[dict[str, tuple[str, str]]] = {
    "21210": ("sender_not_usable", "failed"),
    "21211": ("invalid_number", "failed"),
    "21212": ("sender_not_usable", "failed"),
    "21214": ("unreachable", "failed"),
    "21215": ("region_not_enabled", "failed"),
    "21216": ("blocked", "failed"),
    "21217": ("invalid_number", "failed"),
    "21408": ("region_not_enabled", "failed"),
    "21606": ("sender_not_usable", "failed"),
    "21610": ("opted_out_at_carrier", "suppressed"),
    "21612": ("route_not_usable", "failed"),
    "21614": ("not_mobile", "failed"),
    "21617": ("body_too_long", "failed"),
    "21660": ("sender_not_owned", "failed"),
    "14107": ("reply_loop", "failed"),
    "30001": ("carrier_queue_overflow", "failed"),
    "30002": ("account_suspended", "failed"),
    "30003": ("unreachable", "failed"),
    "30004": ("blocked", "failed"),
    "30005": ("unknown_number", "failed"),
    "30006": ("landline", "failed"),
    "30007": ("filtered", "failed"),
    "30008": ("carrier_unknown_error", "failed"),
    "30022": ("carrier_rate_exceeded", "failed"),
    "30023": ("carrier_daily_cap", "failed"),
    "30024": ("sender_not_provisioned", "failed"),
    "30027": ("carrier_daily_cap", "failed"),
    "30032": ("toll_free_unverified", "failed"),
    "30034": ("unregistered", "failed"),
    "30036": ("validity_expired", "expired"),
}

# Never processed: too fast, as many calls as the account may have at once, or the sender's queue at Twilio is full.
THROTTLES: Final = frozenset({"10004", "20429", "21611", "63017"})

# Our account's fault, not the message's: nothing was taken, and every message would fare the same.
ACCOUNT: Final = frozenset({"20003", "20005", "20403"})


def refusal(code: str) -> tuple[str, str]:
    """Our reason for a code, and the state the message ends in."""
    return REFUSALS.get(code, ("carrier_refused", "failed"))
