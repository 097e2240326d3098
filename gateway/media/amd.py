"""Who answered: a person, who says a word or two and waits, or a machine, which goes on talking and then beeps.

    detector = Detector(Times(), now)
    detector.hear(pcm)                         # whatever came, in order
    for index, event in hear_all([detector], now): ...     # every 20 ms or so: all calls in one go

A `Detected` comes in any case. After a machine, a `GreetingEnded` says when to leave a message: after the beep, or
without one after a long silence; if the beep comes only then, another says so. A beep may also prove a supposed person
to be a machine: then a second `Detected` takes the first back.

The signs are those that Asterisk's and Twilio's own detection go by: how long the first utterance is, and how long the
silence after it. Voice is what stands out of the call's own noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from gateway.media import beeps
from gateway.media.beeps import Beep, BeepWatch, Tone
from gateway.media.events import Detected, GreetingEnded
from gateway.media.g711 import FRAME_TICKS, RATE_HZ
from gateway.media.level import OVERLOAD, SILENCE_DBOV
from gateway.media.special_tones import SpecialTones

FRAME_MS: Final = 20
_FRAME_BYTES: Final = 2 * FRAME_TICKS
_SLAB: Final = beeps.WINDOW + beeps.HOP  # samples that one frame is judged by: two windows that end in it
_SLAB_BYTES: Final = 2 * _SLAB

QUIETEST_DBOV: Final = -45.0  # below it nothing is voice: lines hiss at -60, people are heard at -15 to -35
ABOVE_FLOOR_DB: Final = 9.0
HIGHEST_FLOOR_DBOV: Final = -32.0
FLOOR_RISE_DB: Final = 0.08  # a frame: 4 dB a second, so that a steady noise is soon no voice
VOICE_FRAMES: Final = 3  # in a row; a click is shorter
WORD_GAP_FRAMES: Final = 4
LATE_BEEP_MS: Final = 200  # a beep that proves a supposed person to be a machine must be a clear one
LISTEN_ON_MS: Final = 15_000  # from the answer, for such a beep
LONG_TONE_MS: Final = 3_000  # no voicemail: a fax, or a line that is out of order
BEHIND_S: Final = 0.2  # what has not come by then was never sent, or is lost: it counts as silence

Event = Detected | GreetingEnded


@dataclass(frozen=True, slots=True)
class Times:
    """What is waited for, in ms. The defaults are Twilio's, save for the first.

    initial_silence_ms: nobody says a word for so long: `unknown`.
    greeting_ms:        a greeting longer than this is a machine's.
    after_greeting_ms:  silence after a shorter one: a person.
    no_beep_ms:         silence after a machine's greeting without any beep: it records, for all we know.
    timeout_ms:         from the answer; then a person is `unknown`, and a machine is left its message all the same.
    """

    initial_silence_ms: int = 3_000
    greeting_ms: int = 2_400
    after_greeting_ms: int = 1_200
    no_beep_ms: int = 4_000
    timeout_ms: int = 30_000


class Detector:
    """One call's ear, from the answer on."""

    def __init__(self, times: Times, began: float) -> None:
        """`began`: when the call was answered, on the clock that `hear_all` is given."""
        self._times = times
        self._began = began
        self._audio = bytearray(2 * (_SLAB - FRAME_TICKS))
        self._heard_ms = 0
        self._at_ms = 0
        self._floor = HIGHEST_FLOOR_DBOV
        self._loud = self._quiet = 0  # frames in a row
        self._words = 0
        self._voice_from_ms: int | None = None
        self._voice_to_ms = 0
        self._beeps = BeepWatch()
        self._special = SpecialTones()
        self._verdict = ""
        self._is_left = False  # the message was begun, without a beep
        self.over = False  # nothing more will be told

    def hear(self, pcm: bytes) -> None:
        """Add what was received, PCM16 at 8 kHz."""
        self._audio += pcm
        self._heard_ms += len(pcm) * 500 // RATE_HZ

    def slabs(self, now: float) -> list[bytes]:
        """Take out what the next frames are judged by, oldest first; where nothing came for long, silence."""
        missing_s = now - self._began - self._heard_ms / 1000
        if missing_s > BEHIND_S:
            self.hear(bytes(round(missing_s * 1000 / FRAME_MS) * _FRAME_BYTES))
        count = max(0, (len(self._audio) - _SLAB_BYTES) // _FRAME_BYTES + 1)
        taken = [bytes(self._audio[_FRAME_BYTES * n : _FRAME_BYTES * n + _SLAB_BYTES]) for n in range(count)]
        del self._audio[: _FRAME_BYTES * count]
        return taken

    def judge(self, level_dbov: float, tones: Sequence[Tone | None]) -> list[Event]:
        """Take one frame: its level, and the tones in its two windows."""
        self._at_ms += FRAME_MS
        beeped = [beep for beep in map(self._beeps.found, tones) if beep is not None]
        self._listen(level_dbov, is_tone=self._beeps.is_beep)
        if beeped and self._special.add(beeped[-1], self._at_ms):
            return self._announced()
        if beeped:
            return self._beeped(beeped[-1], self._at_ms)
        held = None if self._beeps.length_ms else self._special.released(self._at_ms)  # else the next may sound already
        if held is not None:
            return self._beeped(held, self._special.ended_ms)
        return self._decide() if not self._verdict else self._wait()

    # --- what is heard

    def _listen(self, level_dbov: float, *, is_tone: bool) -> None:
        is_loud = level_dbov > max(QUIETEST_DBOV, self._floor + ABOVE_FLOOR_DB) and not is_tone
        self._floor = min(level_dbov, self._floor + FLOOR_RISE_DB, HIGHEST_FLOOR_DBOV)
        self._floor = max(self._floor, QUIETEST_DBOV - ABOVE_FLOOR_DB)
        if not is_loud:
            self._quiet, self._loud = self._quiet + 1, 0
            return
        self._loud += 1
        if self._loud == VOICE_FRAMES:
            self._words += self._quiet >= WORD_GAP_FRAMES or self._words == 0
            self._quiet = 0
            if self._voice_from_ms is None:
                self._voice_from_ms = self._at_ms - VOICE_FRAMES * FRAME_MS
        if self._loud >= VOICE_FRAMES:
            self._voice_to_ms = self._at_ms

    @property
    def _greeted_ms(self) -> int | None:
        return None if self._voice_from_ms is None else self._voice_to_ms

    @property
    def _greeting_ms(self) -> int:
        return 0 if self._voice_from_ms is None else self._voice_to_ms - self._voice_from_ms

    # --- what it means

    def _decide(self) -> list[Event]:
        times = self._times
        if self._beeps.length_ms >= LONG_TONE_MS:
            return [self._detected("machine", "tone")]
        if self._beeps.is_beep:
            return []  # it is a tone that goes on, no greeting
        if self._voice_from_ms is None:
            return [self._detected("unknown", "silence")] if self._at_ms >= times.initial_silence_ms else []
        if self._greeting_ms > times.greeting_ms:
            return [self._detected("machine", "long_greeting")]
        if self._at_ms - self._voice_to_ms >= times.after_greeting_ms:
            return [self._detected("human", "short_greeting")]
        return [self._detected("unknown", "timeout")] if self._at_ms >= times.timeout_ms else []

    def _detected(self, by: Literal["human", "machine", "unknown"], why: str) -> Detected:
        self._verdict = by
        return Detected(by, why, self._at_ms, self._voice_from_ms, self._greeted_ms, self._words)

    def _announced(self) -> list[Event]:
        """An operator is going to speak: nobody records, and no tone of these was a beep."""
        if not self._special.are_three or self._verdict == "machine":
            return []
        return [self._detected("machine", "intercept")]

    def _beeped(self, beep: Beep, ended_ms: int) -> list[Event]:
        """A beep is over: whoever beeps is a machine, and records from now on."""
        before = self._verdict
        if before in {"human", "unknown"} and beep.length_ms < LATE_BEEP_MS:
            return []
        self.over = True
        told: list[Event] = [] if before == "machine" else [self._detected("machine", "beep")]
        began_ms = ended_ms - beep.length_ms
        return [*told, GreetingEnded("beep", self._at_ms, self._greeted_ms, began_ms, beep.hertz)]

    def _wait(self) -> list[Event]:
        """For the end of a machine's greeting, or for a beep that nobody expected."""
        is_machine = self._verdict == "machine"
        self.over = self._at_ms >= (self._times.timeout_ms if is_machine else LISTEN_ON_MS)
        if not is_machine or self._is_left:
            return []
        self._is_left = self.over or self._at_ms - self._voice_to_ms >= self._times.no_beep_ms
        why = "timeout" if self.over else "silence"
        return [GreetingEnded(why, self._at_ms, self._greeted_ms)] if self._is_left else []


def hear_all(detectors: Sequence[Detector], now: float) -> list[tuple[int, Event]]:
    """Judge all that these calls have heard since the last time. Returns (index of the call, event), in order."""
    taken = [(index, slab) for index, detector in enumerate(detectors) for slab in detector.slabs(now)]
    if not taken:
        return []
    slabs = np.frombuffer(b"".join(slab for _, slab in taken), np.int16).reshape(-1, _SLAB)
    frames = slabs[:, -FRAME_TICKS:].astype(np.float32)
    powers = np.einsum("ij,ij->i", frames, frames) / (FRAME_TICKS * OVERLOAD**2)
    levels = np.maximum(10 * np.log10(powers + 1e-12), SILENCE_DBOV)
    pitches: list[Sequence[Tone | None]] = [(None, None)] * len(taken)
    loud = np.flatnonzero(levels > QUIETEST_DBOV)
    if len(loud):
        windows = np.stack([slabs[loud, : beeps.WINDOW], slabs[loud, beeps.HOP :]], axis=1)
        found = beeps.pitches(windows.reshape(-1, beeps.WINDOW))
        for place, row in enumerate(loud.tolist()):
            pitches[row] = found[2 * place : 2 * place + 2]
    told: list[tuple[int, Event]] = []
    for (index, _), level, tones in zip(taken, levels.tolist(), pitches, strict=True):
        if not detectors[index].over:
            told += [(index, event) for event in detectors[index].judge(level, tones)]
    return told
