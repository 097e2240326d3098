"""The folder of recorded prompts: `prompts/<language>/<name>.wav|flac|ogg|mp3`, checked before one takes its place.

Plain file work, which blocks: `prompts.Prompts` calls it from threads. Anyone may put files into the folder by hand;
when a prompt is there in two formats, the newer one counts.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.errors.speech import BadPrompt, UnknownPrompt
from gateway.media.level import active_level, levelled
from gateway.speech.audio import replace_file
from gateway.speech.shaping import SILENT_DBOV, Decoded, decoded, trimmed

NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
LANGUAGE: Final = re.compile(r"[a-z]{2,3}(?:-[A-Z][a-z]{3})?(?:-(?:[A-Z]{2}|\d{3}))?")  # BCP 47: en-US, es-419, sr-Latn
FORMATS: Final = ("wav", "flac", "ogg", "mp3")


@dataclass(frozen=True, slots=True)
class PromptLimits:
    """What one recorded prompt may be: bytes of its file, and decoded seconds."""

    max_bytes: int = 20_000_000
    max_seconds: float = 300.0


DEFAULT_LIMITS: Final = PromptLimits()


def own_folder(folder: Path, tenant_id: str) -> Path:
    """Where a tenant's own recordings lie. An id that is no plain name is hashed: it could lead out of the folder."""
    name = tenant_id if NAME.fullmatch(tenant_id) else f"_{_sha256(tenant_id.encode())}"
    return folder / "tenants" / name


@dataclass(frozen=True, slots=True)
class PromptInfo:
    """One recorded prompt. `seconds` is what is played, without silence around it; `error` why it cannot be played."""

    name: str
    language: str
    format: str
    rate_hz: int
    channels: int
    seconds: float
    bytes: int
    sha256: str
    error: str = ""


class Recordings:
    """The recorded prompts in one folder. Every method may raise OSError."""

    def __init__(self, folder: Path, limits: PromptLimits) -> None:
        self._folder = folder
        self._limits = limits

    def find(self, name: str, language: str) -> Path:
        """The file of a prompt. Raises UnknownPrompt."""
        found: list[Path] = []
        if NAME.fullmatch(name) and LANGUAGE.fullmatch(language):
            candidates = (self._folder / language / f"{name}.{extension}" for extension in FORMATS)
            found = [path for path in candidates if path.is_file()]
        if not found:
            raise UnknownPrompt(name, language)
        return max(found, key=lambda path: path.stat().st_mtime_ns)

    def read(self, path: Path) -> bytes:
        """The file as a call plays it: 8 kHz mono PCM16, trimmed, at the level of all prompts. Raises BadPrompt."""
        return _playable(self._decoded(path.read_bytes()))

    def put(self, name: str, language: str, data: bytes) -> PromptInfo:
        """Check a recording and put it in place of the prompt of that name, all or nothing.

        Raises:  BadPrompt, saying what is wrong; the old prompt then stands as it was.
        """
        if not NAME.fullmatch(name):
            raise BadPrompt("a prompt's name is 1 to 64 small letters, digits and hyphens, such as after-hours")
        if not LANGUAGE.fullmatch(language):
            raise BadPrompt("a prompt's language is a tag such as en-US or es")
        found = self._decoded(data)
        info = _info(name, language, data, found, _playable(found))
        folder = self._folder / language
        replace_file(folder / f"{name}.{found.format}", data, durable=True)
        for extension in set(FORMATS) - {found.format}:
            (folder / f"{name}.{extension}").unlink(missing_ok=True)
        return info

    def listing(self) -> list[PromptInfo]:
        """Every prompt of every language, by language and name, each decoded to see that it plays."""
        return [self._described(path) for path in sorted(self._files())]

    def names(self, language: str) -> frozenset[str]:
        """The prompts that are there in one language, by file name alone."""
        return frozenset(path.stem for path in self._files() if path.parent.name == language)

    def _files(self) -> Iterator[Path]:
        """One file a prompt."""
        for path in self._folder.glob("*/*"):
            named = NAME.fullmatch(path.stem) and LANGUAGE.fullmatch(path.parent.name)
            if named and path.suffix[1:] in FORMATS and path == self.find(path.stem, path.parent.name):
                yield path

    def _described(self, path: Path) -> PromptInfo:
        data = path.read_bytes()
        name, language = path.stem, path.parent.name
        try:
            found = self._decoded(data)
            return _info(name, language, data, found, _playable(found))
        except BadPrompt as error:
            return PromptInfo(name, language, path.suffix[1:], 0, 0, 0.0, len(data), _sha256(data), error.why)

    def _decoded(self, data: bytes) -> Decoded:
        if len(data) > self._limits.max_bytes:
            raise BadPrompt(f"it has {len(data)} bytes; at most {self._limits.max_bytes} are taken")
        return decoded(data, max_seconds=self._limits.max_seconds)


def _playable(found: Decoded) -> bytes:
    pcm = trimmed(found.pcm)
    if active_level(pcm) < SILENT_DBOV:
        raise BadPrompt("nothing can be heard in it")
    return levelled(pcm)


def _info(name: str, language: str, data: bytes, found: Decoded, pcm: bytes) -> PromptInfo:
    seconds = round(len(pcm) / 16000, 3)
    return PromptInfo(name, language, found.format, found.rate_hz, found.channels, seconds, len(data), _sha256(data))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
