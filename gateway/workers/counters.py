"""The gate together with the database's side of it: limits of a scope, grants of the right epoch, rebuilds."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

import structlog

from gateway import steps
from gateway.clock import monotonic, now_ms
from gateway.errors import RedisAway
from gateway.limits.gate import Gate
from gateway.limits.profiles import Profiles
from gateway.metrics import Metrics
from gateway.model.limit import Cap, Concurrency, Granted, Limit, Refused, Slot, Throughput
from gateway.model.sender import Sender
from gateway.store import usage
from gateway.store.database import Database

_log = structlog.get_logger(__name__)


class Counters:
    """Limits as the loops take them. One for all of them: a rebuild is made once."""

    def __init__(self, gate: Gate, database: Database, profiles: Profiles, metrics: Metrics) -> None:
        self._gate = gate
        self._database = database
        self._profiles = profiles
        self._metrics = metrics
        self._rebuilding = asyncio.Lock()
        self._held: dict[tuple[str, str], Concurrency] = {}

    def of_sender(self, sender: Sender, mode: str) -> tuple[Limit, ...]:
        """What a sender's texts are limited by today."""
        return self._profiles.of_sender(sender, mode, datetime.now(UTC).date())

    def of_trunk(self, name: str, mode: str, overrides: Mapping[str, object]) -> tuple[Limit, ...]:
        """What a trunk's calls are limited by today: calls per second, and calls at once."""
        return self._profiles.of_trunk(name, mode, overrides, datetime.now(UTC).date())

    async def take(
        self, limits: Sequence[Limit], segments: Sequence[int], *, ahead_us: int, holders: Sequence[str] = ()
    ) -> Granted | Refused:
        """Take limits as `Gate.take` does, rebuilding the counters first where Redis may have forgotten some.

        holders: where a limit is a Concurrency, who holds each channel; kept alive by `renew`, freed by `release`.
        Raises:  RedisAway, StoreUnavailable.
        """
        if not self._gate.epoch:  # none was begun yet: a Redis that forgot all would look like one that is in step
            await self.rebuild()
        known = self._gate.epoch
        answer = await self._ask(limits, segments, ahead_us, holders)
        if isinstance(answer, Refused) and answer.reason == "rebuild" and await self._adopt(known):
            answer = await self._ask(limits, segments, ahead_us, holders)
        if isinstance(answer, Refused) and answer.reason == "rebuild":
            await self.rebuild()
            answer = await self._ask(limits, segments, ahead_us, holders)
        if isinstance(answer, Granted):
            channels = [limit for limit in limits if isinstance(limit, Concurrency)]
            self._held |= {(limit.key, each): limit for limit in channels for each in _granted(holders, answer)}
            self._show_channels(channels)
        return answer

    async def _adopt(self, known: int) -> bool:
        """Go on with the epoch that another loop or process began since `known`; False: none did.

        Two processes that each began one of their own, whenever the other had, would do nothing else.
        """
        async with self._rebuilding:
            if self._gate.epoch == known:
                self._gate.adopt(max(known, await self._database.read(usage.epoch)))
        return self._gate.epoch != known

    async def _ask(
        self, limits: Sequence[Limit], segments: Sequence[int], ahead_us: int, holders: Sequence[str]
    ) -> Granted | Refused:
        began = monotonic()
        steps.reached("take:before")
        answer = await self._gate.take(limits, segments, ahead_us=ahead_us, holders=holders)
        steps.reached("take:after")
        self._metrics.gate_seconds.observe(monotonic() - began)
        if isinstance(answer, Refused):
            self._metrics.refusals.labels(answer.reason).inc()
        elif limits:
            unit = next((limit.unit for limit in limits if isinstance(limit, Throughput | Cap)), "segment")
            self._metrics.grants.labels(unit).inc(sum(slot.units for slot in answer.granted))
        return answer

    def _show_channels(self, channels: Sequence[Concurrency]) -> None:
        for limit in channels:
            in_use = sum(key == limit.key for key, _ in self._held)
            self._metrics.channels.labels(limit.key.removesuffix(":channels")).set(in_use)

    async def renew(self, limit: Concurrency, holder: str) -> bool:
        """Keep a channel, well within its `lease_ms`. False: it ran out and went to someone else. Raises RedisAway."""
        return await self._gate.renew(limit, holder)

    async def release(self, limit: Concurrency, holder: str) -> None:
        """Free a channel. Where Redis is away it comes back by itself when its lease runs out."""
        self._held.pop((limit.key, holder), None)
        self._show_channels([limit])
        with contextlib.suppress(RedisAway):
            await self._gate.release(limit, holder)

    async def begin(self) -> None:
        """At start: see whether Redis still has the counters, and rebuild them if not. Raises RedisAway."""
        await self.take((), [1], ahead_us=0)

    async def rebuild(self) -> None:
        """Begin a new epoch of the counters from the usage rows. Grants of older epochs are not written any more."""
        async with self._rebuilding:
            steps.reached("rebuild:before")
            in_force = 0
            while True:  # a Redis that outlived its database may be further on than that
                raised = partial(usage.raise_epoch, beyond=in_force, now_ms=now_ms())
                wanted = await self._database.write(raised)
                held = [(limit, holder) for (_, holder), limit in self._held.items()]
                last_us = None if wanted.has_sent else 0
                in_force = await self._gate.rebuild(wanted.rows, wanted.epoch, last_slot_us=last_us, held=held)
                if in_force == wanted.epoch:
                    break
            steps.reached("rebuild:after")
            _log.warning("counters_rebuilt", epoch=in_force, windows=len(wanted.rows), channels=len(held))


def _granted(holders: Sequence[str], answer: Granted) -> list[str]:
    return [holder for holder, slot in zip(holders, answer.slots, strict=False) if isinstance(slot, Slot)]
