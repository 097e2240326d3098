"""Whether one message may leave now. Pure: the sender's loop gathers the facts and acts on the answer."""

from dataclasses import dataclass

from gateway.model.message import Message
from gateway.model.sender import Sender

# What may still be written to a person who said stop: the one confirmation, and answers to HELP (P5).
ALLOWED_AFTER_STOP = frozenset({"stop_reply", "help_reply"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known at the moment of sending. `sender` is None when it was taken away since."""

    sender: Sender | None
    opted_out: bool


@dataclass(frozen=True, slots=True)
class Send:
    """It may leave, as soon as the limits let it."""


@dataclass(frozen=True, slots=True)
class Hold:
    """It waits. `until_ms` None: until somebody changes what `reason` names."""

    reason: str
    until_ms: int | None


@dataclass(frozen=True, slots=True)
class Reject:
    """It will never leave; it ends in `status` for `reason`."""

    status: str
    reason: str


Decision = Send | Hold | Reject


def decide(message: Message, facts: Facts, now_ms: int) -> Decision:
    """Decide on one message at `now_ms`. The first rule that speaks wins: people before limits, ends before waits."""
    if message.expires_ms is not None and message.expires_ms <= now_ms:
        return Reject("expired", "expired")
    if facts.opted_out and message.kind not in ALLOWED_AFTER_STOP:
        return Reject("suppressed", "opted_out")
    if facts.sender is None:
        return Hold("sender_unknown", None)
    if facts.sender.status in {"unverified", "blocked"}:
        return Hold(f"sender_{facts.sender.status}", None)
    return Send()
