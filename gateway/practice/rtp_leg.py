"""One call's RTP socket on loopback: sends a frame every 20 ms, records, judges and reports on what it hears."""

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any, Self

from gateway.errors.media import BadRtp
from gateway.media import g711, rtp
from gateway.media.events import Digit, Lost, Stats
from gateway.media.session import Session
from gateway.practice.ear import Ear
from gateway.sip.sdp import Media

KEPT_S = 60.0  # of audio heard in a call
LOST_S = 30.0  # without a packet: the far side was killed, and will never hang up


class RtpLeg(asyncio.DatagramProtocol):
    """The media side of a SIP call.

    on_prompt: called each time a prompt has ended. on_lost: when the far side has sent nothing for half a minute.
    """

    def __init__(self, pause_s: float, on_prompt: Callable[[], None], on_lost: Callable[[], None]) -> None:
        """Not open yet: use `open`."""
        self._on_prompt = on_prompt
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.DatagramTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.ear = Ear(pause_s)
        self.keys_heard = ""
        self.session = Session(
            ssrc=secrets.randbits(32),
            sequence=secrets.randbits(16),
            timestamp=secrets.randbits(32),
            cname=secrets.token_hex(12),
            unix_ahead_s=time.time() - self._loop.time(),
            lost_after_s=LOST_S,
        )
        self.session.listen(KEPT_S)

    @classmethod
    async def open(cls, host: str, pause_s: float, on_prompt: Callable[[], None], on_lost: Callable[[], None]) -> Self:
        """Bind a free UDP port of `host`."""
        loop = asyncio.get_running_loop()
        _, leg = await loop.create_datagram_endpoint(lambda: cls(pause_s, on_prompt, on_lost), local_addr=(host, 0))
        return leg

    def connection_made(self, transport: Any) -> None:
        """Keep the socket."""
        self._transport = transport

    @property
    def port(self) -> int:
        """Where RTP is heard."""
        return int(self._transport.get_extra_info("sockname")[1]) if self._transport else 0

    def connect(self, media: Media) -> None:
        """Talk to the far side from now on; again when it moves."""
        now = self._loop.time()
        self.session.connect(
            media.address,
            media.port,
            payload_type=g711.PCMA if media.codec.name == "PCMA" else g711.PCMU,
            event_payload_type=media.event_payload_type,
            now=now,
            rtcp_mux=media.rtcp_mux,
        )
        if self._timer is None:
            self._tick()

    def greet(self, pcm: bytes) -> None:
        """Say this, 8 kHz PCM16, before anything else."""
        self.session.play(1, g711.encode(pcm, self.session.payload_type))

    def press(self, keys: str) -> None:
        """Press keys by RFC 4733, or as tones where telephone events were not agreed."""
        self.session.send_digits(keys)

    def stats(self) -> Stats:
        """Return the counters of the stream."""
        return self.session.stats()

    def close(self) -> None:
        """Stop sending and give the port back."""
        if self._timer:
            self._timer.cancel()
        self._report(self.session.reports.goodbye(self._loop.time()))
        if self._transport:
            self._transport.close()
        self._transport = None

    def _report(self, data: bytes | None) -> None:
        """Send a report of RTCP, where both agreed on one port for it and for audio: there is no other here."""
        reports = self.session.reports
        if data is not None and self._transport and reports.is_mux and reports.remote:
            self._transport.sendto(data, reports.remote)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Take one packet; those that overtake the ACK are too early to be judged."""
        if self.session.remote is None:
            return
        now = self._loop.time()
        self.session.receive(data, (addr[0], addr[1]), now)
        try:
            packet = rtp.parse(data)
        except BadRtp:
            return  # counted by the session
        if packet.payload_type in g711.SILENCE and (addr[0], addr[1]) == self.session.remote:
            self.ear.hear(packet.payload, packet.payload_type, now)

    def _tick(self) -> None:
        """Send what is due, notice the end of a prompt, and come back for the next frame."""
        now = self._loop.time()
        for packet in self.session.to_send(now):
            if self._transport and self.session.remote:
                self._transport.sendto(packet, self.session.remote)
        self._report(self.session.reports.report(now, secrets.randbelow(1000) / 1000))
        self.session.tick(now)
        for event in self.session.events():
            match event:
                case Digit(digit):
                    self.keys_heard += digit
                case Lost():
                    self._on_lost()
        if self.ear.prompt_ended(now):
            self._on_prompt()
        due = self.session.next_deadline()
        self._timer = self._loop.call_at(due if due is not None else now + g711.FRAME_S, self._tick)
