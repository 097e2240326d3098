"""A recording takes a prompt's place whole, or the old one stays as it was."""

import os
from pathlib import Path

import pytest

from gateway.errors.speech import BadPrompt, UnknownPrompt
from gateway.media.level import active_level
from gateway.speech.recordings import PromptLimits, Recordings
from tests.speech.conftest import Record


@pytest.fixture
def recordings(tmp_path: Path) -> Recordings:
    return Recordings(tmp_path / "prompts", PromptLimits(max_bytes=2_000_000, max_seconds=5))


def test_a_recording_put_is_found_and_plays(recordings: Recordings, record: Record) -> None:
    info = recordings.put("welcome", "en-US", record("FLAC", rate=48000))
    pcm = recordings.read(recordings.find("welcome", "en-US"))

    assert (info.name, info.language, info.format, info.rate_hz, info.channels) == (
        "welcome",
        "en-US",
        "flac",
        48000,
        2,
    )
    assert info.seconds == len(pcm) / 16000
    assert 1.0 <= info.seconds <= 1.15
    assert active_level(pcm) == pytest.approx(-20, abs=0.2)
    assert recordings.listing() == [info]


@pytest.mark.parametrize("peak", [0.003, 0.05, 0.9])
def test_soft_and_loud_recordings_play_alike(recordings: Recordings, record: Record, peak: float) -> None:
    recordings.put("welcome", "en-US", record(peak=peak))

    assert active_level(recordings.read(recordings.find("welcome", "en-US"))) == pytest.approx(-20, abs=0.5)


@pytest.mark.parametrize("bad", ["garbage", "long", "silent", "big"])
def test_a_bad_recording_replaces_nothing(recordings: Recordings, record: Record, tmp_path: Path, bad: str) -> None:
    recordings.put("welcome", "en-US", record())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    data = {
        "garbage": b"no audio at all",
        "long": record(rate=8000, channels=1, seconds=6),
        "silent": record(peak=0.0),
        "big": record(seconds=4, subtype="DOUBLE"),
    }[bad]
    why = {"garbage": "not a readable", "long": "longer than 5", "silent": "nothing can be heard", "big": "bytes"}[bad]

    with pytest.raises(BadPrompt, match=why):
        recordings.put("welcome", "en-US", data)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("name", "language"),
    [("Welcome", "en-US"), ("", "en-US"), ("../up", "en-US"), ("a" * 65, "en-US"), ("-a", "en-US"),
     ("ok", "english"), ("ok", ".."), ("ok", "en_US"), ("ok", "")],
)  # fmt: skip
def test_a_name_that_is_none_is_refused(recordings: Recordings, record: Record, name: str, language: str) -> None:
    with pytest.raises(BadPrompt, match=r"a prompt's (name|language)"):
        recordings.put(name, language, record())
    with pytest.raises(UnknownPrompt):
        recordings.find(name, language)


def test_a_new_format_takes_the_place_of_the_old(recordings: Recordings, record: Record) -> None:
    recordings.put("welcome", "en-US", record("WAV"))
    recordings.put("welcome", "en-US", record("MP3"))

    assert [info.format for info in recordings.listing()] == ["mp3"]


def test_of_two_formats_put_by_hand_the_newer_counts(recordings: Recordings, record: Record, tmp_path: Path) -> None:
    folder = tmp_path / "prompts" / "es"
    folder.mkdir(parents=True)
    for age, form in enumerate(["ogg", "wav"]):
        (folder / f"hola.{form}").write_bytes(record(form.upper()))
        os.utime(folder / f"hola.{form}", (1000 + age, 1000 + age))

    assert recordings.find("hola", "es").suffix == ".wav"
    assert len(recordings.listing()) == 1


def test_the_listing_tells_what_does_not_play(recordings: Recordings, record: Record, tmp_path: Path) -> None:
    recordings.put("good", "en-US", record())
    (tmp_path / "prompts" / "en-US" / "broken.wav").write_bytes(b"RIFF")
    (tmp_path / "prompts" / "README.md").write_text("not a prompt")
    (tmp_path / "prompts" / "en-US" / "Notes.txt").write_text("nor this")

    assert [(info.name, bool(info.error)) for info in recordings.listing()] == [("broken", True), ("good", False)]


def test_names_are_those_of_one_language(recordings: Recordings, record: Record) -> None:
    recordings.put("welcome", "en-US", record())
    recordings.put("bienvenida", "es", record())

    assert recordings.names("en-US") == {"welcome"}
    assert recordings.names("fr") == frozenset()


def test_a_folder_that_is_not_there_holds_no_prompts(recordings: Recordings) -> None:
    assert recordings.listing() == []
