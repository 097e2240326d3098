"""Who answered: greetings of every length, noise, silence, and beeps of every pitch."""

import numpy as np
import pytest

from gateway.media import amd, g711, tones
from gateway.media.amd import Detector, Event, Times, hear_all
from gateway.media.events import Detected, GreetingEnded

FRAME = 320  # bytes of 20 ms


def voice(seconds: float, *, level_dbov: float = -20.0, seed: int = 1) -> bytes:
    """Something like speech: noise under an envelope of four syllables a second."""
    ticks = np.arange(round(seconds * 8000))
    dice = np.random.default_rng(seed)
    rough = np.convolve(dice.normal(size=len(ticks)), np.ones(6) / 6, "same")
    envelope = 0.35 + 0.65 * np.abs(np.sin(np.pi * 4 * ticks / 8000))
    wave = rough * envelope
    wave *= 32768 * 10 ** (level_dbov / 20) / np.sqrt(np.mean(wave**2))
    return np.clip(wave, -32768, 32767).astype(np.int16).tobytes()


def noisy(pcm: bytes, level_dbov: float) -> bytes:
    """The same with a steady hiss."""
    clean = np.frombuffer(pcm, np.int16)
    hiss = np.random.default_rng(2).normal(0, 32768 * 10 ** (level_dbov / 20), len(clean))
    return np.clip(clean + hiss, -32768, 32767).astype(np.int16).tobytes()


def heard(pcm: bytes, times: Times | None = None) -> list[Event]:
    """What a detector tells of this audio, as it comes over a line."""
    detector, told = Detector(times or Times(), 0.0), []
    coded = g711.decode(g711.encode(pcm))
    for start in range(0, len(coded), FRAME):
        detector.hear(coded[start : start + FRAME])
        told += [event for _, event in hear_all([detector], (start + FRAME) / 16_000)]
    return told


def silence(seconds: float) -> bytes:
    return tones.silence(seconds)


@pytest.mark.parametrize("seconds", [0.25, 0.6, 1.2, 2.2])
@pytest.mark.parametrize("hiss_dbov", [-60.0, -45.0, -36.0])
def test_who_says_a_word_or_two_and_waits_is_a_person(seconds: float, hiss_dbov: float) -> None:
    """Known 1.2 s after the last word, which leaves 0.8 s to begin the message in time."""
    (verdict,) = heard(noisy(silence(0.4) + voice(seconds) + silence(3), hiss_dbov))

    assert isinstance(verdict, Detected)
    assert (verdict.by, verdict.why) == ("human", "short_greeting")
    assert 400 + 1000 * seconds - 250 <= verdict.voice_to_ms <= 400 + 1000 * seconds + 60
    assert verdict.at_ms <= 400 + 1000 * seconds + 1300


@pytest.mark.parametrize("seconds", [3.0, 6.0, 12.0])
@pytest.mark.parametrize("hertz", [300, 440, 850, 1000, 1425, 2000, 2500])
def test_who_goes_on_talking_and_beeps_is_a_machine_and_the_message_waits_for_the_beep(
    seconds: float, hertz: float
) -> None:
    verdict, ended = heard(silence(0.4) + voice(seconds) + silence(0.6) + tones.beep(0.3, hertz) + silence(5))

    assert isinstance(verdict, Detected)
    assert isinstance(ended, GreetingEnded)
    assert (verdict.by, verdict.why) == ("machine", "long_greeting")
    assert 2_700 < verdict.at_ms < 3_200
    assert ended.why == "beep"
    assert ended.hertz == pytest.approx(hertz, abs=3)
    assert 0 <= ended.at_ms - round(1000 * (seconds + 1.3)) <= 80


@pytest.mark.parametrize("length_ms", [80, 150, 1000])
def test_a_short_greeting_with_a_beep_after_it_is_a_machines(length_ms: int) -> None:
    verdict, ended = heard(silence(0.3) + voice(1.5) + silence(0.5) + tones.beep(length_ms / 1000) + silence(2))

    assert isinstance(verdict, Detected)
    assert (verdict.by, verdict.why) == ("machine", "beep")
    assert isinstance(ended, GreetingEnded)
    assert ended.at_ms == verdict.at_ms


def test_voices_keys_ringing_and_short_tones_are_no_beeps() -> None:
    sounds = voice(2.0) + tones.dtmf("5", 0.3) + tones.tone((440.0, 480.0), 0.5) + tones.beep(0.04) + silence(2)

    assert [type(event) for event in heard(sounds, Times(greeting_ms=6000))] == [Detected]


@pytest.mark.parametrize(
    "hum",
    [
        tones.beep(0.12, 340.0),
        tones.beep(0.12, 600.0),
        tones.beep(0.15, 440.0) + tones.tone((441.0,), 0.15, level_dbov=-26.0),
    ],
    ids=["a vowel", "a higher one", "one that fades"],
)
def test_who_says_no_or_hums_is_a_person_though_a_harmonic_of_the_voice_drowns_the_others(hum: bytes) -> None:
    """So do real voices on lines that cut off what is below 300 Hz: 18 of 335 people were taken for machines by it."""
    told = heard(silence(0.5) + voice(0.2) + hum + silence(2))

    assert [(type(event), event.why) for event in told] == [(Detected, "short_greeting")]
    assert [event.why for event in heard(silence(0.5) + hum + silence(2))] == ["short_greeting"]  # and it is voice


