"""Speech engines as the gateway sees them: asked for one sentence at a time, each in a worker process of its own.

The engines are young or old C: they crash on long input, hang on some, and one of them is GPL. So none is loaded
into the gateway. A worker that dies or is late is replaced and asked once more; then the request fails by name. A
sentence of which three workers died, where the next can say something else, is not given to that engine again.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Final, Protocol

import structlog

from gateway.errors.speech import SpeechUnavailable, UnknownVoice, UnspeakableText

START_TIMEOUT_S: Final = 60.0  # a cold disk and a busy machine; 1 s is usual
SENTENCE_TIMEOUT_S: Final = 20.0  # 100 times what the slowest sentence of 280 characters took
REST_S: Final = 30.0  # how long an engine that cannot be loaded is left alone
DEATHS: Final = 3  # of one sentence, before it is given up
REMEMBERED: Final = 1_000  # sentences that a worker died of
HARMLESS: Final = "a"  # what every engine can say
PASSED_ON: Final = ("PATH", "HOME", "LANG", "PYTHONPATH", "LD_LIBRARY_PATH", "HIBARI_HOME", "XDG_CACHE_HOME")

log = structlog.get_logger(__name__)


class Engine(Protocol):
    """Something that speaks. `name` is what a voice setting calls it; `version` keeps caches apart."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def version(self) -> str: ...  # noqa: D102

    def speaks(self, language: str) -> bool:
        """Whether it is worth asking for this BCP 47 language."""

    async def render(self, sentence: str, *, language: str, voice: str, speed: float) -> bytes:
        """Speak one sentence of words (no digits), at most some 300 characters.

        voice:    a name of the engine's own, "" for its default in that language.
        speed:    1.0 is its own pace.
        Returns:  8 kHz mono PCM16 without silence around it, not levelled; empty where nothing could be spoken.
        Raises:   UnknownVoice; SpeechUnavailable if it is missing or keeps failing; UnspeakableText if it says other
                  words, and fails at these each time.
        """

    async def close(self) -> None:
        """End its worker. It starts again when it is asked again."""


class _Died(Exception):
    """The worker ended, was late, failed, or answered what cannot be read."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a worker may take to load its engine, and for one sentence, in seconds."""

    start_s: float = START_TIMEOUT_S
    sentence_s: float = SENTENCE_TIMEOUT_S


class WorkerEngine:
    """An engine of `gateway.speech.engines` behind a pipe. The process starts with the first request."""

    def __init__(self, name: str, version: str, speaks: Callable[[str], bool], timeouts: Timeouts = Timeouts()) -> None:
        self.name = name
        self.version = version
        self.speaks = speaks
        self._timeouts = timeouts
        self._turn = asyncio.Lock()  # engines have one thread: requests queue here
        self._process: asyncio.subprocess.Process | None = None
        self._resting_until = 0.0  # event-loop time
        self._resting_why = ""
        self._deaths: OrderedDict[tuple[str, str, str], int] = OrderedDict()  # by sentence, language, voice

    @property
    def pid(self) -> int | None:
        """The worker's process id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def render(self, sentence: str, *, language: str, voice: str, speed: float) -> bytes:
        """See Engine."""
        request = {"text": sentence, "language": language, "voice": voice, "speed": speed}
        words = sentence, language, voice
        async with self._turn:
            self._refuse_deadly(words)
            try:
                return await self._said(request, words)
            except _Died as first:
                log.warning("speech_worker_replaced", engine=self.name, why=str(first))
            self._refuse_deadly(words)
            try:
                return await self._said(request, words)
            except _Died as second:
                raise SpeechUnavailable(f"the speech engine {self.name} failed twice: {second}") from second

    async def close(self) -> None:
        """See Engine."""
        async with self._turn:
            await self._end()

    def _refuse_deadly(self, words: tuple[str, str, str]) -> None:
        if self._deaths.get(words, 0) >= DEATHS:
            raise UnspeakableText(f"the speech engine {self.name} failed at it {DEATHS} times, and only at it")

    async def _said(self, request: dict[str, Any], words: tuple[str, str, str]) -> bytes:
        """Ask, and count the deaths of these words: the last only where it was not the engine that failed."""
        await self._running()
        try:
            pcm = await self._ask(request)
        except _Died:
            deaths = self._deaths.pop(words, 0) + 1
            if deaths < DEATHS or await self._says_anything({**request, "text": HARMLESS}):
                self._deaths[words] = deaths
            if len(self._deaths) > REMEMBERED:
                self._deaths.popitem(last=False)
            raise
        self._deaths.pop(words, None)
        return pcm

    async def _says_anything(self, request: dict[str, Any]) -> bool:
        try:
            await self._ask(request)
        except (_Died, SpeechUnavailable):
            return False
        return True

    async def _ask(self, request: dict[str, Any]) -> bytes:
        process = await self._running()
        header, pcm = await self._exchange(process, json.dumps(request).encode() + b"\n", self._timeouts.sentence_s)
        if "refused" in header:
            raise UnknownVoice(header["refused"])
        if "failed" in header:
            await self._end()  # nobody knows in what state it is now
            raise _Died(header["failed"])
        return pcm

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process and self._process.returncode is None:
            return self._process
        loop = asyncio.get_running_loop()
        if loop.time() < self._resting_until:
            raise SpeechUnavailable(self._resting_why)
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway.speech.worker",
            self.name,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # a library's words may hold the text
            env={name: os.environ[name] for name in PASSED_ON if name in os.environ},  # no secret is handed on
            start_new_session=True,  # a Ctrl-C in the terminal is the gateway's to handle
        )
        header, _ = await self._exchange(process, b"", self._timeouts.start_s)
        if "failed" in header:
            await self._end()
            self._resting_until = loop.time() + REST_S
            self._resting_why = f"the speech engine {self.name} is not available: {header['failed']}"
            raise SpeechUnavailable(self._resting_why)
        return process

    async def _exchange(
        self, process: asyncio.subprocess.Process, line: bytes, timeout_s: float
    ) -> tuple[dict[str, Any], bytes]:
        """Write a line and read an answer. However this is left early, the worker goes: its pipe is out of step."""
        assert process.stdin is not None  # noqa: S101 - both were asked for
        assert process.stdout is not None  # noqa: S101
        try:
            async with asyncio.timeout(timeout_s):
                process.stdin.write(line)
                await process.stdin.drain()
                header: dict[str, Any] = json.loads(await process.stdout.readline())
                return header, await process.stdout.readexactly(header.get("bytes", 0))
        except TimeoutError as error:
            await self._end()
            raise _Died(f"no answer within {timeout_s:g} s") from error
        except (OSError, ValueError, asyncio.IncompleteReadError) as error:
            await self._end(grace_s=1.0)  # to kill one that is just dying confuses asyncio about how it ended
            raise _Died(f"it ended with {process.returncode}") from error
        except BaseException:  # cancelled in mid-answer
            await self._end()
            raise

    async def _end(self, grace_s: float = 0.0) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await process.wait()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()  # it holds nothing that needs saving
            await process.wait()


def hibari(timeouts: Timeouts = Timeouts()) -> WorkerEngine:
    """The engine for English."""
    return WorkerEngine("hibari", _version("hibari-tts"), lambda language: language.split("-")[0] == "en", timeouts)


def espeak(timeouts: Timeouts = Timeouts()) -> WorkerEngine:
    """The engine for every other language, and for English when hibari fails. Needs the extra [espeak]."""
    version = f"{_version('pyttsx3')}-{_version('espeakng-loader')}"
    return WorkerEngine("espeak", version, lambda _language: True, timeouts)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "system"
