"""Detection held against recordings whose answer is known."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.media import g711
from gateway.media.amd import Detector, Event, Times, hear_all
from gateway.media.events import Detected, GreetingEnded

LABELS: Final = ("human", "machine")
VERDICTS: Final = ("human", "machine", "unknown")
_STEP_FRAMES: Final = 10  # judged in one go, as the media process judges many calls: a tenth of the time
_STEP_BYTES: Final = 2 * g711.FRAME_TICKS * _STEP_FRAMES


@dataclass(frozen=True, slots=True)
class Trial:
    """One recording. label: human, machine, or "" where nobody says. found: the last verdict; ended: see `amd`."""

    name: str
    label: str
    found: Detected
    ended: GreetingEnded | None


def label_of(parts: Sequence[str]) -> str:
    """What the folders and the name of a recording say it is; the nearest counts, and both words say nothing."""
    for part in reversed(parts):
        said = [label for label in LABELS if label in part.lower()]
        if said:
            return said[0] if len(said) == 1 else ""
    return ""


def tried(name: str, label: str, pcm: bytes, times: Times) -> Trial:
    """What a call would find out that hears this, 8 kHz PCM16 from the answer on, and then nothing more."""
    silent_ms = max(times.initial_silence_ms, times.after_greeting_ms, times.no_beep_ms) + 500
    told = _heard(pcm + bytes(silent_ms * 2 * g711.RATE_HZ // 1000), times)
    found = [event for event in told if isinstance(event, Detected)]
    ended = [event for event in told if isinstance(event, GreetingEnded)]
    return Trial(name, label, found[-1], ended[-1] if ended else None)


def _heard(pcm: bytes, times: Times) -> list[Event]:
    detector, told = Detector(times, 0.0), list[Event]()
    coded = g711.decode(g711.encode(pcm))
    for start in range(0, len(coded), _STEP_BYTES):
        detector.hear(coded[start : start + _STEP_BYTES])
        told += [event for _, event in hear_all([detector], start / (2 * g711.RATE_HZ))]
    return told


def confusion(trials: Iterable[Trial]) -> dict[str, dict[str, int]]:
    """How many of each label were taken for what: label -> verdict -> recordings."""
    seen = Counter((trial.label, trial.found.by) for trial in trials if trial.label)
    return {label: {verdict: seen[label, verdict] for verdict in VERDICTS} for label in LABELS}
