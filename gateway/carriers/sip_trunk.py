"""A SIP trunk: signalling from our endpoint, audio and keys from the media process."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Final

import structlog

from gateway.carriers.base import Ready
from gateway.carriers.voice_base import Digit, Ended, LegEvent, PickedUp, Played, Ringing, Unanswered
from gateway.errors.media import MediaDown, MediaLimit
from gateway.errors.sip import NoCommonCodec, SipTrunkUnresolved, TooManyCalls
from gateway.media import events as media
from gateway.media.amd import Times
from gateway.model.call import Call
from gateway.model.outcome import NotSent
from gateway.net.rtp_engine import RtpEngine
from gateway.net.rtp_stream import AudioId, RtpStream
from gateway.net.sip_endpoint import SipCall, SipEndpoint
from gateway.net.sip_endpoint import Trunk as Route
from gateway.settings_trunks import Trunk
from gateway.sip import events as sip
from gateway.sip import sdp
from gateway.sip.digest import Credentials
from gateway.sip.transaction_table import Timers
from gateway.speech.audio import Audio

_BYTES_A_SECOND: Final = 16_000  # 8 kHz PCM16
_INFO_KEY: Final = re.compile(rb"(?:Signal\s*=\s*)?([0-9*#A-D])\s*(?:[\r\n]|\Z)")
_CODECS: Final = {"PCMU": sdp.PCMU, "PCMA": sdp.PCMA}

# What a final SIP status means for a call (RFC 3261, section 21); what is missing here is `failed`, carrier_refused.
_BUSY: Final = {486, 600}
_NO_ANSWER: Final = {408, 480, 487}
_LATER: Final = {503: "carrier_throttled", 401: "carrier_account", 407: "carrier_account"}
_FAILED: Final = {
    403: "forbidden",
    404: "invalid_number",
    410: "invalid_number",
    484: "invalid_number",
    488: "no_common_codec",
    603: "declined",
    604: "invalid_number",
}
_log = structlog.get_logger(__name__)


def unanswered(failed: sip.Failed, *, was_heard: bool) -> Unanswered:
    """Translate the end of a call that never came up.

    was_heard: whether the far end ever said anything. Where it did not, nobody knows what became of the INVITE.
    """
    code = "" if failed.local else str(failed.status)
    if failed.local and not was_heard:
        return Unanswered("unknown", "no_response")
    if failed.status in _BUSY:
        return Unanswered("busy", "busy", code)
    if failed.status in _NO_ANSWER:
        return Unanswered("no_answer", "no_answer", code)
    if failed.status in _LATER:
        return Unanswered("queued", _LATER[failed.status], code)
    return Unanswered("failed", _FAILED.get(failed.status, "carrier_refused"), code)


class SipLeg:
    """One call: the SIP call and its audio, told as one row of events."""

    def __init__(
        self, call: SipCall, stream: RtpStream, rtp: RtpEngine, bad_rtp: dict[str, int], detection: Times | None = None
    ) -> None:
        """Begin to follow both.

        bad_rtp:   where packets that were thrown away are counted, by reason, at the end.
        detection: the times that `detect` goes by; None: it finds nothing out.
        """
        self._call = call
        self._stream = stream
        self._rtp = rtp
        self._bad_rtp = bad_rtp
        self._detection = detection
        self._before: list[LegEvent] = []
        self._hear: Callable[[LegEvent], None] = self._before.append
        self._loaded: dict[str, AudioId] = {}
        self._was_heard = False
        self._is_connected = False
        self._trouble = ""
        self._hears_keys = False  # by RFC 4733; INFO counts only where these were not agreed
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
        if self._detection is not None:
            self._stream.detect(self._detection)
        return self._detection is not None

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
            await self._close()
        if last is not None:
            self._hear(last)

    def _take(self, event: sip.Event) -> LegEvent | None:
        """Act on what the SIP side tells; returns the leg's last event when this is it."""
        match event:
            case sip.Failed():
                last = unanswered(event, was_heard=self._was_heard or not event.local)
                if self._trouble and last.outcome == "no_answer":  # it was we who gave up
                    return Unanswered("failed", self._trouble, last.code)
                return last
            case sip.Ended(by=by):
                if self._trouble:
                    return Ended("carrier", self._trouble)
                return Ended("gateway" if by == "us" else "person" if by == "them" else "carrier")
            case sip.Ringing():
                self._hear(Ringing())
            case sip.Answered(media=agreed):
                if self._connect(agreed):
                    self._hear(PickedUp())
            case sip.Changed(media=agreed):
                self._connect(agreed)
            case sip.Info(body=body) if not self._hears_keys:
                self._hear_info(body)
        self._was_heard = True
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
            )
        except ValueError as error:  # IPv6, no host, or payload types we do not send
            _log.warning("no_usable_media", error=str(error))
            self._give_up("no_usable_media")
            return False
        self._is_connected = True
        self._hears_keys = agreed.event_payload_type is not None
        return True

    def _hear_info(self, body: bytes) -> None:
        """A key in an INFO (application/dtmf-relay, application/dtmf)."""
        found = _INFO_KEY.match(body)
        if found:
            self._hear(Digit(found[1].decode()))

    def _give_up(self, reason: str) -> None:
        self._trouble = reason
        self.hangup()

    async def _follow_media(self) -> None:
        async for event in self._stream.events():
            match event:
                case media.Digit(digit=digit):
                    self._hear(Digit(digit))
                case media.Played(play_id, seconds, finished):
                    self._hear(Played(play_id, seconds, finished))
                case media.Detected() | media.GreetingEnded():
                    self._hear(event)
                case media.Lost(why="process_died"):
                    self._give_up("media_down")

    async def _close(self) -> None:
        """Give the port and the audio back; what still played tells its end before this returns."""
        seen = await self._stream.close()
        for why in self._bad_rtp:
            self._bad_rtp[why] += getattr(seen, why)
        await self._tasks[0]
        for audio_id in self._loaded.values():
            self._rtp.release(audio_id)
        self._loaded.clear()


