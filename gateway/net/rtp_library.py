"""The prompts that are held for all streams, each once, whoever plays it and however many do."""

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NewType

from gateway.errors.media import MediaLimit

AudioId = NewType("AudioId", str)
MOST_AUDIO_BYTES: Final = 256 << 20  # of PCM16 held for all prompts: four and a half hours


@dataclass(slots=True)
class _Audio:
    pcm: bytes
    users: int = 0


@dataclass(slots=True)
class Library:
    """8 kHz PCM16 by its content. `on_gone` are told of what nobody uses any more."""

    on_gone: list[Callable[[AudioId], None]] = field(default_factory=list)
    _held: dict[AudioId, _Audio] = field(default_factory=dict)
    _bytes: int = 0
    _ids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def load(self, pcm: bytes) -> AudioId:
        """Hold this until it was released as often as it was loaded. Raises: MediaLimit when 256 MB are held."""
        audio_id = AudioId(hashlib.sha256(pcm).hexdigest())
        audio = self._held.get(audio_id)
        if audio is None:
            if self._bytes + len(pcm) > MOST_AUDIO_BYTES:
                raise MediaLimit("too much audio is held in memory")
            audio = self._held[audio_id] = _Audio(pcm)
            self._bytes += len(pcm)
        audio.users += 1
        return audio_id

    def release(self, audio_id: AudioId) -> None:
        """Undo one `load`. What plays goes on playing."""
        audio = self._held[audio_id]
        audio.users -= 1
        if audio.users == 0:
            del self._held[audio_id]
            self._bytes -= len(audio.pcm)
            for tell in self.on_gone:
                tell(audio_id)

    def pcm(self, audio_id: AudioId) -> bytes:
        """What is held under this id; KeyError where nothing is."""
        return self._held[audio_id].pcm

    def next_id(self) -> int:
        """A number that no stream and no play had before."""
        return next(self._ids)
