"""Calls that the carrier holds: their channels are freed when they end, and one whose end is not told is asked for."""

import asyncio
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
_ASKED_AT_ONCE: Final = 20
_LONGEST_MS: Final = 24 * 3_600_000  # no call lasts longer (Twilio's own limit): then nobody will ever tell
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class CallWatch:
    """Looks after `desk.elsewhere`. `turns`: by (mode, carrier), who applies what a carrier says.

    quiet_ms:   without news for so long, the carrier is asked.
    longest_ms: without news for so long, and without an answer, the call is given up as `unknown`.
    """

    desk: Desk
    turns: Mapping[tuple[str, str], VoiceTurns]
    quiet_ms: int = _QUIET_MS
    longest_ms: int = _LONGEST_MS
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
        live = {call.id: call for call in await self.desk.database.read(calls.at_carriers)}
        came_in = {call.id for call in live.values() if call.direction == "in"}
        self.desk.elsewhere |= came_in  # a number may have no status callback at its carrier
        for call_id in sorted(ids - live.keys()):
            self.desk.elsewhere.discard(call_id)
            self._asked_ms.pop(call_id, None)
            await self.desk.channels.release(call_id)
        quiet = [live[call_id] for call_id in sorted((ids | came_in) & live.keys()) if self._is_quiet(live[call_id])]
        await asyncio.gather(*(self._ask(call) for call in quiet[:_ASKED_AT_ONCE]))

    def _is_quiet(self, call: Call) -> bool:
        return now_ms() - max(call.updated_ms, self._asked_ms.get(call.id, 0)) > self.quiet_ms

    async def _ask(self, call: Call) -> None:
        self._asked_ms[call.id] = now_ms()
        try:
            await self._ask_carrier(call)
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 - a fault of ours in one call: the others are looked after all the same
            _log.exception("cannot_ask_for_call", call=call.id)

    async def _ask_carrier(self, call: Call) -> None:
        if call.carrier_id is None:  # neither an answer to our request nor a webhook ever came
            await self.desk.database.write(lambda tx: self._rest(tx, call))
            return
        turns = self.turns.get((call.mode, call.carrier))  # None: that carrier is configured no longer
        report = await turns.carrier.ask(call.carrier_id, timeout_s=_ASK_TIMEOUT_S) if turns is not None else None
        if turns is not None and report is not None:
            _log.info("carrier_asked", status=report.status)
            await turns.report(call.id, report)
        elif now_ms() - call.updated_ms > self.longest_ms:
            await self.desk.database.write(lambda tx: self._rest(tx, call))

    async def _rest(self, tx: Tx, call: Call) -> None:
        if await calls.get(tx, call.id) == call:  # else its webhook has come meanwhile
            await calls.ended(tx, call.id, "unknown", now_ms(), reason="no_response")
