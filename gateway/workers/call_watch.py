"""Calls that the carrier holds: their channels are freed when they end, and one whose end is not told is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from gateway.carriers.voice_base import WebhookRoad
from gateway.carriers.voice_turns import VoiceTurns
from gateway.clock import now_ms
from gateway.errors.store import StoreUnavailable
from gateway.model.call import Call
from gateway.store import calls
from gateway.store.database import Tx
from gateway.workers.call_desk import Desk

_LOOK_EVERY_S: Final = 1.0
_QUIET_MS: Final = 120_000  # without news for so long, the carrier is asked
_ASK_TIMEOUT_S: Final = 10.0
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class CallWatch:
    """Looks after `desk.elsewhere`. `turns`: by (mode, carrier), who applies what a carrier says."""

    desk: Desk
    turns: Mapping[tuple[str, str], VoiceTurns]
    quiet_ms: int = _QUIET_MS
    _asked_ms: dict[str, int] = field(default_factory=dict)

    async def adopt(self) -> None:
        """Calls that go on at the carrier keep their channels, and are looked after, when their process is gone.

        Several processes may do so for one call, which harms nothing.
        """
        for call in await self.desk.database.read(calls.left_at_carrier):
            if call.id not in self.desk.elsewhere:
                self.desk.elsewhere.add(call.id)
                self._hold(call)

    def _hold(self, call: Call) -> None:
        for (mode, _), road in self.desk.roads.items():
            if isinstance(road, WebhookRoad) and (mode, road.carrier.name) == (call.mode, call.carrier):
                self.desk.channels.hold(call.id, self.desk.limits_of(road, mode))

    async def run(self) -> None:
        """Look until cancelled: whenever a call has ended, and every second."""
        woken = self.desk.signals.listen("calls")
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                _log.error("cannot_watch_calls", error=str(error))
            await woken.wait(_LOOK_EVERY_S)

    async def look(self) -> None:
        """Free what has ended, and ask for what has been quiet for long."""
        await self.adopt()
        ids = set(self.desk.elsewhere)
        live = {call.id: call for call in await self.desk.database.read(calls.live)}
        came_in = {call.id for call in live.values() if call.direction == "in" and call.engine_state}
        self.desk.elsewhere |= came_in  # a number may have no status callback at its carrier
        for call_id in sorted(ids | came_in):
            call = live.get(call_id)
            if call is None:
                self.desk.elsewhere.discard(call_id)
                self._asked_ms.pop(call_id, None)
                await self.desk.channels.release(call_id)
            elif now_ms() - max(call.updated_ms, self._asked_ms.get(call_id, 0)) > self.quiet_ms:
                self._asked_ms[call_id] = now_ms()
                await self._ask(call)

    async def _ask(self, call: Call) -> None:
        turns = self.turns.get((call.mode, call.carrier))
        if turns is None:
            return
        if call.carrier_id is None:  # neither an answer to our request nor a webhook ever came
            await self.desk.database.write(lambda tx: self._rest(tx, call))
            return
        report = await turns.carrier.ask(call.carrier_id, timeout_s=_ASK_TIMEOUT_S)
        if report is not None:
            _log.info("carrier_asked", status=report.status)
            await turns.report(call.id, report)

    async def _rest(self, tx: Tx, call: Call) -> None:
        await calls.ended(tx, call.id, "unknown", now_ms(), reason="no_response")
