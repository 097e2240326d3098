"""How one sender fares with one carrier: when to leave it alone, and when to try again. Pure; nothing is kept on disk.

Two reasons to wait. A carrier that asks to slow down, or takes no connection, is left alone for a moment, longer each
time. A run of failures opens the breaker: nothing is offered for a while, then one message alone, whose fate closes
or opens it again. Slowing down on request is no failure. Nobody's message is dropped by either.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import SystemRandom
from typing import Final

from gateway.model.outcome import Accepted, NotSent, Outcome, Refused, Throttled, Unknown

_FIRST_BACKOFF_S: Final = 0.1  # Twilio on 20429: 100 ms x 2^n, ten per cent either way, 30 s at most
_LONGEST_BACKOFF_S: Final = 30.0
_MOST_DOUBLINGS: Final = 10  # further ones would change nothing, and in the end be no number any more
_LONGEST_OPEN: Final = 32  # times `open_s`
OURS: Final = frozenset({"taken_back", "lease_lost", "late", "circuit_open"})  # we withheld it: it tells nothing
_dice = SystemRandom()


def _ten_per_cent() -> float:
    return _dice.uniform(0.9, 1.1)


@dataclass(slots=True)
class CarrierHealth:
    """One (sender, carrier). Times are monotonic seconds, handed in.

    most_failures: how many in a row open the breaker.
    open_s:        how long it stays open before one message is tried; doubled with every try that fails.
    """

    most_failures: int
    open_s: float
    dice: Callable[[], float] = _ten_per_cent
    failures: int = field(default=0, init=False)
    not_before: float = field(default=0.0, init=False)
    reason: str = field(default="", init=False)  # why it is left alone until `not_before`
    _run: int = field(default=0, init=False)  # failures in a row that count for the breaker
    _tries: int = field(default=0, init=False)  # times it opened without closing in between
    _is_open: bool = field(default=False, init=False)
    _trial: int = field(default=0, init=False)  # offers of before are no news while it is open
    _is_trying: bool = field(default=False, init=False)

    def room(self, now: float) -> int | None:
        """How many messages may be offered now: None for any number, 1 to try, 0 for none before `not_before`."""
        if now < self.not_before or (self._is_open and self._is_trying):
            return 0
        return 1 if self._is_open else None

    def begin(self) -> int:
        """One or more are about to be committed. Returns what `learn` knows their outcomes by."""
        if self._is_open:
            self._is_trying = True
        return self._trial

    def begun_in_vain(self) -> None:
        """Nothing was committed after all."""
        self._is_trying = False

    def may_write(self, trial: int) -> bool:
        """Whether what was begun so may still be written: not if the breaker has opened since."""
        return trial == self._trial

    def learn(self, outcome: Outcome, trial: int, now: float) -> None:
        """Note what became of an offer."""
        if trial != self._trial:
            return
        if isinstance(outcome, NotSent) and outcome.reason in OURS:
            self._is_trying = False
            return
        self._back_off(outcome, now)
        self._break(outcome, now)

    def _back_off(self, outcome: Outcome, now: float) -> None:
        if not isinstance(outcome, Throttled | NotSent):
            self.failures = 0
            return
        if now >= self.not_before:  # what was on its way when the waiting began is the same trouble
            self.failures += 1
        doublings = min(max(self.failures - 1, 0), _MOST_DOUBLINGS)
        wait_s = min(_FIRST_BACKOFF_S * 2**doublings, _LONGEST_BACKOFF_S) * self.dice()
        if isinstance(outcome, Throttled) and outcome.retry_after_s is not None:
            wait_s = max(wait_s, outcome.retry_after_s)
        self._wait(now + wait_s, _reason(outcome))

    def _break(self, outcome: Outcome, now: float) -> None:
        """A refused connection is left to `_back_off`: no text of it is in doubt."""
        match outcome:
            case Accepted() | Refused():
                self._run, self._tries, self._is_open = 0, 0, False
            case Unknown() | NotSent("carrier_account"):
                self._run += 1
                if self._is_open or self._run >= self.most_failures:
                    self._open(now)
        self._is_trying = False

    def _open(self, now: float) -> None:
        self._is_open, self._run = True, 0
        self._trial += 1
        self._wait(now + self.open_s * min(2**self._tries, _LONGEST_OPEN) * self.dice(), "circuit_open")
        self._tries = min(self._tries + 1, _MOST_DOUBLINGS)

    def _wait(self, until: float, reason: str) -> None:
        if until > self.not_before:
            self.not_before, self.reason = until, reason


def _reason(outcome: Throttled | NotSent) -> str:
    if isinstance(outcome, Throttled):
        return "carrier_throttled"
    return "carrier_account" if outcome.reason == "carrier_account" else "carrier_unreachable"
