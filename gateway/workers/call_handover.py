"""What a call hands on: the person to another number, and what they said to the store."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from gateway.carriers.voice_base import Leg
from gateway.clock import monotonic, new_id
from gateway.media import g711
from gateway.voice.state import Recorded, Transfer
from gateway.workers.call_bridge import Bridge, HandedResult
from gateway.workers.call_record import CallRecord

_MOST_RECORDED_S: Final = 900.0  # in one call: 7 MB
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Handed:
    """How a transfer went. `how`: refer, bridge."""

    result: HandedResult
    how: str


@dataclass(slots=True)
class Handover:
    """One call's transfers and recordings, for its record. `tell` is given a Handed when a transfer is decided."""

    leg: Leg
    record: CallRecord
    tell: Callable[[Handed], None]
    bridge: Bridge | None
    transfers: list[dict[str, Any]] = field(default_factory=list)
    recordings: list[dict[str, Any]] = field(default_factory=list)
    recorded_s: float = 0.0
    _task: asyncio.Task[None] | None = None

    # --- the person

    def transfer(self, wanted: Transfer) -> None:
        """Begin to hand the person over."""
        self._task = asyncio.create_task(self._transfer(wanted), name="call-transfer")

    async def _transfer(self, wanted: Transfer) -> None:
        began = monotonic()

        def tell(result: HandedResult, how: str) -> None:
            told = {"to": wanted.to, "how": how, "result": result}
            self.transfers.append({**told, "after_s": round(monotonic() - began, 2)})
            self.tell(Handed(result, how))

        how = "refer"
        try:
            result = await self.leg.refer(wanted.to, wanted.headers, wanted.ring_s)
            if result != "refused":
                tell(result, how)
            elif self.bridge is None:
                tell("failed", how)
            else:
                how = "bridge"
                await self.bridge.hold(self.leg, wanted, lambda bridged: tell(bridged, "bridge"))
        except Exception:  # noqa: BLE001 - a fault of ours: the person must not wait for ever
            _log.exception("transfer_failed")
            tell("failed", how)

    def stop(self) -> None:
        """The call is over: nobody is there to be handed over."""
        if self._task is not None:
            self._task.cancel()

    # --- what they said

    @property
    def may_record(self) -> bool:
        """Whether this call may keep more than it has."""
        return self.recorded_s < _MOST_RECORDED_S

    def spoken(self, pcm: bytes, node: str) -> Recorded:
        """Keep what was said in a node, 8 kHz PCM16; what the engine is to be told of it."""
        if not pcm:
            return Recorded("", 0.0)
        recording_id, seconds = new_id("rec"), len(pcm) / (2 * g711.RATE_HZ)
        self.recorded_s += seconds
        self.record.recorded(recording_id, node, g711.encode(pcm))
        self.recordings.append({"id": recording_id, "node": node, "seconds": round(seconds, 2)})
        return Recorded(recording_id, seconds)
