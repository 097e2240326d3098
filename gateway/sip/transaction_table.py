"""The states of SIP transactions, what moves them, and what time does to them (RFC 3261, 17; RFC 6026)."""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """Whose transaction it is, and whether it is an INVITE."""

    CLIENT_INVITE = "client INVITE"
    CLIENT = "client"
    SERVER_INVITE = "server INVITE"
    SERVER = "server"


class State(Enum):
    """The states of figures 5 to 8 of RFC 3261, with ACCEPTED from RFC 6026."""

    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


MOVES: dict[tuple[Kind, State, str], State] = {
    (Kind.CLIENT_INVITE, State.CALLING, "1xx"): State.PROCEEDING,
    (Kind.CLIENT_INVITE, State.CALLING, "2xx"): State.ACCEPTED,
    (Kind.CLIENT_INVITE, State.CALLING, "failure"): State.COMPLETED,
    (Kind.CLIENT_INVITE, State.PROCEEDING, "1xx"): State.PROCEEDING,
    (Kind.CLIENT_INVITE, State.PROCEEDING, "2xx"): State.ACCEPTED,
    (Kind.CLIENT_INVITE, State.PROCEEDING, "failure"): State.COMPLETED,
    (Kind.CLIENT_INVITE, State.ACCEPTED, "2xx"): State.ACCEPTED,  # again, or from another branch of a fork
    (Kind.CLIENT, State.TRYING, "1xx"): State.PROCEEDING,
    (Kind.CLIENT, State.TRYING, "2xx"): State.COMPLETED,
    (Kind.CLIENT, State.TRYING, "failure"): State.COMPLETED,
    (Kind.CLIENT, State.PROCEEDING, "1xx"): State.PROCEEDING,
    (Kind.CLIENT, State.PROCEEDING, "2xx"): State.COMPLETED,
    (Kind.CLIENT, State.PROCEEDING, "failure"): State.COMPLETED,
    (Kind.SERVER_INVITE, State.PROCEEDING, "1xx"): State.PROCEEDING,
    (Kind.SERVER_INVITE, State.PROCEEDING, "2xx"): State.ACCEPTED,
    (Kind.SERVER_INVITE, State.PROCEEDING, "failure"): State.COMPLETED,
    (Kind.SERVER_INVITE, State.COMPLETED, "ack"): State.CONFIRMED,
    (Kind.SERVER_INVITE, State.ACCEPTED, "ack"): State.CONFIRMED,
    (Kind.SERVER, State.TRYING, "1xx"): State.PROCEEDING,
    (Kind.SERVER, State.TRYING, "2xx"): State.COMPLETED,
    (Kind.SERVER, State.TRYING, "failure"): State.COMPLETED,
    (Kind.SERVER, State.PROCEEDING, "2xx"): State.COMPLETED,
    (Kind.SERVER, State.PROCEEDING, "failure"): State.COMPLETED,
}


@dataclass(frozen=True, slots=True)
class Timers:
    """Seconds. The defaults are RFC 3261's (table 4)."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0

    @property
    def limit(self) -> float:
        """How long to go on without an answer: timers B, D, F, H, J, L and M."""
        return 64 * self.t1


@dataclass(frozen=True, slots=True)
class Span:
    """What time does in a state: intervals in seconds, None for "never"."""

    first: float | None = None  # until the last message is sent again
    longest: float = float("inf")  # the interval doubles up to this
    stay: float | None = None


def spans(timers: Timers, *, reliable: bool) -> dict[tuple[Kind, State], Span]:
    """Return the timers A to M of RFC 3261, table 4, as one span for each state that has any.

    reliable: the transport sends again by itself: only the 2xx of an INVITE is (13.3.1.4).
    """
    t1, t2, t4, limit = timers.t1, timers.t2, timers.t4, timers.limit
    if reliable:
        return {
            (Kind.CLIENT_INVITE, State.CALLING): Span(stay=limit),  # B
            (Kind.CLIENT_INVITE, State.COMPLETED): Span(stay=0.0),  # D
            (Kind.CLIENT_INVITE, State.ACCEPTED): Span(stay=limit),  # M
            (Kind.CLIENT, State.TRYING): Span(stay=limit),  # F
            (Kind.CLIENT, State.COMPLETED): Span(stay=0.0),  # K
            (Kind.SERVER_INVITE, State.COMPLETED): Span(stay=limit),  # H
            (Kind.SERVER_INVITE, State.ACCEPTED): Span(t1, t2, limit),  # 13.3.1.4, L
            (Kind.SERVER_INVITE, State.CONFIRMED): Span(stay=0.0),  # I
            (Kind.SERVER, State.COMPLETED): Span(stay=0.0),  # J
        }
    return {
        (Kind.CLIENT_INVITE, State.CALLING): Span(t1, stay=limit),  # A, B
        (Kind.CLIENT_INVITE, State.COMPLETED): Span(stay=limit),  # D
        (Kind.CLIENT_INVITE, State.ACCEPTED): Span(stay=limit),  # M
        (Kind.CLIENT, State.TRYING): Span(t1, t2, limit),  # E, F
        (Kind.CLIENT, State.PROCEEDING): Span(t2, t2),  # E; F runs on from TRYING
        (Kind.CLIENT, State.COMPLETED): Span(stay=t4),  # K
        (Kind.SERVER_INVITE, State.COMPLETED): Span(t1, t2, limit),  # G, H
        (Kind.SERVER_INVITE, State.ACCEPTED): Span(t1, t2, limit),  # 13.3.1.4, L
        (Kind.SERVER_INVITE, State.CONFIRMED): Span(stay=t4),  # I
        (Kind.SERVER, State.COMPLETED): Span(stay=limit),  # J
    }


TOLD = {  # where running out of time is news to the transaction's user
    (Kind.CLIENT_INVITE, State.CALLING),
    (Kind.CLIENT_INVITE, State.PROCEEDING),
    (Kind.CLIENT, State.TRYING),
    (Kind.CLIENT, State.PROCEEDING),
    (Kind.SERVER_INVITE, State.PROCEEDING),
    (Kind.SERVER_INVITE, State.ACCEPTED),
}
