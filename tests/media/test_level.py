import numpy as np
import pytest

from gateway.media import level, tones


@pytest.mark.parametrize("dbov", [-40.0, -20.0, -6.0])
def test_a_steady_tone_has_the_level_it_was_made_with(dbov: float) -> None:
    assert level.active_level(tones.tone((500.0,), 1.0, level_dbov=dbov)) == pytest.approx(dbov, abs=0.05)


def test_pauses_do_not_make_speech_quieter() -> None:
    talk = tones.tone((500.0,), 1.0, level_dbov=-22)

    hum = tones.tone((100.0,), 5.0, level_dbov=-60)

    assert level.active_level(talk + tones.silence(5) + talk) == pytest.approx(-22, abs=0.1)
    assert level.active_level(talk + hum + talk) == pytest.approx(-22, abs=0.1)


@pytest.mark.parametrize("dbov", [-45.0, -29.0, -10.0])
def test_audio_is_brought_to_one_level(dbov: float) -> None:
    audio = tones.tone((500.0,), 1.0, level_dbov=dbov) + tones.silence(1)

    assert level.active_level(level.levelled(audio, -20.0)) == pytest.approx(-20.0, abs=0.1)


def test_a_peak_is_never_raised_above_its_ceiling() -> None:
    click = np.zeros(8000, np.int16)
    click[::400] = 20000
    raised = np.frombuffer(level.levelled(click.tobytes(), -3.0), np.int16)

    assert 29000 < raised.max() <= 29205  # -1 dBov


def test_one_loud_syllable_does_not_make_a_whole_prompt_soft() -> None:
    quiet = 1000 * np.sin(2 * np.pi * 440 * np.arange(16000) / 8000)
    quiet[8000:8040] *= 13  # 5 ms whose peak would stand 2.5 dB above the ceiling
    loud = np.frombuffer(level.levelled(quiet.astype(np.int16).tobytes()), np.int16)

    assert level.active_level(loud.tobytes()) == pytest.approx(-20.0, abs=0.5)
    assert np.abs(loud).max() <= 29205  # -1 dBov
    assert np.corrcoef(quiet, loud)[0, 1] > 0.99  # bent, not cut


def test_silence_stays_silence() -> None:
    assert level.active_level(b"") == level.active_level(tones.silence(1)) == level.SILENCE_DBOV
    assert level.levelled(tones.silence(1)) == tones.silence(1)


def test_what_would_pass_full_scale_is_clipped_not_wrapped() -> None:
    assert level.gain(np.array([20000, -20000, 10], np.int16), 20.0).tolist() == [32767, -32768, 100]
