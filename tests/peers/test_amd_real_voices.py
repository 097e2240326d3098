"""`gateway amd test` on real voices: the prompts that Debian packages for Asterisk, heard over a telephone line.

Three people speak in a studio, in three languages. Each letter, digit and short prompt is what somebody answers with; a
voicemail's greeting is put together as Asterisk does it, with its own beep. The line is made here: what is below 300 Hz
or above 3,400 is cut off, which leaves vowels of one harmonic; it hisses, 14 to 30 dB below a voice of -35 to -15 dBov.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from gateway.media import wav
from gateway.media.level import active_level

SOUNDS = Path("/usr/share/asterisk/sounds")
VOICES: Final = ("en_US_f_Allison", "fr_CA_f_June", "it_IT_m_Carlo")
WORDS: Final = ("letters/*.gsm", "digits/*.gsm", "phonetic/*.gsm", "hello.gsm", "goodbye.gsm", "vm-no.gsm", "sorry.gsm")
ANSWERS: Final = (
    *("dir-welcome", "hello-world", "one-moment-please", "queue-thankyou", "im-sorry", "pbx-transfer", "vm-goodbye"),
    *("please-try-again", "agent-loginok", "auth-thankyou", "conf-onlyperson", "vm-isonphone", "vm-saved", "invalid"),
)
ANNOUNCED: Final = ("ss-noservice", "tt-allbusy", "demo-thanks", "vm-opts", "conf-usermenu", "basic-pbx-ivr-main")
RATE_HZ: Final = 8000
LONGEST_S: Final = 12.0

Wave = npt.NDArray[np.float64]

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(
        not all((SOUNDS / voice).exists() for voice in VOICES),
        reason="Asterisk's prompts (Debian: asterisk-core-sounds-en-gsm, -fr-gsm, -it-gsm) are not installed",
    ),
]


@dataclass(frozen=True)
class Recording:
    """What a call hears from its answer on, and when its beep is over, in seconds."""

    name: str
    pcm: bytes
    beeped_s: float | None = None


def spoken(voice: str, name: str) -> Wave:
    wave, _ = soundfile.read(SOUNDS / voice / name, format="RAW", subtype="GSM610", samplerate=RATE_HZ, channels=1)
    return np.asarray(wave, np.float64)


def pause(seconds: float) -> Wave:
    return np.zeros(round(seconds * RATE_HZ))


def over_the_line(wave: Wave, dice: np.random.Generator) -> bytes:
    """The band of a telephone line, its noise, and how loud people are on it."""
    spectrum, hertz = np.fft.rfft(wave), np.fft.rfftfreq(len(wave), 1 / RATE_HZ)
    heard = np.fft.irfft(spectrum * ((hertz > 300) & (hertz < 3400)), len(wave))
    level_dbov = active_level((np.clip(heard, -1, 1) * 32767).astype(np.int16).tobytes())
    loud_dbov = dice.uniform(-35, -15)
    hiss = dice.normal(size=len(wave)) * 10 ** ((loud_dbov - dice.uniform(14, 30)) / 20)
    scaled = (heard * 10 ** ((loud_dbov - level_dbov) / 20) + hiss) * 32768
    return np.clip(scaled, -32768, 32767).astype(np.int16).tobytes()


def people(voice: str, dice: np.random.Generator) -> Iterator[Recording]:
    """A word, or a short sentence of 1.1 to 2.2 s, and then they wait."""
    words = [file for kind in WORDS for file in sorted((SOUNDS / voice).glob(kind))][::4]
    answers = [SOUNDS / voice / f"{name}.gsm" for name in ANSWERS]
    for files, longest_s in ((words, 1.4), (answers, 2.2)):
        for file in files:
            said = spoken(voice, str(file.relative_to(SOUNDS / voice))) if file.exists() else pause(60)
            if len(said) <= longest_s * RATE_HZ:
                wave = np.concatenate([pause(dice.uniform(0.1, 0.9)), said, pause(2)])
                yield Recording(f"human/{voice}-{file.parent.name}-{file.stem}.wav", over_the_line(wave, dice))


def machines(voice: str, dice: np.random.Generator) -> Iterator[Recording]:
    """Voicemails with their beep, and announcements without any."""
    for number in range(4):
        digits = [spoken(voice, f"digits/{digit}.gsm") for digit in dice.integers(0, 10, 4)]
        greeting = [spoken(voice, f"{name}.gsm") for name in ("vm-isunavail", "vm-intro")]
        parts = [pause(dice.uniform(0.1, 2.0)), spoken(voice, "vm-theperson.gsm"), *digits, *greeting]
        wave = np.concatenate([*parts, pause(dice.uniform(0, 0.8)), spoken(voice, "beep.gsm")])
        pcm = over_the_line(np.concatenate([wave, pause(2)]), dice)
        yield Recording(f"machine/{voice}-voicemail-{number}.wav", pcm, len(wave) / RATE_HZ)
    for name in ANNOUNCED:
        if (SOUNDS / voice / f"{name}.gsm").exists():
            said = spoken(voice, f"{name}.gsm")[: round(LONGEST_S * RATE_HZ)]
            wave = np.concatenate([pause(dice.uniform(0.1, 0.9)), said, pause(0.5)])
            yield Recording(f"machine/{voice}-{name}.wav", over_the_line(wave, dice))


@pytest.fixture(scope="module")
def recordings() -> dict[str, Recording]:
    dice = np.random.default_rng(17)
    every = [each for voice in VOICES for kind in (people, machines) for each in kind(voice, dice)]
    return {each.name: each for each in every}


@pytest.fixture(scope="module")
def told(recordings: dict[str, Recording], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the command says of them all."""
    folder = tmp_path_factory.mktemp("recordings")
    for each in recordings.values():
        file = folder / each.name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(wav.write(each.pcm))
    command = [sys.executable, "-m", "gateway.cli", "amd", "test", str(folder), "--json"]
    return dict(json.loads(subprocess.run(command, capture_output=True, check=False).stdout))


def test_no_person_who_says_a_word_or_a_short_sentence_is_taken_for_a_machine(told: dict[str, Any]) -> None:
    """Who would hear silence, and then a message into their second hello."""
    taken = told["confusion"]["human"]

    assert sum(taken.values()) > 150
    assert [each for each in told["recordings"] if each["label"] == "human" and each["verdict"] == "machine"] == []
    assert taken["unknown"] <= 0.01 * sum(taken.values())  # they hear the plan all the same


def test_every_machine_is_known(told: dict[str, Any]) -> None:
    assert told["confusion"]["machine"] == {"human": 0, "machine": 28, "unknown": 0}


def test_messages_begin_after_the_beep_and_not_before(told: dict[str, Any], recordings: dict[str, Recording]) -> None:
    beeps = [(each["file"], each["beep_s"], each["beep_hz"]) for each in told["recordings"]]
    at = {file: (begins, hertz) for file, begins, hertz in beeps if hertz is not None}

    assert set(at) == {each.name for each in recordings.values() if each.beeped_s is not None}
    for name, (begins_s, hertz) in at.items():
        assert hertz == pytest.approx(700, abs=5)
        assert begins_s == pytest.approx((recordings[name].beeped_s or 0) - 0.42, abs=0.1)
