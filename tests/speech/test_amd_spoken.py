"""Detection tried on speech: what people and machines say when they answer, spoken by our own voices, with noise."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gateway.media import beeps, tones, wav
from gateway.media.amd import Times
from gateway.media.amd_trial import Trial, confusion, label_of, tried
from gateway.speech.prompts import Prompts

PEOPLE = ("Hello?", "Yes?", "Hello, this is Ana.", "Hi, good morning.", "Hello? Hello?", "Smith residence.")
MACHINES = (
    "Hi, you've reached Bob. I can't come to the phone right now. Please leave a message after the tone.",
    "The person you are trying to reach is not available.",
    "Hey, it's Sue, leave me a message.",
    "Your call has been forwarded to an automated voice messaging system. At the tone, please record your message.",
)


def noisy(pcm: bytes, level_dbov: float) -> bytes:
    clean = np.frombuffer(pcm, np.int16)
    hiss = np.random.default_rng(4).normal(0, 32768 * 10 ** (level_dbov / 20), len(clean))
    return np.clip(clean + hiss, -32768, 32767).astype(np.int16).tobytes()


async def test_people_and_machines_that_really_speak_are_told_apart_in_quiet_and_in_noise(prompts: Prompts) -> None:
    trials: list[Trial] = []
    for level in (-60.0, -45.0, -38.0):
        for text in PEOPLE:
            said = tones.silence(0.4) + (await prompts.say(text, "en-US")).pcm + tones.silence(1)
            trials.append(tried(text, "human", noisy(said, level), Times()))
        for pitch, text in zip((440, 1000, 1400, 2000), MACHINES, strict=True):
            said = tones.silence(0.4) + (await prompts.say(text, "en-US")).pcm
            beep = tones.silence(0.6) + tones.beep(0.25, pitch) + tones.silence(1)
            trials.append(tried(text, "machine", noisy(said + beep, level), Times()))

    assert confusion(trials) == {
        "human": {"human": 18, "machine": 0, "unknown": 0},
        "machine": {"human": 0, "machine": 12, "unknown": 0},
    }
    assert {trial.ended.why for trial in trials if trial.ended is not None} == {"beep"}


async def test_no_beep_is_heard_in_a_minute_of_speech(prompts: Prompts) -> None:
    """Vowels of one pitch, hums and whistled consonants among it; as many words a minute as people say."""
    texts = (
        "You moved soon to a blue room; who knew you would choose the new moon? Whose shoes do you use when you do?",
        "No one knows how many more roads remain open. Mama, my name is Emma, and I am humming.",
        "Beep beep goes the roadrunner. She sees sixty-six seas; he hears her here, and we agree to feed three bees.",
        "Thank you for calling. Our office is open from nine to five, Monday to Friday, and from ten to two on Saturday.",
    )
    spoken = [(await prompts.say(text, language)).pcm for text in texts for language in ("en-US", "es-US")]
    samples = np.frombuffer(b"".join(spoken), np.int16)
    watch = beeps.BeepWatch()
    windows = np.lib.stride_tricks.sliding_window_view(samples, beeps.WINDOW)[:: beeps.HOP]

    assert len(samples) > 40 * 8000
    assert [beep for pitch in beeps.pitches(windows) if (beep := watch.found(pitch))] == []


def test_a_folder_of_recordings_is_tried_and_counted(tmp_path: Path) -> None:
    hello = tones.silence(0.3) + tones.tone((220.0, 480.0), 0.6) + tones.silence(2)
    beep = tones.silence(0.3) + tones.tone((220.0, 480.0), 4) + tones.beep() + tones.silence(1)
    for name, pcm in (("human/a.wav", hello), ("machine/b.wav", beep), ("machine-c.wav", hello), ("d.wav", hello)):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(wav.write(pcm))
    command = [sys.executable, "-m", "gateway.cli", "amd", "test", str(tmp_path)]

    ran = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    shown = subprocess.run(command, capture_output=True, text=True, check=False)

    told = json.loads(ran.stdout)
    assert told["confusion"] == {
        "human": {"human": 1, "machine": 0, "unknown": 0},
        "machine": {"human": 1, "machine": 1, "unknown": 0},
    }
    assert [each["label"] for each in told["recordings"]] == [None, "human", "machine", "machine"]
    assert told["recordings"][2]["beep_hz"] == pytest.approx(1000, abs=5)
    assert (ran.returncode, shown.returncode) == (1, 1)  # one was taken for the other
    assert "machine\t1\t1\t0" in shown.stdout


def test_what_a_recording_is_stands_in_its_nearest_name() -> None:
    assert label_of(("human", "machine-3.wav")) == "machine"
    assert label_of(("Machines", "ana.wav")) == "machine"
    assert label_of(("machine", "human-or-machine.wav")) == ""
    assert label_of(("calls", "ana.wav")) == ""


@pytest.mark.parametrize(("name", "data"), [("a.wav", b"RIFF"), ("a.txt", b"")])
def test_a_folder_without_readable_recordings_is_told(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)

    command = [sys.executable, "-m", "gateway.cli", "amd", "test", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ran.returncode == 1
    assert str(tmp_path) in ran.stderr
