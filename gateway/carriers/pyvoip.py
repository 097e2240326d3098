"""A phone extension at a small PBX by pyVoIP, for whoever wants that library: an optional road, with its limits.

What it cannot do is written in docs/trunks.md, and told by the contract's test. Everything of it runs in a process of
its own (`pyvoip_phone`): what waits there for ever is ended with the process, and its calls are told as lost.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
import structlog

from gateway.carriers.base import Ready
from gateway.carriers.voice_base import Digit, Ended, Leg, LegEvent, PickedUp, Played, ReferResult, Spoken, Unanswered
from gateway.clock import monotonic
from gateway.errors.carriers import PyVoipMissing
from gateway.model.call import Call
from gateway.model.outcome import NotSent
from gateway.settings_trunks import Trunk
from gateway.speech.audio import Audio
from gateway.voice.state import Transfer

_START_S: Final = 15.0  # for REGISTER, which it repeats by itself
_SAMPLES_A_SECOND: Final = 8_000
_log = structlog.get_logger(__name__)


class PyVoipLeg:
    """One call of the extension. It tells no ringing, and why nobody answered it does not know."""

    def __init__(self, phone: "PyVoip", number: int) -> None:
        self._phone = phone
        self.number = number
        self.is_up = False
        self._before: list[LegEvent] = []
        self._hear: Callable[[LegEvent], None] = self._before.append
        self._plays: dict[int, tuple[asyncio.TimerHandle, float, float]] = {}  # id -> its end, when it begins, seconds
        self._ids = itertools.count(1)
        self._quiet_at = 0.0
        self._is_ours = False
        self._over = asyncio.Event()

    def listen(self, hear: Callable[[LegEvent], None]) -> None:
        """See `Leg.listen`."""
        for event in self._before:
            hear(event)
        self._hear = hear

    def play(self, pieces: Sequence[Audio | float]) -> tuple[int, ...]:
        """See `Leg.play`. It does not tell what it has played: the clock does."""
        return tuple(self._play(piece.pcm if isinstance(piece, Audio) else _silence(piece)) for piece in pieces)

    def _play(self, pcm: bytes) -> int:
        play_id, seconds = next(self._ids), len(pcm) / (2 * _SAMPLES_A_SECOND)
        begins = max(monotonic(), self._quiet_at)
        self._quiet_at = begins + seconds
        eight_bits = ((np.frombuffer(pcm, np.int16) >> 8) + 128).astype(np.uint8).tobytes()
        self._phone.tell("play", self.number, audio=base64.b64encode(eight_bits).decode())
        ended = asyncio.get_running_loop().call_at(self._quiet_at, self._played, play_id, True)
        self._plays[play_id] = (ended, begins, seconds)
        return play_id

    def _played(self, play_id: int, finished: bool) -> None:
        handle, begins, seconds = self._plays.pop(play_id)
        handle.cancel()
        heard = seconds if finished else min(max(monotonic() - begins, 0.0), seconds)
        self._hear(Played(play_id, heard, finished))

    def stop(self) -> None:
        """See `Leg.stop`."""
        self._phone.tell("stop", self.number)
        self._quiet_at = 0.0
        for play_id in list(self._plays):
            self._played(play_id, False)

    def detect(self) -> bool:
        """See `Leg.detect`: it cannot."""
        return False

    def record(self, *, max_s: float, finish_on: str | None, silence_s: float) -> None:
        """See `Leg.record`: it cannot, so nothing was said."""
        del max_s, finish_on, silence_s
        self._hear(Spoken(b""))

    async def refer(self, to: str, headers: Mapping[str, str], ring_s: float) -> ReferResult:
        """See `Leg.refer`: it knows no REFER."""
        del to, headers, ring_s
        return "failed"

    def ring_back(self, *, on: bool) -> None:
        """See `Leg.ring_back`: nobody is put through here."""

    def join(self, other: Leg) -> None:
        """See `Leg.join`: nobody is put through here."""

    def hangup(self) -> None:
        """See `Leg.hangup`. Before the answer it can only give up: the telephone goes on ringing."""
        self._is_ours = True
        self._phone.tell("hangup", self.number)
        if not self.is_up:
            self.end(Unanswered("no_answer", "no_answer"))

    async def over(self) -> None:
        """See `Leg.over`."""
        await self._over.wait()

    def take(self, told: Mapping[str, Any]) -> None:
        """What the process tells of this call."""
        match told["event"]:
            case "picked_up":
                self.is_up = True
                self._hear(PickedUp())
            case "digit":
                self._hear(Digit(told["digit"]))
            case "failed":
                self.end(Unanswered("failed", "carrier_refused"))
            case "ended":
                self.end(Ended("gateway" if self._is_ours else "person"))

    def lost(self) -> None:
        """The process is gone."""
        self.end(Ended("carrier", "media_down") if self.is_up else Unanswered("unknown", "no_response"))

    def end(self, last: Unanswered | Ended) -> None:
        """Tell the last event, once."""
        if self._over.is_set():
            return
        for play_id in list(self._plays):
            self._played(play_id, False)
        self._over.set()
        self._phone.forget(self.number)
        self._hear(last)


class PyVoip:
    """One extension. A `TrunkCarrier` that takes no calls and puts nobody through."""

    def __init__(self, name: str, settings: Trunk) -> None:
        """Nothing runs before the first call. Raises: PyVoipMissing where the extra is not installed."""
        if find_spec("pyVoIP") is None:
            raise PyVoipMissing(name)
        self.name = name
        self.trouble = ""
        self._settings = settings
        self._legs: dict[int, PyVoipLeg] = {}
        self._ids = itertools.count(1)
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._starting = asyncio.Lock()

    async def dial(self, call: Call, ready: Ready) -> PyVoipLeg | NotSent:
        """Place a call, once. See `TrunkCarrier.dial`."""
        async with self._starting:
            if not await self._started():
                return NotSent("not_registered")
        if not await ready():
            return NotSent("taken_back")
        number = next(self._ids)
        leg = self._legs[number] = PyVoipLeg(self, number)
        self.tell("dial", number, number=call.recipient.lstrip("+"))
        asyncio.get_running_loop().call_later(self._settings.ring_timeout_s + _START_S, self._stuck, leg)
        return leg

    async def bridge(self, call: Call, wanted: Transfer, beside: Leg, ready: Ready) -> NotSent:
        """See `TrunkCarrier.bridge`: it cannot."""
        del call, wanted, beside, ready
        return NotSent("no_bridge")

    async def stop(self) -> None:
        """End the process, and with it what is left of calls."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        if self._reader is not None:
            await asyncio.wait([self._reader])

    def tell(self, op: str, leg: int, **words: object) -> None:
        """Give the process a line, where it still is."""
        if self._process is not None and self._process.stdin is not None:
            line = json.dumps({"op": op, "id": leg, **words}).encode() + b"\n"
            self._process.stdin.write(line)

    def forget(self, number: int) -> None:
        """That call is over."""
        self._legs.pop(number, None)

    def _stuck(self, leg: PyVoipLeg) -> None:
        """Its SIP thread may wait for ever, and with it all calls that come after: only a new process helps."""
        if self._legs.get(leg.number) is leg and not leg.is_up and self._process is not None:
            _log.error("pyvoip_is_stuck", trunk=self.name)
            self._process.kill()

    async def _started(self) -> bool:
        if self._process is None or self._process.returncode is not None:
            await self.stop()
            self._ready.clear()
            command = (sys.executable, "-m", "gateway.carriers.pyvoip_phone")
            pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL  # it prints numbers and passwords
            self._process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=nowhere)
            self._reader = asyncio.create_task(self._read(self._process), name="pyvoip")
            if self._process.stdin is not None:
                self._process.stdin.write(json.dumps(self._own()).encode() + b"\n")
        try:
            async with asyncio.timeout(_START_S):
                await self._ready.wait()
        except TimeoutError:
            _log.error("pyvoip_not_registered", trunk=self.name)
            await self.stop()
            return False
        return self._process.returncode is None

    def _own(self) -> dict[str, object]:
        ours = self._settings
        own = {"username": ours.username, "password": ours.password.get_secret_value()}
        return {
            "server": ours.host,
            "port": ours.port or 5060,
            **own,
            "myIP": ours.local_host,
            "sipPort": ours.local_port,
        }

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is None:
            return
        async for line in process.stdout:
            with contextlib.suppress(ValueError, KeyError):
                self._take(json.loads(line))
        await process.wait()
        self._ready.set()  # nobody waits for one that is gone
        for leg in list(self._legs.values()):
            leg.lost()

    def _take(self, told: Mapping[str, Any]) -> None:
        if told["event"] == "ready":
            self._ready.set()
        elif (leg := self._legs.get(told["id"])) is not None:
            leg.take(told)


def _silence(seconds: float) -> bytes:
    return bytes(2 * round(seconds * _SAMPLES_A_SECOND))
