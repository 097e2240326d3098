"""The one place that reads the clock and throws the dice: wall time, monotonic time and sortable identifiers.

Everything else is handed what it needs. Wall time is integers of epoch milliseconds, since SQLite loses zones.
"""

import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # no I, L, O, U: read aloud without mistakes
_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]  # ten bits at a time: a large job makes many
_RANDOM_BITS = 80
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now_ms() -> int:
    """Wall time in milliseconds since 1970-01-01T00:00:00Z."""
    return time.time_ns() // 1_000_000


def monotonic() -> float:
    """Seconds that never run backward, comparable only within this process (and with the event loop's time)."""
    return time.monotonic()


def rfc3339(ms: int) -> str:
    """Write epoch milliseconds as RFC 3339 text in UTC: ``2026-01-31T17:05:09.250Z``."""
    moment = _EPOCH + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class IdMaker:
    """Makes ULIDs that sort by the time they were made, also within one millisecond or when the clock steps back.

    clock: gives epoch milliseconds.
    dice:  gives a random integer of so many bits.
    Source: github.com/ulid/spec: 48 bits of time, 80 of chance, 26 characters of Crockford's base 32.
    """

    def __init__(self, clock: Callable[[], int] = now_ms, dice: Callable[[int], int] = secrets.randbits) -> None:
        self._clock = clock
        self._dice = dice
        self._last = 0
        self._lock = threading.Lock()

    def ulid(self) -> str:
        """Return the next 26 characters; always greater than the ones before."""
        with self._lock:
            now = self._clock()
            is_later = now > self._last >> _RANDOM_BITS
            self._last = now << _RANDOM_BITS | self._dice(_RANDOM_BITS) if is_later else self._last + 1
            value = self._last
        return _written(value)


def _written(value: int) -> str:
    return _head(value >> 10) + _PAIRS[value & 1023]


@lru_cache(maxsize=4)
def _head(bits: int) -> str:
    """All but the last two characters: the same for up to 1,024 identifiers of one millisecond."""
    return "".join([_PAIRS[bits >> shift & 1023] for shift in range(110, -1, -10)])


def first_id(kind: str, at_ms: int) -> str:
    """An identifier that sorts before every one of this kind that is made at `at_ms` or later."""
    return f"{kind}_{_written(max(at_ms, 0) << _RANDOM_BITS)}"


_ids = IdMaker()


def new_id(kind: str) -> str:
    """Return a new identifier such as ``msg_01JD0Z4T6V…``: the kind, an underscore, 26 characters that sort by time."""
    return f"{kind}_{_ids.ulid()}"
