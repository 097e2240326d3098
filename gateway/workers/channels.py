"""The channels of calls that are up: leased from the gate, renewed while they live, freed at their end."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from gateway.errors.limits import RedisAway
from gateway.model.limit import Concurrency, Limit
from gateway.workers.counters import Counters

_EVERY_S: Final = 5.0  # a lease is 30 s: several renewals may fail before it runs out
_AGAIN_S: Final = 0.5  # a Redis that stood still gives everybody 10 s to say what they hold: see lua/channels.lua
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Channels:
    """All channels that this process holds, by call id."""

    counters: Counters
    freed: asyncio.Event = field(default_factory=asyncio.Event)  # set when one was; whoever waits clears it
    _held: dict[str, tuple[Sequence[Concurrency], Callable[[], None]]] = field(default_factory=dict)

    def hold(self, call_id: str, limits: Sequence[Limit], on_lost: Callable[[], None] = lambda: None) -> None:
        """Keep the channels that were granted to this call. `on_lost`: one went to somebody else; end the call."""
        self._held[call_id] = ([limit for limit in limits if isinstance(limit, Concurrency)], on_lost)

    async def release(self, call_id: str) -> None:
        """The call is over, or never began."""
        channels, _ = self._held.pop(call_id, ((), None))
        for limit in channels:
            await self.counters.release(limit, call_id)
        self.freed.set()

    async def run(self) -> None:
        """Renew until cancelled."""
        is_away = False
        while True:
            await asyncio.sleep(_AGAIN_S if is_away else _EVERY_S)
            is_away = not await self._renew_all()

    async def _renew_all(self) -> bool:
        """Whether Redis answered: where it is away, each call would wait for that in turn."""
        try:
            for call_id in list(self._held):
                await self._renew(call_id)
        except RedisAway as error:
            _log.warning("channels_not_renewed", error=str(error))
            return False
        return True

    async def _renew(self, call_id: str) -> None:
        channels, on_lost = self._held.get(call_id, ((), None))
        for limit in channels:
            if not await self.counters.renew(limit, call_id) and on_lost is not None:
                _log.error("channel_lost", limit=limit.key)
                on_lost()
