"""Joined pieces follow one another without a click."""

import numpy as np
import pytest

from gateway.speech.joining import joined


def beginning_at_its_peak(seconds: float) -> bytes:
    """A tone that starts and ends in the middle of a swing: put as it is beside another, it clicks."""
    ticks = np.arange(round(seconds * 8000))
    return np.rint(20000 * np.cos(2 * np.pi * 200 * ticks / 8000)).astype("<i2").tobytes()


def steepest(pcm: bytes) -> int:
    return int(np.abs(np.diff(np.frombuffer(b"\0\0" + pcm + b"\0\0", "<i2").astype(int))).max())


def test_no_step_at_a_seam_is_steeper_than_the_sound_itself() -> None:
    piece = beginning_at_its_peak(0.1)
    inside = int(np.abs(np.diff(np.frombuffer(piece, "<i2").astype(int))).max())

    assert steepest(piece + bytes(800) + piece) > 5 * inside  # the click, when nothing is done
    assert steepest(joined([piece, 0.05, piece, piece])) <= inside * 1.1


def test_lengths_add_up() -> None:
    piece = beginning_at_its_peak(0.25)

    assert len(joined([piece, 0.5, piece])) == 16000
    assert joined([]) == b""


def test_a_piece_too_short_to_fade_stays_as_it_is() -> None:
    piece = beginning_at_its_peak(0.005)

    assert joined([piece]) == piece


@pytest.mark.parametrize("seconds", [-0.1, 61.0, float("nan")])
def test_a_silence_out_of_range_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds="):
        joined([seconds])
