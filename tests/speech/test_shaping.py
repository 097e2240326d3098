"""Whatever people record becomes 8 kHz mono, whole in the telephone's band and empty above it."""

import io

import numpy as np
import pytest
import soundfile

from gateway.errors.speech import BadPrompt
from gateway.media.level import active_level
from gateway.speech.shaping import decoded, pcm16, resampled, trimmed
from tests.speech.conftest import Record


def tone(hertz: float, rate: int, peak: float = 0.5) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    return (peak * np.sin(2 * np.pi * hertz * np.arange(rate) / rate)).astype(np.float32)


def test_a_tone_of_the_telephones_band_keeps_its_level() -> None:
    assert active_level(resampled(tone(1000, 24000), 24000)) == pytest.approx(-9.03, abs=0.1)


def test_a_tone_above_the_band_does_not_fold_back_into_it() -> None:
    pcm = resampled(tone(5000, 24000), 24000)

    assert active_level(pcm[2000:-2000]) < -60  # its sudden start and end are heard in any band


def test_samples_beyond_full_scale_are_made_softer_as_a_whole() -> None:
    samples = np.frombuffer(pcm16(tone(400, 8000, peak=2.0)), "<i2")

    assert np.abs(samples).max() == 32767
    assert np.count_nonzero(np.abs(samples) == 32767) < 1000  # cut off, two thirds of them would be


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_every_format_and_rate_is_read(record: Record, form: str, rate: int) -> None:
    found = decoded(record(form, rate=rate, channels=2), max_seconds=10)

    assert (found.format, found.rate_hz, found.channels) == (form.lower(), rate, 2)
    assert found.seconds == pytest.approx(2.0, abs=0.12)  # mp3 pads to its frames
    assert active_level(found.pcm) == pytest.approx(-23.0, abs=0.5)


def test_float_files_with_holes_in_them_are_read() -> None:
    out = io.BytesIO()
    samples = tone(440, 16000)
    samples[100:200] = np.nan
    soundfile.write(out, samples, 16000, format="WAV", subtype="FLOAT")

    assert decoded(out.getvalue(), max_seconds=2).seconds == 1.0


def test_silence_around_speech_is_cut_and_the_speech_is_not(record: Record) -> None:
    pcm = trimmed(decoded(record(seconds=1.0), max_seconds=10).pcm)

    assert 1.0 <= len(pcm) / 16000 <= 1.15


def test_silence_alone_leaves_nothing() -> None:
    assert trimmed(bytes(16000)) == b""
    assert trimmed(b"") == b""


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"", "not a readable recording"), (b"RIFF\x00\x00\x00\x00WAVE", "not a readable recording"),
     (b"%PDF-1.7 not audio" * 100, "not a readable recording")],
)  # fmt: skip
def test_what_is_no_recording_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(BadPrompt, match=why):
        decoded(data, max_seconds=10)


def test_a_recording_that_plays_too_long_is_refused(record: Record) -> None:
    with pytest.raises(BadPrompt, match="longer than 2 seconds"):
        decoded(record(seconds=1.5), max_seconds=2)


def test_a_header_that_lies_about_its_length_is_not_believed(record: Record) -> None:
    data = bytearray(record(seconds=3.0))
    data[40:44] = (1000).to_bytes(4, "little")  # the size of the data chunk

    assert decoded(bytes(data), max_seconds=10).seconds < 0.1


def test_strange_rates_and_formats_are_refused(record: Record) -> None:
    with pytest.raises(BadPrompt, match="4000 samples a second"):
        decoded(record(rate=4000), max_seconds=10)
    with pytest.raises(BadPrompt, match="AIFF is not taken"):
        decoded(record("AIFF"), max_seconds=10)
    with pytest.raises(BadPrompt, match="9 channels"):
        decoded(record(channels=9, seconds=0.1), max_seconds=10)
