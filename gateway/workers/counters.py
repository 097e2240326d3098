"""The gate together with the database's side of it: limits of a scope, grants of the right epoch, rebuilds."""

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final, TypeAlias

from gateway import steps
from gateway.clock import monotonic, now_ms
from gateway.errors.limits import RedisAway
from gateway.limits.asking import Own
from gateway.limits.binding import Binding, attempted
from gateway.limits.gate import Gate
from gateway.limits.pacer import RedisClock
from gateway.limits.profiles import Profiles
from gateway.metrics import Metrics
from gateway.model.call import Call
from gateway.model.limit import (
    Cap,
    Concurrency,
    Debit,
    Granted,
    Limit,
    Refused,
    Slot,
    Throughput,
)
from gateway.model.message import Message
from gateway.model.sender import Sender
from gateway.store import left, tenants, usage
from gateway.store.database import Database, Tx
from gateway.workers.earlier import Earlier
from gateway.workers.limits_in_force import LimitsInForce, Unknown
from gateway.workers.reached import tell
from gateway.workers.rebuilder import Channels, Rebuilder
from gateway.workers.slots import now_us

_CLOCK_US: Final = 250_000
_SKEW_MS: Final = 2_000  # as in take.lua

Stands: TypeAlias = Callable[[Tx], Awaitable[bool]]  # whether a refusal still holds; see `Counters.stands`


