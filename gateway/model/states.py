"""The states of messages, calls and jobs, and the moves between them: one table each, reasons on top.

A message
    queued     accepted and durable; waits its turn
    held       waits for a reason with an end: a cap, a schedule, a pause, the carrier
    sending    durable before the first byte leaves; from here on it is never offered again,
               save when the carrier is known not to have taken it (Throttled, NotSent)
    sent       the carrier took it
    unknown    bytes went out and no answer came: rests until a report, the carrier's list or a person settles it
    finals     delivered undelivered no_report failed expired cancelled suppressed

A call
    queued, held     as above
    dialing          durable before the INVITE (or the carrier's POST) leaves
    ringing, answered
    finals           completed busy no_answer failed cancelled expired suppressed unknown

A status that would not be a move in these tables changes nothing; it is kept as an event (product promise P7).
"""

from collections.abc import Mapping
from typing import Final

Moves = Mapping[str, frozenset[str]]

_ENDS_WAITING: Final = {"cancelled", "suppressed", "expired", "failed"}
_REPORTED: Final = {"delivered", "undelivered", "failed", "expired"}

MESSAGE_MOVES: Final[Moves] = {
    # sent and what is reported: only of what was queued again, and had left before
    "queued": frozenset({"held", "sending", "sent"} | _ENDS_WAITING | _REPORTED),
    "held": frozenset({"queued", "sent"} | _ENDS_WAITING | _REPORTED),
    # cancelled: a stop or a pause recalled it before its first byte; suppressed: the carrier knows of an opt-out
    "sending": frozenset({"sent", "queued", "unknown", "cancelled", "suppressed"} | _REPORTED),
    "sent": frozenset({"no_report"} | _REPORTED),
    "unknown": frozenset({"sent", "queued", "cancelled"} | _REPORTED),
    **{final: frozenset() for final in ("delivered", "undelivered", "no_report", *_ENDS_WAITING)},
}

_CALL_ENDS: Final = {"completed", "busy", "no_answer", "failed", "cancelled", "unknown"}

CALL_MOVES: Final[Moves] = {
    "queued": frozenset({"held", "dialing"} | _ENDS_WAITING),
    "held": frozenset({"queued"} | _ENDS_WAITING),
    "dialing": frozenset({"queued", "ringing", "answered"} | _CALL_ENDS),
    "ringing": frozenset({"answered"} | _CALL_ENDS),
    "answered": frozenset({"completed", "failed", "unknown"}),
    **{final: frozenset() for final in (*_CALL_ENDS, "expired", "suppressed")},
}

JOB_MOVES: Final[Moves] = {
    "running": frozenset({"paused", "cancelled", "completed"}),
    "paused": frozenset({"running", "cancelled"}),
    "completed": frozenset({"running"}),  # more recipients were streamed in
    "cancelled": frozenset(),
}

WAITING: Final = frozenset({"queued", "held"})
MESSAGE_FINALS: Final = frozenset(state for state, moves in MESSAGE_MOVES.items() if not moves)
CALL_FINALS: Final = frozenset(state for state, moves in CALL_MOVES.items() if not moves)


def sources(moves: Moves, target: str) -> frozenset[str]:
    """The states from which `target` may be reached: what a compare-and-set names in its WHERE."""
    return frozenset(state for state, targets in moves.items() if target in targets)
