"""A piece of audio as calls play it, and its cache: files named by what made them, the latest also in memory."""

import asyncio
import os
import re
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateway.errors.media import BadWav
from gateway.media import wav
from gateway.media.g711 import RATE_HZ

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Audio:
    """Something to play: a spoken text, a recorded prompt, or several joined.

    id:    sha256 hex of what it was made from (engine, voice, speed, text; or the file), so the same over restarts.
    pcm:   8 kHz mono PCM16, little-endian, levelled.
    path:  the WAV file that holds it, for as long as the cache keeps it; `Prompts.stored` asks memory first.
    """

    id: str
    pcm: bytes
    path: Path

    @property
    def seconds(self) -> float:
        """How long it plays."""
        return len(self.pcm) / (2 * RATE_HZ)

    def wav(self) -> bytes:
        """The bytes of a WAV file, for an HTTP answer."""
        return wav.write(self.pcm)


class Recent:
    """The PCM used last, by key; the least recently used goes when all of it passes `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._held: OrderedDict[str, bytes] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        """What is held under `key`, and count it as used."""
        if key in self._held:
            self._held.move_to_end(key)
        return self._held.get(key)

    def put(self, key: str, pcm: bytes) -> None:
        """Hold this, letting go of what was used longest ago."""
        self._bytes += len(pcm) - len(self._held.pop(key, b""))
        self._held[key] = pcm
        while self._bytes > self._max_bytes:
            self._bytes -= len(self._held.popitem(last=False)[1])


class AudioCache:
    """WAV files in one folder, named by id; the least recently used go when they pass `max_bytes`.

    Anyone may empty the folder at any time: all that is in it can be made again.
    """

    def __init__(self, folder: Path, *, max_bytes: int, memory_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._recent = Recent(memory_bytes)
        self._disk = threading.Lock()  # one thread at a time counts and prunes
        self._bytes: int | None = None  # unknown until the first write

    def remembered(self, audio_id: str) -> Audio | None:
        """What is still in memory; never touches the disk."""
        pcm = self._recent.get(audio_id)
        return None if pcm is None else Audio(audio_id, pcm, self._path(audio_id))

    async def get(self, audio_id: str) -> Audio | None:
        """What is kept under this id, or None. An id is 64 hexadecimal digits; others are never found."""
        if not re.fullmatch(r"[0-9a-f]{64}", audio_id):
            return None
        if found := self.remembered(audio_id):
            return found
        pcm = await asyncio.to_thread(self._read, audio_id)
        if pcm is None:
            return None
        self._recent.put(audio_id, pcm)
        return Audio(audio_id, pcm, self._path(audio_id))

    async def put(self, audio_id: str, pcm: bytes) -> Audio:
        """Keep this under its id, on disk and in memory; where the disk takes nothing, in memory alone."""
        self._recent.put(audio_id, pcm)
        try:
            await asyncio.to_thread(self._write, audio_id, pcm)
        except OSError as error:  # a full disk must not silence calls
            log.warning("audio_cache_not_written", folder=str(self._folder), why=error.strerror)
        return Audio(audio_id, pcm, self._path(audio_id))

    def _path(self, audio_id: str) -> Path:
        return self._folder / f"{audio_id}.wav"

    def _read(self, audio_id: str) -> bytes | None:
        path = self._path(audio_id)
        try:
            pcm = wav.read(path.read_bytes())
            os.utime(path)  # the least recently used goes first
        except (OSError, BadWav):  # gone, or damaged from outside: it will be made again
            return None
        return pcm

    def _write(self, audio_id: str, pcm: bytes) -> None:
        with self._disk:
            written = replace_file(self._path(audio_id), wav.write(pcm), durable=False)
            self._bytes = self._scan() if self._bytes is None else self._bytes + written
            if self._bytes > self._max_bytes:
                self._prune(keep=self._path(audio_id))

    def _scan(self) -> int:
        return sum(path.stat().st_size for path in self._folder.glob("*.wav"))

    def _prune(self, keep: Path) -> None:
        """Delete the files used longest ago until a tenth is free again."""
        files = sorted((path.stat().st_mtime_ns, path) for path in self._folder.glob("*.wav") if path != keep)
        self._bytes = self._scan()
        for _used, path in files:
            if self._bytes <= self._max_bytes * 0.9:
                break
            self._bytes -= path.stat().st_size
            path.unlink()


def replace_file(path: Path, data: bytes, *, durable: bool) -> int:
    """Put a file in place whole: readers see the old one or the new one, never a part.

    durable:  whether it must be on disk when this returns.
    Returns:  the bytes written. Makes the folder where it is missing.
    Raises:   OSError; the old file then stands as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        part.chmod(0o644)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return len(data)
