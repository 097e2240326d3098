"""What follows a call that did not do what it was for: another attempt, a text, or nothing. Pure.

A job's table has a rule for some of the outcomes:

    busy:      {after: 5m, attempts: 3}                  up to three more calls, each five minutes after the last
    no_answer: {after: 1h, attempts: 2, number: next}    at the person's other numbers, in turn
    machine:   {after: 0s, attempts: 0, text: {...}}     no call, but a text, once
    failed:    {after: 1m, attempts: 1}

`attempts` counts the further calls that one outcome may bring to one person; when they are used up, the rule's text
follows, if it has one. What nobody knows the end of (`unknown`) is never called again.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.model.call import Call

MOST_ATTEMPTS: Final = 10
LONGEST_S: Final = 7 * 86_400

_DURATION: Final = re.compile(r"([0-9]{1,6})(s|m|h|d)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MOST_MESSAGES: Final[Mapping[str, int]] = {"package": 1, "financial": 3, "healthcare": 3}
_NO_SUCH_NUMBER: Final = "invalid_number"  # the reason of a call to a number that nobody has


@dataclass(frozen=True, slots=True)
class Again:
    """Another call, not before `at_ms`. alternatives: the person's other numbers from then on."""

    at_ms: int
    recipient: str
    alternatives: Sequence[str]
    tried: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Write:
    """A text, not before `at_ms`. words: the rule's `text`, as the job keeps it."""

    at_ms: int
    words: Mapping[str, Any]


def seconds(text: str) -> int:
    """Read a duration: a whole number and s, m, h or d; at most a week. Raises ValueError."""
    found = _DURATION.fullmatch(text)
    if found is None or (read := int(found[1]) * _SECONDS[found[2]]) > LONGEST_S:
        raise ValueError("a time is a whole number and s, m, h or d, such as 5m; at most 7d")
    return read


def outcome_of(status: str, reason: str, answered_by: str) -> str | None:
    """Which row of the table an ended call falls under; None: nothing follows, whatever the table says."""
    if status in {"busy", "no_answer", "failed"}:
        return status
    if status == "completed" and answered_by == "machine":
        return "machine"
    if status == "cancelled" and reason == "gateway_stopped":  # it rang nobody, and nobody took it back
        return "failed"
    return None


def follow(
    table: Mapping[str, Mapping[str, Any]], call: Call, status: str, reason: str, now_ms: int
) -> Again | Write | None:
    """Decide what follows `call`, which ends now in `status` for `reason`.

    table: of the job, by outcome: `after`, `attempts`, `number` (same or next), `text`.
    """
    outcome = outcome_of(status, reason, call.answered_by)
    if outcome is None or outcome not in table or (outcome == "failed" and call.outcome):
        return None  # of a call that broke off when it had done what it was for, nothing is wanted either
    rule = table[outcome]
    at_ms = now_ms + seconds(rule["after"]) * 1000
    if call.expires_ms is not None and at_ms >= call.expires_ms:
        return None
    tried = {**call.tried, outcome: call.tried.get(outcome, 0) + 1}
    numbers = _numbers(call, reason, is_next=rule["number"] == "next")
    if tried[outcome] <= rule["attempts"] and numbers:
        return Again(at_ms, numbers[0], numbers[1:], tried)
    return Write(at_ms, rule["text"]) if rule["text"] else None


def too_many(table: Mapping[str, Mapping[str, Any]], category: str, *, leaves: bool) -> Iterator[tuple[str, str]]:
    """What a table would leave on a machine more often than the law has it in exempted calls, as (field, why).

    leaves: whether the plan says anything to machines. A call that reached nobody left nothing.
    Source: 47 CFR 64.1200(a)(9): one message a parcel; three an event; one a day and three a week.
    """
    rule = table.get("machine")
    if rule is None or not leaves or category not in _MOST_MESSAGES:
        return
    messages, most = 1 + rule["attempts"] + (rule["text"] is not None), _MOST_MESSAGES[category]
    if messages > most:
        yield "retries.machine", f"{messages} messages may come of it; {category} calls leave at most {most}"
    elif category == "healthcare" and seconds(rule["after"]) < _SECONDS["d"]:
        yield "retries.machine.after", "healthcare calls leave at most one message a day: give 1d or more"


def _numbers(call: Call, reason: str, *, is_next: bool) -> list[str]:
    """Where the person is called next, and then: a number that nobody has is not dialled again."""
    if reason == _NO_SUCH_NUMBER:
        return [*call.alternatives]
    if is_next:
        return [*call.alternatives, call.recipient]
    return [call.recipient, *call.alternatives]
