"""What is told of a prompt's sound, on signals whose measures are known."""

import numpy as np
import pytest

from gateway.media.level import levelled
from gateway.media.soundness import faults, measured


def tone(seconds: float, amplitude: float) -> bytes:
    wave = amplitude * np.sin(2 * np.pi * 440 * np.arange(round(8000 * seconds)) / 8000)
    return wave.astype(np.int16).tobytes()


def silence(seconds: float) -> bytes:
    return bytes(2 * round(8000 * seconds))


def test_silence_around_a_prompt_is_measured_to_ten_milliseconds() -> None:
    sound = measured(levelled(silence(0.2) + tone(1.0, 3000) + silence(0.35)))

    assert sound.seconds == pytest.approx(1.55)
    assert sound.lead_s == pytest.approx(0.2, abs=0.01)
    assert sound.tail_s == pytest.approx(0.35, abs=0.01)
    assert sound.level_dbov == pytest.approx(-20, abs=0.1)
    assert faults(sound) == ()


@pytest.mark.parametrize(
    ("pcm", "told"),
    [
        (tone(1, 900), "is too soft: -34."),
        (tone(1, 9000), "is too loud: -14."),
        (silence(1), "is silent"),
        (b"", "is silent"),
    ],
)
def test_what_is_too_soft_too_loud_or_silent_is_told(pcm: bytes, told: str) -> None:
    (fault,) = faults(measured(pcm))

    assert fault.startswith(told)


def test_a_peak_at_full_scale_is_told() -> None:
    pcm = np.frombuffer(levelled(tone(2, 3000)), np.int16).copy()
    pcm[8000] = -32768

    assert faults(measured(pcm.tobytes())) == ("is clipped: a peak reaches full scale",)
