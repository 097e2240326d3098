"""What calls play: texts spoken and prompts recorded, each made once, levelled, and kept.

prompts = Prompts(Path("audio/prompts"), Path("data/speech"))
audio = await prompts.say("Hello. You owe $30.", "en-US")
await prompts.close()
"""

import asyncio
import functools
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

from gateway.errors.speech import SpeechUnavailable, UnknownAudio, UnknownPrompt, UnknownVoice, UnspeakableText
from gateway.media.level import levelled
from gateway.speech.audio import Audio, AudioCache, Recent
from gateway.speech.fragments import Fragment, cut
from gateway.speech.joining import joined
from gateway.speech.recordings import DEFAULT_LIMITS, LANGUAGE, PromptInfo, PromptLimits, Recordings, own_folder
from gateway.speech.tts import Engine, espeak, hibari
from gateway.voice.dialplan import Value

MADE_AS: Final = 4  # raise it when the same text is made to sound otherwise: cached audio is then made anew
LONGEST_TEXT: Final = 3000  # characters; some four minutes, which nobody listens to
PAUSE_S: Final = 0.35  # between sentences
PHRASE_S: Final = 0.1  # where a comma stands between two fragments of one; their own soft ends make as much again
BREATH_S: Final = 0.25  # after the last: another prompt may follow, or a BYE that overtakes what a phone's buffer holds
MEMORY_BYTES: Final = 32_000_000  # half an hour of audio
DISK_BYTES: Final = 2_000_000_000  # 35 hours

Script = list[list[Fragment]]  # sentences of fragments

log = structlog.get_logger(__name__)