class Counters:
    """Limits as the loops take them. One for all of them.

    unknown_network: see `LimitsInForce`.
    alone: no other process writes for these limits, now or a moment ago.
    """

    def __init__(
        self,
        gate: Gate,
        database: Database,
        profiles: Profiles,
        metrics: Metrics,
        unknown_network: Unknown = "all",
        *,
        alone: bool = True,
    ) -> None:
        self._gate = gate
        self._database = database
        self._profiles = profiles
        self._metrics = metrics
        self._in_force = LimitsInForce(database, profiles, unknown_network)
        self._earlier = Earlier(gate, database, counts_unknown=unknown_network == "all")
        self._channels = Channels()
        self._rebuilder = Rebuilder(gate, database, self._channels, alone=alone)
        self._behind = -1  # an epoch that the database has left, though Redis has not: a rebuild stopped half way

    def of_trunk(self, name: str, mode: str, overrides: Mapping[str, object]) -> tuple[Limit, ...]:
        """What a trunk's calls are limited by today: calls per second, and calls at once."""
        return self._profiles.of_trunk(name, mode, overrides, datetime.now(UTC).date())

    async def rates_of(self, sender: Sender, mode: str) -> tuple[Throughput, ...]:
        """Every rate that paces this sender's texts, whatever network they go to. Raises as `take_texts`."""
        bound = await self._in_force.of_texts(sender, mode)
        every = dict.fromkeys(limit for limits in (bound.shared, *bound.networks.values()) for limit in limits)
        return tuple(limit for limit in every if isinstance(limit, Throughput))

    async def take_texts(
        self, sender: Sender, mode: str, messages: Sequence[Message], *, ahead_us: int, more: bool = False
    ) -> Granted | Refused:
        """Take every limit of every scope for as many of these texts of one sender as fit, in order.

        more:   see `Gate.take`.
        Next:   write `debit` with `sending`. Where a slot is a Refused, hold that one message until it opens.
        Raises: RedisAway, StoreUnavailable, UnknownProfile, BadLimits.
        """
        await self._begin_day()
        bound = await self._in_force.of_texts(sender, mode)
        if not await self._earlier.counted(bound, sender, mode):
            return _under(bound, Refused("clock_skew"))
        shared, own = bound.of([(text.network, attempted(text.kind, text.recipient)) for text in messages])
        segments = [message.segments for message in messages]
        return _under(bound, await self.take(shared, segments, ahead_us=ahead_us, own=own, more=more))

    async def take_calls(
        self, sender: Sender, mode: str, trunk: tuple[Limit, ...], account: str, calls: Sequence[Call], *, ahead_us: int
    ) -> Granted | Refused:
        """Take the trunk's limits and those of every other scope for as many of these calls as fit; as `take_texts`.

        account: the name of their road. Holders of channels are the calls' ids.
        """
        await self._begin_day()
        bound = await self._in_force.of_calls(sender, mode, account, trunk)
        if not await self._earlier.counted(bound, sender, mode, account):
            return _under(bound, Refused("clock_skew"))
        shared, own = bound.of([("", call.recipient) for call in calls])
        holders = [call.id for call in calls]
        return _under(bound, await self.take(shared, [1] * len(calls), ahead_us=ahead_us, holders=holders, own=own))

    async def debit(self, tx: Tx, sender: Sender, mode: str, granted: Granted) -> bool:
        """Write what was granted into the usage rows, and tell what limits have come to. Awaits nothing but `tx`.

        Returns: False, and nothing is written, where the counters were rebuilt or the limits changed meanwhile: nothing
                 of this grant may leave. Ask again.
        """
        epoch, version, longest, _ = await usage.in_force(tx)
        if version != granted.version:
            self._in_force.look_again()
        if epoch != granted.epoch:
            self._behind = granted.epoch
        if (epoch, version) != (granted.epoch, granted.version):
            return False
        await usage.add(tx, granted.debits, granted.seq)
        if (segments := max((slot.units for slot in granted.granted), default=1)) > longest:
            await usage.had(tx, segments)
        await tell(tx, granted.full, granted.now_us, sender, mode, granted.callbacks)
        return True

    async def stands(self, tx: Tx, *, sender: Sender, version: int) -> bool:
        """Whether what was refused would be refused again: neither the limits nor the sender changed meanwhile.

        To be asked in the transaction that holds something for a limit: who lifts a limit queues again what it held,
        and what is held after that would wait for a window that nobody keeps any more.
        """
        now = (await usage.in_force(tx)).version
        if now != version:
            self._in_force.look_again()
        return now == version and await tenants.sender(tx, sender.number) == sender

    async def take(
        self,
        limits: Sequence[Limit],
        segments: Sequence[int],
        *,
        ahead_us: int,
        holders: Sequence[str] = (),
        own: Own = (),
        more: bool = False,
    ) -> Granted | Refused:
        """Take limits as `Gate.take` does, rebuilding the counters first where Redis may have forgotten some.

        holders: where a limit is a Concurrency, who holds each channel; kept alive by `renew`, freed by `release`.
        Raises:  RedisAway, StoreUnavailable.
        """
        self._channels.asking |= set(holders)
        try:
            asked = partial(self._ask, limits, segments, ahead_us, holders, own, more)
            answer = await self._take(asked)
        finally:
            self._channels.asking -= set(holders)
        if isinstance(answer, Granted):
            channels = [limit for limit in limits if isinstance(limit, Concurrency)]
            self._channels.held |= {
                (limit.key, each): limit for limit in channels for each in _granted(holders, answer)
            }
            self._show_channels(channels)
        return answer

    async def _take(self, ask: Callable[[], Awaitable[Granted | Refused]]) -> Granted | Refused:
        known = self._gate.epoch
        if known in {0, self._behind}:  # 0: none was begun yet; a Redis that forgot all would look like one in step
            await self._rebuilder.rebuild(known)
            known = self._gate.epoch
        answer = await ask()
        if isinstance(answer, Refused) and answer.reason == "rebuild":
            await self._rebuilder.rebuild(known)
            answer = await ask()
        return answer

    async def _ask(
        self,
        limits: Sequence[Limit],
        segments: Sequence[int],
        ahead_us: int,
        holders: Sequence[str],
        own: Own,
        more: bool,
    ) -> Granted | Refused:
        began = monotonic()
        steps.reached("take:before")
        answer = await self._gate.take(limits, segments, ahead_us=ahead_us, holders=holders, own=own, more=more)
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
            in_use = sum(key == limit.key for key, _ in self._channels.held)
            self._metrics.channels.labels(limit.key.removesuffix(":channels")).set(in_use)

    async def renew(self, limit: Concurrency, holder: str) -> bool:
        """Keep a channel, well within its `lease_ms`. False: it ran out and went to someone else. Raises RedisAway."""
        return await self._gate.renew(limit, holder)

    async def release(self, limit: Concurrency, holder: str) -> None:
        """Free a channel. Where Redis is away it comes back by itself when its lease runs out."""
        self._channels.held.pop((limit.key, holder), None)
        self._show_channels([limit])
        with contextlib.suppress(RedisAway):
            await self._gate.release(limit, holder)

    async def give_back(self, debits: Sequence[Debit], epoch: int) -> None:
        """Let others have what the usage rows have taken back already; where Redis is away it stays spent there."""
        with contextlib.suppress(RedisAway):
            await self._gate.give_back(debits, epoch)

    def wrote(self, slot: Slot, at_us: int) -> None:
        """Note when a slot was really written, us on Redis's clock; see `Gate.wrote`."""
        self._gate.wrote(slot, at_us)

    def unused(self, *slots: Slot) -> None:
        """Note that nothing leaves in these slots any more, if anything did; see `Gate.unused`."""
        self._gate.unused(*slots)

    async def read_clock(self, clock: RedisClock) -> None:
        """Ask Redis for the time, four times a second: its answer to a take tells it less exactly. Raises RedisAway."""
        if now_us() - clock.read_us > _CLOCK_US:
            redis_us, asked_us, received_us = await self._gate.clock()
            clock.observe(redis_us, received_us, asked_us)
            clock.read_us = received_us

    async def begin(self) -> None:
        """At start: see whether Redis still has the counters, and rebuild them if not. Raises RedisAway."""
        await self._database.write(partial(left.count_by, sha256=self._profiles.sha256))
        await self.take((), [1], ahead_us=0)
        await self._begin_day()

    async def _begin_day(self) -> None:
        """Let rows of the limits file come into force today in every process, where the clock is right."""
        day = await self._in_force.brings_a_day()
        if day is None:
            return
        redis_us, _, _ = await self._gate.clock()
        if abs(redis_us // 1000 - now_ms()) <= _SKEW_MS:
            await self._database.write(partial(left.raise_day, day=day))
            self._in_force.look_again()


def _under(bound: Binding, answer: Granted | Refused) -> Granted | Refused:
    if isinstance(answer, Refused):
        return replace(answer, version=bound.version)
    return replace(answer, version=bound.version, callbacks=bound.callbacks)


def _granted(holders: Sequence[str], answer: Granted) -> list[str]:
    return [holder for holder, slot in zip(holders, answer.slots, strict=False) if isinstance(slot, Slot)]
