import numpy as np
import pytest

from gateway.media import goertzel, tones
from gateway.media.goertzel import ToneReceiver

RNG_SEED = 4733


def keys_heard(*pieces: bytes) -> str:
    receiver = ToneReceiver()
    receiver.hear(b"".join(pieces))
    return "".join(key for _, key in goertzel.hear_all([receiver]))


def press(key: str, seconds: float, *, detune: float = 1.0, twist_db: float = 0.0) -> bytes:
    """A key with its tones off by a factor and the column louder than the row by so many dB."""
    row, column = divmod(tones.KEYPAD.index(key), 4)
    low = tones.tone((tones.LOW_HZ[row] * detune,), seconds, level_dbov=-14)
    high = tones.tone((tones.HIGH_HZ[column] * detune,), seconds, level_dbov=-14 + twist_db)
    return (np.frombuffer(low, np.int16) + np.frombuffer(high, np.int16)).tobytes()


@pytest.mark.parametrize("key", tones.KEYPAD)
@pytest.mark.parametrize("offset", [0, 33, 79])
def test_forty_milliseconds_of_a_key_are_one_key_wherever_they_fall(key: str, offset: int) -> None:
    assert keys_heard(bytes(2 * offset), press(key, 0.040), tones.silence(0.1)) == key


@pytest.mark.parametrize("detune", [0.985, 1.015], ids=["1.5 % low", "1.5 % high"])
@pytest.mark.parametrize("key", tones.KEYPAD)
def test_a_key_may_be_a_little_out_of_tune(key: str, detune: float) -> None:
    assert keys_heard(press(key, 0.06, detune=detune), tones.silence(0.1)) == key


@pytest.mark.parametrize("detune", [0.965, 1.035], ids=["3.5 % low", "3.5 % high"])
@pytest.mark.parametrize("key", tones.KEYPAD)
def test_a_key_far_out_of_tune_is_none(key: str, detune: float) -> None:
    """ITU-T Q.24: tones more than 3.5 % off are to be refused."""
    assert keys_heard(press(key, 0.1, detune=detune), tones.silence(0.1)) == ""


@pytest.mark.parametrize("twist_db", [-8.0, 4.0])
def test_the_two_tones_may_differ_in_level(twist_db: float) -> None:
    assert keys_heard(*[press(key, 0.06, twist_db=twist_db) + tones.silence(0.06) for key in "159D"]) == "159D"


def test_a_blip_of_twenty_milliseconds_is_no_key() -> None:
    blips = [bytes(2 * offset) + press("5", 0.020) + tones.silence(0.1) for offset in range(0, 80, 7)]

    assert keys_heard(*blips) == ""


def test_keys_at_the_fastest_rate_of_the_standard_are_told_apart() -> None:
    for offset in range(0, 80, 13):
        keys = [press(key, 0.045) + tones.silence(0.045) for key in "1122334455"]
        assert keys_heard(bytes(2 * offset), *keys) == "1122334455"


@pytest.mark.parametrize("offset", [0, 27, 40, 53])
@pytest.mark.parametrize("seconds", [0.010, 0.020], ids=["10 ms", "a lost packet"])
def test_a_dropout_does_not_make_one_key_two(seconds: float, offset: int) -> None:
    pieces = (press("8", 0.06), tones.silence(seconds), press("8", 0.06), tones.silence(0.1))
    assert keys_heard(bytes(2 * offset), *pieces) == "8"


def test_a_key_is_heard_through_noise() -> None:
    clean = np.frombuffer(press("3", 0.1) + tones.silence(0.1), np.int16)
    noise = np.random.default_rng(RNG_SEED).normal(0, 600, len(clean))

    assert keys_heard((clean + noise).astype(np.int16).tobytes()) == "3"


def test_noise_and_silence_are_no_keys() -> None:
    noise = np.random.default_rng(RNG_SEED).normal(0, 3000, 60 * 8000).astype(np.int16).tobytes()

    assert keys_heard(noise, tones.silence(10)) == ""


def test_many_calls_are_judged_together_and_kept_apart() -> None:
    receivers = [ToneReceiver() for _ in range(3)]
    receivers[0].hear(press("1", 0.1))
    receivers[2].hear(press("2", 0.1))

    assert goertzel.hear_all(receivers) == [(0, "1"), (2, "2")]


def test_audio_that_comes_in_crumbs_is_heard_like_audio_in_one_piece() -> None:
    audio = press("6", 0.1) + tones.silence(0.05) + press("6", 0.1) + tones.silence(0.05)
    receiver = ToneReceiver()
    keys = ""
    for start in range(0, len(audio), 66):
        receiver.hear(audio[start : start + 66])
        keys += "".join(key for _, key in goertzel.hear_all([receiver]))

    assert keys == keys_heard(audio) == "66"
