"""Recording what a person says on a leg: a tone, then everything that is heard until they have done."""

import asyncio
from typing import Final

from gateway.errors.media import MediaDown, MediaLimit
from gateway.media import tones
from gateway.media.amd import QUIETEST_DBOV, Times
from gateway.media.level import active_level
from gateway.net.rtp_stream import RtpStream
from gateway.speech.shaping import trimmed

_TONE: Final = tones.speak_now()
_NEVER_MS: Final = 3_600_000
_LATE_S: Final = 2.0  # how long the media process may take beyond the time it was given


class SpokenAnswer:
    """One recording on one stream."""

    def __init__(self, stream: RtpStream, *, max_s: float, finish_on: str | None, silence_s: float) -> None:
        """max_s: its most; silence_s: silence that ends it; finish_on: the key that does."""
        self._stream = stream
        self._max_s = max_s
        self._finish_on = finish_on
        self._silence_ms = round(1000 * silence_s)
        self.tone = 0  # the play of it
        self._sounded = asyncio.Event()
        self._over = asyncio.Event()

    async def run(self) -> bytes:
        """Record. Returns 8 kHz PCM16 without the silence around it; empty when nothing was said, or nothing works."""
        try:
            self.tone = self._stream.play(_TONE)
            await self._sounded.wait()
            self._stream.listen(self._max_s)
            self._stream.detect(self._times())
            await self._end()
            pcm = await self._stream.recording()
        except (MediaDown, MediaLimit):
            return b""
        self._stream.listen(0)
        return trimmed(pcm) if active_level(pcm) >= QUIETEST_DBOV else b""

    def _times(self) -> Times:
        """A person who has said something and then nothing for so long, or nothing at all: the detector knows both."""
        return Times(self._silence_ms, _NEVER_MS, self._silence_ms, _NEVER_MS, round(1000 * self._max_s))

    async def _end(self) -> None:
        try:
            async with asyncio.timeout(self._max_s + _LATE_S):
                await self._over.wait()
        except TimeoutError:
            return

    def played(self, play_id: int) -> bool:
        """Take the end of a play; true where it was the tone's."""
        if play_id == self.tone:
            self._sounded.set()
        return play_id == self.tone

    def pressed(self, digit: str) -> None:
        """Take a key."""
        if digit == self._finish_on:
            self.end()

    def end(self) -> None:
        """It is over: silence, the key, or the person is gone."""
        self._sounded.set()
        self._over.set()