class Prompts:
    """All audio of a gateway. Needs a running event loop; nothing here blocks it.

    folder:    recorded prompts, `<language>/<name>.wav|flac|ogg|mp3`; a tenant's own in `tenants/<tenant>/` of it.
    cache_dir: rendered audio; may be emptied at any time.
    engines:   asked in this order; the first that speaks a language and works says it.
    speed:     of every spoken text; 1.0 is the engine's own pace.
    """

    def __init__(
        self,
        folder: Path,
        cache_dir: Path,
        *,
        engines: Sequence[Engine] | None = None,
        speed: float = 1.0,
        limits: PromptLimits = DEFAULT_LIMITS,
        disk_bytes: int = DISK_BYTES,
    ) -> None:
        self.shared = Recordings(folder, limits)
        self.folder, self.limits = folder, limits
        self._cache = AudioCache(cache_dir, max_bytes=disk_bytes, memory_bytes=MEMORY_BYTES)
        self._engines = [hibari(), espeak()] if engines is None else list(engines)
        self._speed = speed
        self._making: dict[str, asyncio.Task[Audio]] = {}
        self._fragments = Recent(MEMORY_BYTES // 2)  # a broadcast says most of what it says to everyone
        self._files: dict[
            tuple[Path, int, int], str
        ] = {}  # path, mtime in ns, size -> id: spares hashing a file a call

    async def say(
        self, text: str, language: str, voice: str | None = None, *, pieces: Sequence[str | Value] = ()
    ) -> Audio:
        """Speak a text; numbers, money, dates and codes in it are read as people do.

        pieces:    the same text cut where values stand in it, if any: what is fixed between them is rendered once.
        language:  a BCP 47 tag such as en-US.
        voice:     "engine" or "engine:name", such as "espeak:en-us+f3"; None lets the engines decide.
        Returns:   the audio, from the cache where the same was said before; asked at once by many, it is made once.
        Raises:    UnspeakableText, also if an engine fails at it each time and no other says it; UnknownVoice;
                   SpeechUnavailable if every engine that could say it fails.
        """
        script = _speakable(text, pieces, language)
        failed: list[str] = []
        deadly: UnspeakableText | None = None
        for engine, name in self._candidates(language, voice):
            key = _id("said", engine.name, engine.version, name, self._speed, language, _written(script))
            try:
                return await self._once(key, functools.partial(self._spoken, engine, name, script, language))
            except SpeechUnavailable as error:
                log.warning("speech_engine_unavailable", engine=engine.name, why=error.why)
                failed.append(error.why)
            except UnspeakableText as error:
                log.warning("speech_text_given_up", engine=engine.name, why=error.why)
                deadly = error
        if deadly is not None:
            raise deadly
        raise SpeechUnavailable("; ".join(failed))

    async def joined(self, parts: Sequence[Audio | float]) -> Audio:
        """Several pieces as one, without a click between them.

        parts:   audio, or seconds of silence (0..60).
        Raises:  ValueError if a silence is out of range.
        """
        key = _id("joined", *(part.id if isinstance(part, Audio) else float(part) for part in parts))
        pieces = [part.pcm if isinstance(part, Audio) else float(part) for part in parts]
        return await self._once(key, lambda: asyncio.to_thread(joined, pieces))

    async def stored(self, audio_id: str) -> Audio:
        """Audio that was made before, by its id. Raises UnknownAudio once the cache has let it go."""
        found = await self._cache.get(audio_id)
        if found is None:
            raise UnknownAudio
        return found

    def of(self, tenant_id: str) -> "TenantPrompts":
        """What calls of one tenant play."""
        return TenantPrompts(self, tenant_id)

    async def recording(self, recordings: Recordings, name: str, language: str) -> Audio:
        """A recorded prompt as calls play it. Raises UnknownPrompt; BadPrompt if its file no longer plays."""
        path, key = await asyncio.to_thread(self._identified, recordings, name, language)
        return await self._once(key, lambda: asyncio.to_thread(recordings.read, path))

    async def close(self) -> None:
        """Give up what is being made, and end the workers."""
        tasks = list(self._making.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for engine in self._engines:
            await engine.close()

    def _candidates(self, language: str, voice: str | None) -> list[tuple[Engine, str]]:
        wanted, _, name = (voice or "").partition(":")
        if wanted and wanted not in {engine.name for engine in self._engines}:
            raise UnknownVoice(f"no speech engine is named {wanted!r}; a voice is written engine or engine:name")
        found = [engine for engine in self._engines if engine.speaks(language) and wanted in {"", engine.name}]
        if not found:
            raise UnknownVoice(f"no speech engine {f'named {wanted!r} ' if wanted else ''}here speaks {language}")
        return [(engine, name) for engine in found]

    async def _spoken(self, engine: Engine, voice: str, script: Script, language: str) -> bytes:
        parts: list[bytes | float] = []
        for fragments in script:
            said = [await self._fragment(engine, voice, fragment.words, language) for fragment in fragments]
            heard = [(fragment, pcm) for fragment, pcm in zip(fragments, said, strict=True) if pcm]
            parts += [PAUSE_S] if parts and heard else []
            parts += _in_one_breath(heard)
        if not parts:
            raise UnspeakableText("nothing in the text can be spoken in this language")
        return await asyncio.to_thread(lambda: levelled(joined([*parts, BREATH_S])))

    async def _fragment(self, engine: Engine, voice: str, words: str, language: str) -> bytes:
        key = _id(engine.name, voice, language, words)
        pcm = self._fragments.get(key)
        if pcm is None:
            pcm = await engine.render(words, language=language, voice=voice, speed=self._speed)
            self._fragments.put(key, pcm)
        return pcm

    def _identified(self, recordings: Recordings, name: str, language: str) -> tuple[Path, str]:
        path = recordings.find(name, language)
        stat = path.stat()
        seen = (path, stat.st_mtime_ns, stat.st_size)
        if seen not in self._files:
            self._files[seen] = _id("recorded", hashlib.sha256(path.read_bytes()).hexdigest())
        return path, self._files[seen]

    async def _once(self, key: str, make: Callable[[], Awaitable[bytes]]) -> Audio:
        """What is kept under `key`, or make it; all who ask meanwhile share one making, and none of them can end it."""
        if found := self._cache.remembered(key):
            return found
        task = self._making.get(key)
        if task is None:
            task = self._making[key] = asyncio.create_task(self._made(key, make), name=f"make {key[:8]}")
        return await asyncio.shield(task)

    async def _made(self, key: str, make: Callable[[], Awaitable[bytes]]) -> Audio:
        try:
            return await self._cache.get(key) or await self._cache.put(key, await make())
        finally:
            del self._making[key]


class TenantPrompts:
    """What calls of one tenant play: its own recordings before those that all share, and whatever can be spoken."""

    def __init__(self, prompts: Prompts, tenant_id: str) -> None:
        self._prompts = prompts
        self._own = Recordings(own_folder(prompts.folder, tenant_id), prompts.limits)

    async def say(self, text: str, language: str, *, pieces: Sequence[str | Value] = ()) -> Audio:
        """Speak a text. See `Prompts.say`."""
        return await self._prompts.say(text, language, pieces=pieces)

    async def recorded(self, name: str, language: str) -> Audio:
        """A recorded prompt as calls play it. Raises UnknownPrompt; BadPrompt if its file no longer plays."""
        try:
            return await self._prompts.recording(self._own, name, language)
        except UnknownPrompt:
            return await self._prompts.recording(self._prompts.shared, name, language)

    async def put(self, name: str, language: str, data: bytes) -> PromptInfo:
        """Check a recording and make it the tenant's own, whole or not at all. Raises BadPrompt, saying why not."""
        return await asyncio.to_thread(self._own.put, name, language, data)

    async def listing(self) -> list[PromptInfo]:
        """Every recorded prompt its calls may play, by language and name; one that does not play has its `error`."""
        shared = await asyncio.to_thread(self._prompts.shared.listing)
        own = await asyncio.to_thread(self._own.listing)
        every = {(each.language, each.name): each for each in [*shared, *own]}
        return [every[key] for key in sorted(every)]

    def names(self, language: str) -> frozenset[str]:
        """The recorded prompts of one language, for checking a dialplan. Reads folders, no file."""
        return self._own.names(language) | self._prompts.shared.names(language)


def _in_one_breath(heard: Sequence[tuple[Fragment, bytes]]) -> list[bytes | float]:
    """The fragments of one sentence, equally loud: engines say a word alone louder or softer than within speech."""
    if len(heard) == 1:
        return [heard[0][1]]
    gaps = [PHRASE_S if fragment.is_phrase else 0.0 for fragment, _pcm in heard]
    return [part for (_, pcm), gap in zip(heard, gaps, strict=True) for part in (levelled(pcm), gap)][:-1]


def _speakable(text: str, pieces: Sequence[str | Value], language: str) -> Script:
    if not LANGUAGE.fullmatch(language):
        raise UnknownVoice(f"{language!r} is not a language tag such as en-US")
    if len(text) > LONGEST_TEXT:
        raise UnspeakableText(f"the text has {len(text)} characters; at most {LONGEST_TEXT} are spoken")
    script = cut(pieces or [text], language)
    if not any(character.isalnum() for fragments in script for each in fragments for character in each.words):
        raise UnspeakableText("the text holds no word")
    return script


def _written(script: Script) -> str:
    return "\n".join("|".join(each.words for each in fragments) for fragments in script)


def _id(*parts: str | float) -> str:
    return hashlib.sha256(json.dumps([MADE_AS, *parts]).encode()).hexdigest()