def test_who_says_nothing_is_unknown_and_so_is_a_line_that_only_hisses() -> None:
    for sounds in (silence(4), noisy(silence(4), -40.0)):
        (verdict,) = heard(sounds)
        assert isinstance(verdict, Detected)
        assert (verdict.by, verdict.why, verdict.voice_from_ms) == ("unknown", "silence", None)
        assert verdict.at_ms == 3_000


def test_a_far_end_that_sends_nothing_is_silent() -> None:
    detector = Detector(Times(), 10.0)
    detector.hear(voice(0.5))
    told = [(now, event) for now in np.arange(10.5, 13.0, 0.02) for _, event in hear_all([detector], now)]

    ((at, verdict),) = told
    assert isinstance(verdict, Detected)
    assert verdict.by == "human"
    assert 1.6 < at - 10.0 < 2.1


def test_a_machine_that_never_beeps_is_left_its_message_after_a_silence_and_again_after_a_late_beep() -> None:
    told = heard(voice(4) + silence(4.5) + tones.beep(0.4) + silence(2))

    assert [getattr(event, "why", "") for event in told] == ["long_greeting", "silence", "beep"]
    assert told[1].at_ms == pytest.approx(8_000, abs=100)
    assert told[2].at_ms == pytest.approx(8_900, abs=100)


def test_a_machine_that_never_stops_talking_is_left_its_message_at_the_time_out() -> None:
    told = heard(voice(8), Times(timeout_ms=6_000))

    assert [(event.why, event.at_ms) for event in told[1:]] == [("timeout", 6_000)]


def test_a_person_who_turns_out_to_beep_was_a_machine() -> None:
    """A greeting with a long pause in it. A blip on the line is not enough to be so sure."""
    told = heard(voice(1) + silence(1.5) + tones.beep(0.1) + voice(3) + silence(0.4) + tones.beep(0.4) + silence(1))

    assert [(type(event), event.why) for event in told] == [
        (Detected, "short_greeting"),
        (Detected, "beep"),
        (GreetingEnded, "beep"),
    ]
    assert told[1].at_ms > 6_000


@pytest.mark.parametrize("tones_hz", [(985.2, 1428.5, 1776.7), (913.8, 1370.6, 1776.7), (950.0, 1400.0, 1800.0)])
@pytest.mark.parametrize("seconds", [0.274, 0.38])
def test_the_three_tones_before_an_operators_words_are_no_beep(
    tones_hz: tuple[float, float, float], seconds: float
) -> None:
    """Out of service: a message was left into the announcement, and the call said that it had been, after the beep."""
    three = b"".join(tones.beep(seconds, hertz) for hertz in tones_hz)
    told = heard(noisy(silence(0.3) + three + silence(0.2) + voice(3) + silence(5), -45.0))

    assert [(type(event), event.why) for event in told] == [(Detected, "intercept"), (GreetingEnded, "silence")]
    assert told[0].at_ms == pytest.approx(300 + 3000 * seconds, abs=100)


@pytest.mark.parametrize("hertz", [985.2, 950.0, 913.8])
def test_a_beep_like_the_first_of_them_waits_for_the_second_and_is_one(hertz: float) -> None:
    for after in (silence(2), silence(0.5) + tones.beep(0.3, 1428.5) + silence(2)):
        told = heard(voice(3) + silence(0.5) + tones.beep(0.3, hertz) + after)

        assert [event.why for event in told] == ["long_greeting", "beep"]
        assert isinstance(told[1], GreetingEnded)
        assert told[1].beep_ms == pytest.approx(3_500, abs=40)
        assert 3_800 < told[1].at_ms < 3_960


def test_a_tone_that_does_not_end_is_a_fax() -> None:
    verdict, *_ = heard(silence(0.5) + tones.beep(5.0, 2100) + silence(1))

    assert (verdict.by, verdict.why) == ("machine", "tone")


def test_many_calls_at_once_are_judged_as_each_alone() -> None:
    sounds = [silence(0.4) + voice(s, seed=n) + silence(2) for n, s in enumerate((0.3, 1.0, 3.5))]
    sounds.append(silence(4))
    detectors, told = [Detector(Times(), 0.0) for _ in sounds], {}
    for start in range(0, 16_000 * 4, FRAME):
        for detector, pcm in zip(detectors, sounds, strict=True):
            detector.hear(g711.decode(g711.encode(pcm[start : start + FRAME].ljust(FRAME, b"\0"))))
        for index, event in hear_all(detectors, (start + FRAME) / 16_000):
            told.setdefault(index, event)

    alone = [heard(pcm.ljust(16_000 * 4, b"\0"))[0] for pcm in sounds]
    assert [told[index] for index in range(4)] == alone
    assert [event.by for event in alone] == ["human", "human", "machine", "unknown"]


def test_nothing_is_told_once_it_is_over() -> None:
    detector = Detector(Times(), 0.0)
    detector.hear(voice(3) + tones.beep() + silence(2) + tones.beep() + silence(1))
    told = hear_all([detector], 0.0)

    assert [type(event) for _, event in told] == [Detected, GreetingEnded]
    assert detector.over
    assert amd.hear_all([], 0.0) == []
