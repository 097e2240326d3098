"""What `why` says of each gate, pause and end: a sentence each."""

from collections.abc import Mapping
from typing import Final

# What holds: a sentence each. Slugs as the sender's loop and the state tables write them.
HOLDS: Final[Mapping[str, str]] = {
    "cap_day": "A daily cap of the sender, or of a scope it belongs to, is used up",
    "cap_week": "A weekly cap of the sender, or of a scope it belongs to, is used up",
    "cap_month": "A monthly cap of the sender, or of a scope it belongs to, is used up",
    "rate": "Others of this sender leave before it, at the sender's rate",
    "cap_rolling": "As much as is allowed in that time has left",
    "quiet_hours": "It is not the time of day at which its job may call this person",
    "retry": "A call reached nobody; this follows it as the job's table says",
    "recipient_limit": "This person was tried as often as is allowed in that time",
    "campaign_blocked": "The sender's campaign is not registered or is blocked",
    "brand_blocked": "The sender's brand is blocked",
    "tenant_blocked": "The tenant is blocked",
    "account_blocked": "The carrier account is blocked",
    "channels": "All channels of the trunk are busy",
    "blocked": "The sender is blocked",
    "rendering": "What is to be said is being rendered and looked at",
    "speech_unavailable": "The speech engines fail, or that of its language (the extra [espeak]) is missing; it waits",
    "scheduled": "It is scheduled for later",
    "paused": "Its job is paused; resume it with POST /v1/jobs/{id}/resume",
    "sender_unverified": "The sender is not verified; it sends nothing until its status changes",
    "sender_blocked": "The sender is blocked; it sends nothing until its status changes",
    "sender_unknown": "The sender was taken away",
    "carrier_not_configured": "No carrier of the sender's is configured here",
    "carrier_throttled": "The carrier asked to slow down",
    "carrier_unreachable": "The carrier cannot be reached",
    "trunk_down": "The trunk does not answer; calls go out when it does",
    "trunk_not_registered": "The trunk has not accepted our registration",
    "media_down": "The media processes do not run; calls go out when they do",
    "media_limit": "No port for audio is free; calls go out when one is",
    "too_many_calls": "The trunk's endpoint holds as many calls as it may",
    "carrier_account": "The carrier does not accept our account, or there is nothing at its address",
    "carrier_slow": "The carrier has not answered yet for what was offered to it",
    "carrier_queue": "The carrier has not sent on yet what it took; more would only wait there, out of reach",
    "circuit_open": "The carrier failed several times in a row, so nothing is offered to it",
    "no_worker": "No process that would send it is running: start one with --roles sms (texts) or voice (calls)",
    "lease_not_renewed": "The database does not answer, so nobody knows whether this process may still send",
    "redis_away": "Redis is away, and without it no limit can be kept; sending goes on when it is back",
    "rebuild": "The counters of the limits are being rebuilt",
    "clock_skew": "The clocks of Redis and this machine disagree by more than two seconds",
    "delivery_report": "The carrier took it; its delivery report has not come yet",
    "carrier_answer": "It is being offered to the carrier",
}

# Why a job is paused that nobody paused.
PAUSES: Final[Mapping[str, str]] = {
    "abandonment": "Too many of the people who answered heard the message late or never (see `abandoned` of the job)",
    "launch": "Its calls would not be heard as they must",
}

# The windows of the caps that are held for ("": any stretch of time), and how a sentence says them.
CAPS: Final[Mapping[str, tuple[str, str]]] = {
    "cap_day": ("day", "a day"),
    "cap_week": ("week", "a week"),
    "cap_month": ("month", "a month"),
    "cap_rolling": ("", "in that time"),
}

ENDED: Final[Mapping[str, str]] = {
    "delivered": "It was delivered",
    "undelivered": "The carrier could not deliver it",
    "no_report": "It was sent, and the carrier never reported on it",
    "failed": "The carrier refused it",
    "expired": "It waited longer than it was to",
    "cancelled": "It was cancelled before it left",
    "suppressed": "The person has opted out, so nothing was sent",
    "completed": "The call took place",
    "busy": "The line was busy",
    "no_answer": "Nobody answered",
    "unknown": "The far end never answered, so nobody knows whether the call took place; it is not repeated",
}

UNDER_WAY: Final[Mapping[str, str]] = {
    "sending": "carrier_answer",
    "sent": "delivery_report",
}

# What is otherwise of calls, by state and reason ("": any other).
CALL_ENDED: Final[Mapping[tuple[str, str], str]] = {
    ("cancelled", ""): "It was cancelled before anybody answered",
    ("unknown", "worker_gone"): "The process that held it is gone, so nobody knows how it ended; it is not repeated",
    ("unknown", "internal"): "A fault of ours: nobody knows whether it rang; it is not repeated",
}

IN_CALL: Final[Mapping[str, str]] = {
    "dialing": "It is being dialled",
    "ringing": "It rings",
    "answered": "The call is going on",
}
