"""What a media stream reports. Times are seconds of the monotonic clock that the session is driven by."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Digit:
    """The far end pressed a key: 0-9, *, #, A-D."""

    digit: str
    at: float


@dataclass(frozen=True, slots=True)
class Played:
    """A `play` came to its end, or was stopped (`finished` is false). Leading silence is not among the seconds."""

    play_id: int
    seconds: float
    finished: bool


@dataclass(frozen=True, slots=True)
class FirstPacket:
    """The first valid packet of the far end arrived; its address is locked from here on."""

    at: float


@dataclass(frozen=True, slots=True)
class Lost:
    """Nothing is heard any more. `why` is `no_rtp` (the far end is silent) or `process_died` (the stream is gone)."""

    at: float
    why: str


@dataclass(frozen=True, slots=True)
class Detected:
    """Who answered; see `amd.Detector`. Times are milliseconds from the answer.

    by:      human, machine or unknown.
    why:     short_greeting, long_greeting, beep, intercept, tone, silence, timeout.
    at_ms:   when it was known.
    voice_from_ms, voice_to_ms: where the greeting began and how far it had come, None where nobody said a word.
    words:   bursts of voice with a gap before them.
    """

    by: Literal["human", "machine", "unknown"]
    why: str
    at_ms: int
    voice_from_ms: int | None
    voice_to_ms: int | None
    words: int


@dataclass(frozen=True, slots=True)
class GreetingEnded:
    """A machine records from now on. Times are milliseconds from the answer.

    why:         beep, silence or timeout.
    voice_to_ms: where the greeting ended, None where nobody said a word.
    beep_ms:     where the beep began, and `hertz` its pitch; None where none was heard.
    """

    why: str
    at_ms: int
    voice_to_ms: int | None
    beep_ms: int | None = None
    hertz: float | None = None


Event = Digit | Played | FirstPacket | Lost | Detected | GreetingEnded


@dataclass(frozen=True, slots=True)
class Stats:
    """What one stream has seen; packets, unless it says otherwise."""

    sent: int = 0
    late: int = 0  # sent more than 30 ms after the one before
    skipped: int = 0  # frames that were never sent, since the clock had stood still
    unsent: int = 0  # refused by the operating system; not among those sent
    received: int = 0  # valid, from the far end
    lost: int = 0  # missing in the far end's sequence numbers
    gaps: int = 0  # received more than 30 ms after the one before
    foreign: int = 0  # from anyone else
    bad: int = 0  # no RTP
    ignored: int = 0  # of a payload type that was not agreed
    unused: int = 0  # audio that came too late, or twice, for those who listen to it
    jitter_ms: float = 0.0  # of what was received, smoothed (RFC 3550, appendix A.8)
    # What the far end's reports said of what we sent; None where none came.
    far_lost: int | None = None
    far_jitter_ms: float | None = None
    round_trip_ms: float | None = None