def detection_times(trunk: Trunk) -> Times | None:
    """How a trunk's settings tell who answered; None where they say not to."""
    if not trunk.machine_detection:
        return None
    return Times(
        trunk.machine_silence_ms,
        trunk.machine_greeting_ms,
        trunk.machine_after_greeting_ms,
        trunk.machine_no_beep_ms,
        trunk.machine_timeout_ms,
    )


def _silence(seconds: float) -> bytes:
    return bytes(2 * round(seconds * _BYTES_A_SECOND / 2))


class InboundCall:
    """Somebody calls us over a trunk. Ring, then accept or reject it.

    called, caller: the numbers, as the trunk wrote them.
    """

    def __init__(self, call: SipCall, trunk: "SipTrunk") -> None:
        self._call = call
        self._trunk = trunk
        self.called = call.incoming.to_user if call.incoming is not None else ""
        self.caller = call.incoming.from_user if call.incoming is not None else ""

    async def ring(self) -> None:
        """Tell the caller that it rings."""
        await self._call.ring()

    async def reject(self, status: int) -> None:
        """Refuse: 404 nobody has that number, 480 nobody answers it, 503 no room."""
        await self._call.reject(status)

    async def accept(self) -> "SipLeg | None":
        """Answer; PickedUp follows with the caller's ACK. None: it was refused for want of a codec or a port."""
        return await self._trunk.accept(self._call)


OnCall = Callable[[InboundCall], Awaitable[None]]


class SipTrunk:
    """One trunk: an endpoint of its own, and the media process shared by all.

    name:   what senders name as their `voice`.
    timers: SIP's, where they are not the standard's.
    """

    def __init__(self, name: str, settings: Trunk, rtp: RtpEngine, *, timers: Timers | None = None) -> None:
        self.name = name
        self._timers = timers
        self._settings = settings
        self._rtp = rtp
        self._on_call: OnCall | None = None
        self._endpoint: SipEndpoint | None = None
        self.bad_rtp = {"foreign": 0, "bad": 0}
        self._starting = asyncio.Lock()

    async def start(self, on_call: OnCall | None = None) -> None:
        """Bind our end. A far end whose name does not resolve now is looked for again with each call.

        on_call: takes inbound calls; without it they get 480.
        Raises:  SipAddressTaken.
        """
        self._on_call = on_call
        try:
            await self._started()
        except SipTrunkUnresolved as error:
            _log.error("trunk_unresolved", trunk=self.name, error=str(error))

    async def stop(self) -> None:
        """End what is left of calls and close the socket."""
        if self._endpoint is not None:
            await self._endpoint.stop()
            self._endpoint = None

    def ignored(self) -> tuple[dict[str, int], dict[str, int]]:
        """What was thrown away, by reason: SIP datagrams, and RTP packets of calls that have ended."""
        return asdict(self._endpoint.counters) if self._endpoint is not None else {}, dict(self.bad_rtp)

    @property
    def address(self) -> tuple[str, int] | None:
        """The bound address, once it is started."""
        return self._endpoint.address if self._endpoint is not None else None

    async def dial(self, call: Call, ready: Ready) -> SipLeg | NotSent:
        """Place a call, once. See `TrunkCarrier.dial`."""
        try:
            endpoint = await self._started()
            stream = await self._rtp.open()
        except (SipTrunkUnresolved, MediaDown, MediaLimit) as error:
            return NotSent(error.slug)
        try:
            if await ready():
                placed = await endpoint.invite(
                    call.recipient, self._settings.caller_id or call.sender, self._offer(stream)
                )
                return SipLeg(placed, stream, self._rtp, self.bad_rtp, detection_times(self._settings))
            reason = "taken_back"
        except TooManyCalls as error:
            reason = error.slug
        await stream.close()
        return NotSent(reason)

    async def accept(self, call: SipCall) -> SipLeg | None:
        """Answer an inbound call; see `InboundCall.accept`."""
        try:
            stream = await self._rtp.open()
        except (MediaDown, MediaLimit):
            await call.reject(503)
            return None
        try:
            await call.accept(self._offer(stream))
        except NoCommonCodec:
            await stream.close()
            await call.reject(488)
            return None
        return SipLeg(call, stream, self._rtp, self.bad_rtp)

    def _offer(self, stream: RtpStream) -> sdp.Session:
        codecs = tuple(_CODECS[name] for name in self._settings.codecs)
        return sdp.Session(self._settings.advertised_ip, stream.port, codecs)

    async def _started(self) -> SipEndpoint:
        async with self._starting:
            if self._endpoint is None:
                endpoint = SipEndpoint(
                    (self._settings.local_host, self._settings.local_port),
                    self._route(),
                    advertised=(self._settings.advertised_ip, 0),
                    on_invite=self._take,
                    timers=self._timers,
                )
                await endpoint.start()
                self._endpoint = endpoint
            return self._endpoint

    def _route(self) -> Route:
        ours = self._settings
        password = ours.password.get_secret_value()
        known = Credentials(ours.username, password, ours.realm or None) if ours.username else None
        return Route(ours.host, ours.port, credentials=known, domain=ours.from_domain or None)

    async def _take(self, call: SipCall) -> None:
        if self._on_call is None:
            await call.reject(480)
            return
        await self._on_call(InboundCall(call, self))
