"""One call over a SIP trunk: the SIP call and its audio, told as one row of events."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

import structlog

from gateway.carriers.detection import detection_times
from gateway.carriers.line_quality import OnLine, quality_of
from gateway.carriers.sip_outcomes import unanswered
from gateway.carriers.sip_referral import SipReferral
from gateway.carriers.spoken_answer import SpokenAnswer
from gateway.carriers.voice_base import (
    Digit,
    Ended,
    Leg,
    LegEvent,
    PickedUp,
    Played,
    ReferResult,
    Ringing,
    Spoken,
    Unanswered,
)
from gateway.clock import monotonic
from gateway.errors.media import MediaLimit
from gateway.media import events as media
from gateway.media import tones
from gateway.media.keys import Keys, in_info
from gateway.net.rtp_engine import RtpEngine
from gateway.net.rtp_library import AudioId
from gateway.net.rtp_srtp import words
from gateway.net.rtp_stream import RtpStream
from gateway.net.sip_call import SipCall
from gateway.settings_trunks import Trunk
from gateway.sip import events as sip
from gateway.sip import sdp
from gateway.speech.audio import Audio

_BYTES_A_SECOND: Final = 16_000  # 8 kHz PCM16
# 2 s of ringing and 4 s of silence, as telephones in North America do (ITU-T E.180, supplement 2).
_RING_BACK: Final = tones.tone((440.0, 480.0), 2.0, level_dbov=-22.0) + tones.silence(4.0)
_RINGS: Final = 30
_log = structlog.get_logger(__name__)


class SipLeg:
    """One call: the SIP call and its audio, told as one row of events."""

    def __init__(
        self, call: SipCall, stream: RtpStream, rtp: RtpEngine, on_line: OnLine, trunk: Trunk, number: str
    ) -> None:
        """Begin to follow both.

        on_line: told at the end what the line was like.
        number:  ours in this call.
        """
        self._call = call
        self._stream = stream
        self._rtp = rtp
        self._on_line = on_line
        self._trunk = trunk
        self._answer: SpokenAnswer | None = None
        self._asks_who = True  # until the one detector there is listens to a recording
        self._own: set[int] = set()  # plays of tones of ours, of which nobody else knows
        self._recording: asyncio.Task[None] | None = None
        self._referral = SipReferral(call, trunk, number)
        self._before: list[LegEvent] = []
        self._hear: Callable[[LegEvent], None] = self._before.append
        self._loaded: dict[str, AudioId] = {}
        self._rang = False  # or early media came, in which a carrier may let us hear it ring
        self._is_connected = False
        self._trouble = ""
        self._keys = Keys()
        self._tasks = (
            asyncio.create_task(self._follow_media(), name="leg-media"),
            asyncio.create_task(self._follow_call(), name="leg-call"),
        )

    def listen(self, hear: Callable[[LegEvent], None]) -> None:
        """See `Leg.listen`."""
        for event in self._before:
            hear(event)
        self._hear = hear

    def play(self, pieces: Sequence[Audio | float]) -> tuple[int, ...]:
        """See `Leg.play`. Raises MediaLimit."""
        return tuple(
            self._stream.play(self._held(piece) if isinstance(piece, Audio) else _silence(piece)) for piece in pieces
        )

    def stop(self) -> None:
        """See `Leg.stop`."""
        self._stream.stop_playing()

    def detect(self) -> bool:
        """See `Leg.detect`."""
        times = detection_times(self._trunk)
        if times is not None:
            self._stream.detect(times)
        return times is not None

    def record(self, *, max_s: float, finish_on: str | None, silence_s: float) -> None:
        """See `Leg.record`."""
        self._asks_who = False
        self._answer = SpokenAnswer(self._stream, max_s=max_s, finish_on=finish_on, silence_s=silence_s)
        self._recording = asyncio.create_task(self._record(self._answer), name="leg-recording")

    async def _record(self, answer: SpokenAnswer) -> None:
        pcm = await answer.run()
        self._answer = None
        self._own.add(answer.tone)
        self._hear(Spoken(pcm))

    async def refer(self, to: str, headers: Mapping[str, str], ring_s: float) -> ReferResult:
        """See `Leg.refer`."""
        return await self._referral.ask(to, headers, ring_s)

    def ring_back(self, *, on: bool) -> None:
        """See `Leg.ring_back`."""
        if not on:
            self._stream.stop_playing()
            return
        with suppress(MediaLimit):
            self._own.add(self._stream.play(_RING_BACK, loops=_RINGS))

    def join(self, other: Leg) -> None:
        """See `Leg.join`."""
        if isinstance(other, SipLeg):
            self._stream.join(other.stream)

    @property
    def stream(self) -> RtpStream:
        """Its audio, for one that is placed beside it."""
        return self._stream

    def hangup(self) -> None:
        """See `Leg.hangup`."""
        self._call.endpoint.act(lambda agent, now: agent.hangup(self._call.handle, now))

    async def over(self) -> None:
        """Return when the last event was told and the port given back."""
        await asyncio.wait(self._tasks)

    def _held(self, audio: Audio) -> AudioId:
        if audio.id not in self._loaded:
            self._loaded[audio.id] = self._rtp.load(audio.pcm)
        return self._loaded[audio.id]

    async def _follow_call(self) -> None:
        last: LegEvent | None = None
        try:
            async for event in self._call.events():
                last = self._take(event) or last
        finally:
            self._referral.over()
            if self._answer is not None:
                self._answer.end()
            if self._recording is not None:
                await asyncio.wait([self._recording])
            seen = await self._close()
        if isinstance(last, Ended):
            last = replace(last, quality=quality_of(seen))
        if last is not None:
            self._hear(last)

    def _take(self, event: sip.Event) -> LegEvent | None:
        """Act on what the SIP side tells; returns the leg's last event when this is it."""
        match event:
            case sip.Failed():
                last = unanswered(event, rang=self._rang)
                if self._trouble and last.outcome == "no_answer":  # it was we who gave up
                    return Unanswered("failed", self._trouble, last.code)
                return last
            case sip.Ended(by=by):
                if self._trouble:
                    return Ended("carrier", self._trouble)
                return Ended("gateway" if by == "us" else "person" if by == "them" else "carrier")
            case sip.Ringing():
                self._rang = True
                self._hear(Ringing())
            case sip.Progress():
                self._rang = True
            case sip.Answered(media=agreed):
                if self._connect(agreed):
                    self._hear(PickedUp())
            case sip.Changed(media=agreed):
                self._connect(agreed)
            case sip.Referred():
                self._referral.told(event)
            case sip.Info(content_type=kind, body=body):
                self._hear_info(kind, body)
        return None

    def _connect(self, agreed: sdp.Media) -> bool:
        """Send our audio where the far end wants it. On hold it goes on where it went."""
        if not agreed.sends and self._is_connected:
            return True
        try:
            self._stream.connect(
                agreed.address,
                agreed.port,
                payload_type=agreed.codec.payload_type,
                event_payload_type=agreed.event_payload_type,
                rtcp_mux=agreed.rtcp_mux,
                srtp=words(keys.suite, keys.sends, keys.hears) if (keys := agreed.keys) is not None else None,
            )
        except ValueError as error:  # IPv6, no host, or payload types we do not send
            _log.warning("no_usable_media", error=str(error))
            self._give_up("no_usable_media")
            return False
        self._is_connected = True
        return True

    def _hear_info(self, content_type: str, body: bytes) -> None:
        key = in_info(content_type, body)
        if key is not None:
            self._pressed("info", key, monotonic())

    def _pressed(self, way: str, digit: str, at: float) -> None:
        """A key, where no other way has told of it."""
        if not self._keys.is_new(way, digit, at):
            return
        self._hear(Digit(digit))
        if self._answer is not None:
            self._answer.pressed(digit)

    def _give_up(self, reason: str) -> None:
        self._trouble = reason
        self.hangup()

    async def _follow_media(self) -> None:
        async for event in self._stream.events():
            match event:
                case media.Digit(digit, at):
                    self._pressed("rtp", digit, at)
                case media.Played(play_id, seconds, finished):
                    if not self._is_own(play_id):
                        self._hear(Played(play_id, seconds, finished))
                case media.Detected() | media.GreetingEnded():
                    if self._answer is not None:
                        self._answer.end()
                    elif self._asks_who:
                        self._hear(event)
                case media.Lost(why="process_died"):
                    self._give_up("media_down")

    def _is_own(self, play_id: int) -> bool:
        """Whether that was a tone of ours; a recording's may end after the recording."""
        return play_id in self._own or (self._answer is not None and self._answer.played(play_id))

    async def _close(self) -> media.Stats:
        """Give the port and the audio back; what still played tells its end before this returns."""
        seen = await self._stream.close()
        self._on_line(seen)
        await self._tasks[0]
        for audio_id in self._loaded.values():
            self._rtp.release(audio_id)
        self._loaded.clear()
        return seen


def _silence(seconds: float) -> bytes:
    return bytes(2 * round(seconds * _BYTES_A_SECOND / 2))
