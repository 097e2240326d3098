"""The speech engines themselves, as they run inside a worker process; nothing here is imported by the gateway.

hibari (Apache-2.0) speaks English. pyttsx3 drives espeak-ng (GPL-3.0) for everything else; the library is loaded
here and nowhere else, behind a pipe. Each class loads its engine when it is made and raises what loading raises.
"""

import ctypes
import io
import os
import time
import wave
from importlib import import_module
from typing import Any, Final, Protocol

import numpy as np

from gateway.errors.speech import UnknownVoice
from gateway.speech.shaping import Floats

WORDS_A_MINUTE: Final = 165  # espeak's own 175 is fast on a telephone
SPANISH_OF_THE_AMERICAS: Final = frozenset({"es-us", "es-mx", "es-pr", "es-ca"})


class Renderer(Protocol):
    """One engine, loaded."""

    def render(self, text: str, *, language: str, voice: str, speed: float) -> tuple[Floats, int]:
        """Speak one sentence. Returns samples (full scale 1.0) and their rate. Raises UnknownVoice.

        voice:  a name of the engine's own, "" for its default in that language.
        speed:  1.0 is the engine's own pace, 2.0 twice as fast.
        """


class Hibari:
    """Neural English. Voices beside the default are used where their file is installed; none is fetched in a call."""

    DEFAULT: Final = "heart"

    def __init__(self) -> None:
        self._library = import_module("hibari")
        self._path_of = import_module("hibari.voices").voice_path
        self._loaded: dict[str, Any] = {self.DEFAULT: self._library.Hibari(voice=self.DEFAULT)}

    def render(self, text: str, *, language: str, voice: str, speed: float) -> tuple[Floats, int]:  # noqa: ARG002
        """See Renderer. The same text gives the same samples."""
        model = self._voice(voice or self.DEFAULT)
        return model(text, speed=speed, seed=0), int(model.sample_rate)

    def _voice(self, name: str) -> Any:
        if name not in self._loaded:
            try:
                self._path_of(name, download_missing=False)
            except (ValueError, FileNotFoundError) as error:
                raise UnknownVoice(f"hibari has no voice {name!r} installed here") from error
            self._loaded[name] = self._library.Hibari(voice=name)
        return self._loaded[name]


class Espeak:
    """espeak-ng through pyttsx3: robotic, and in a hundred languages."""

    RATE_HZ: Final = 22050  # pyttsx3's driver writes this into every file, whatever the voice

    def __init__(self) -> None:
        _preload_espeak()
        try:
            self._engine = import_module("pyttsx3").init("espeak")
        except RuntimeError as error:  # its words do not say how
            raise RuntimeError("espeak-ng is not installed; the extra [espeak] brings it") from error
        self._playing = import_module("pyttsx3.drivers._espeak").IsPlaying
        self._errors: list[str] = []
        self._engine.connect("error", lambda name, exception: self._errors.append(str(exception)))  # noqa: ARG005
        self._run()  # the first run of an engine writes nothing

    def render(self, text: str, *, language: str, voice: str, speed: float) -> tuple[Floats, int]:
        """See Renderer."""
        self._choose(voice, language.lower())
        self._engine.setProperty("rate", round(WORDS_A_MINUTE * speed))
        out = io.BytesIO()  # a path that cannot be written would hang the driver
        self._engine.save_to_file(text, out)
        self._run()
        out.seek(0)
        with wave.open(out) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32)
        if not len(samples):
            raise RuntimeError("espeak wrote nothing")  # even an empty clause is a short silence
        return samples / np.float32(32768), self.RATE_HZ

    def _run(self) -> None:
        """Run what was asked, with espeak's own thread idle before and after.

        Before: the run begins by cancelling whatever that thread still does, be it taking in the rate just set; the
        sentence is then lost or too fast. After: the run returns from within that thread, whose last act is to end
        the loop once more, which would end the next run before it wrote anything.
        """
        self._settle()
        self._engine.runAndWait()
        self._settle()

    def _settle(self) -> None:
        while self._playing():
            time.sleep(0.001)

    def _choose(self, voice: str, language: str) -> None:
        for name in [voice] if voice else _espeak_names(language):
            self._errors.clear()
            self._engine.setProperty("voice", name)
            if not self._errors:
                return
        raise UnknownVoice(f"espeak has no voice {voice!r}" if voice else f"espeak does not speak {language!r}")


def _espeak_names(language: str) -> list[str]:
    """What espeak-ng may call a language, best first: en-us and pt-br stand as they are, en-gb is plain en."""
    base = language.split("-", maxsplit=1)[0]
    if language in SPANISH_OF_THE_AMERICAS:
        return ["es-419", base]
    return [language, "en-us" if language == "en-ca" else base, base]


def _preload_espeak() -> None:
    """Load the library that espeakng-loader (an extra) brings; without it pyttsx3 finds the system's, or none."""
    try:
        loader = import_module("espeakng_loader")
    except ImportError:
        return
    os.environ["ESPEAK_DATA_PATH"] = loader.get_data_path()
    ctypes.CDLL(loader.get_library_path(), mode=ctypes.RTLD_GLOBAL)


ENGINES: Final[dict[str, type[Hibari | Espeak]]] = {"hibari": Hibari, "espeak": Espeak}
