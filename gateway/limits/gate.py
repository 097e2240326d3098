"""The gate: the only caller of Redis. One call takes all limits of many messages, or says what holds the next one.

When Redis is away every method raises RedisAway and nothing may be sent. When it may have forgotten something (flushed,
restarted, failed over, evicted) `take` answers Refused("rebuild") until `rebuild` was called.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, cast

import structlog
from redis.asyncio import Redis

from gateway.clock import monotonic
from gateway.limits.asking import MARKER, Asking, Own, counter_of, key_of
from gateway.limits.pacer import MARGIN
from gateway.limits.server import Server, connect
from gateway.limits.teller import Teller
from gateway.limits.usage import debited, spans_of, usage_of
from gateway.limits.windows import Bounds, bounds
from gateway.model.limit import (
    Blocked,
    Cap,
    Concurrency,
    Debit,
    Granted,
    Limit,
    Reason,
    Refused,
    Rolling,
    Slot,
    Throughput,
    Usage,
    UsageRow,
)

GUARD = 0.0025  # the share of a rate left over, so that jitter on the way does not pass it at the far end
AHEAD_US = 1_000_000  # slots reach at most this far, so that one sender never blocks a limit that others share
ROWS = 1_000  # usage rows a call of refill.lua
_WHATEVER_EPOCH, _RAISING = 2**53, 2  # as refill.lua reads them
_log = structlog.get_logger(__name__)


def _wall_us() -> int:
    return time.time_ns() // 1000


def guarded_us(throughput: Throughput, guard: float = GUARD) -> int:
    """Give the period that pacing aims at: a little longer than the limit's own."""
    return -(-throughput.period_us * 1_000_000 // round((1 - guard) * 1_000_000))


def apart_us(throughput: Throughput) -> int:
    """Give how far unit k keeps from unit k - n at least, by what the gate knows of both."""
    return throughput.period_us + round(throughput.period_us * MARGIN)


class Gate:
    """Takes limits in Redis. Safe to use from many tasks, processes and hosts at once.

    redis:     a client made by `connect` (it must not retry: a retried take debits twice).
    epoch:     the counters' epoch in the database; 0 if none was ever begun.
    timeout_s: how long Redis may take for one answer.
    wall_us, windows: the host's clock and the calendar; tests hand in their own.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        epoch: int = 0,
        guard: float = GUARD,
        timeout_s: float = 2.0,
        wall_us: Callable[[], int] = _wall_us,
        windows: Callable[[Cap, int], Bounds] = bounds,
    ) -> None:
        self.epoch = epoch
        self.seen = 0
        self._server = Server(redis, timeout_s)
        self.guard = guard
        self._wall_us = wall_us
        self._windows = windows
        self._teller = Teller(self._server, lambda limit: self._paced(limit)[1])

    @classmethod
    def connect(cls, url: str, *, epoch: int = 0, guard: float = GUARD, timeout_s: float = 2.0) -> Self:
        """Make a gate for `redis://`, `rediss://` or `unix://`. Nothing is sent yet; close with `aclose`."""
        return cls(connect(url, timeout_s=timeout_s), epoch=epoch, guard=guard, timeout_s=timeout_s)

    async def aclose(self) -> None:
        """Close the connections. What was not told by then is in doubt for some seconds."""
        self._teller.stop()
        await self._server.redis.aclose()

    async def take(
        self,
        limits: Sequence[Limit],
        segments: Sequence[int],
        *,
        ahead_us: int = AHEAD_US,
        holders: Sequence[str] = (),
        own: Own = (),
        more: bool = False,
    ) -> Granted | Refused:
        """Take all `limits` for as many of the messages as fit, in order.

        segments: how many segments each message or call has (1 for a call).
        ahead_us: how far beyond Redis's now a slot may lie, at most 1 s.
        holders:  where a limit is a Concurrency: who holds each channel, one fresh name per call.
        own:      for each message the rates, caps and rolling limits that bind it alone (its recipient's, its
                  network's). What these hold is passed over: its slot is a Refused.
        more:     more waits behind these: what is lost until the next call is made up.
        Returns:  Granted with at least one entry, and in `then` why the next got none; or Refused for the first.
        Next:     write `seq` and the slots' debits with `sending`, wait for each slot on Redis's clock, write, and say
                  of every slot that it is `wrote` or `unused`: until then it counts in every rolling period of its
                  rates, for 5 s. After "rate" ask again up to `ahead_us` before it opens; after "rebuild" `rebuild`.
        Raises:   RedisAway. Slots that were granted all the same are then spent.
        """
        blocked = next((limit for limit in limits if isinstance(limit, Blocked)), None)
        if blocked is not None:
            return Refused("blocked", blocked.key)
        asking = Asking(limits, segments, holders, own)
        number = self._teller.telling.begin(asking.throughputs)
        taken: Granted | Refused | None = None
        try:
            taken = await self._asked(asking, number, ahead_us, more=more)
        finally:
            self._teller.telling.granted(number, taken.granted if isinstance(taken, Granted) else ())
        return taken

    async def _asked(self, asking: Asking, number: int, ahead_us: int, *, more: bool) -> Granted | Refused:
        done = {limit.key: self._teller.telling.done(limit.key) for limit in asking.throughputs}
        words: list[int | str] = [min(ahead_us, AHEAD_US), self._teller.telling.worker, number, int(more)]
        answer = await self._take(asking, words, done)
        if answer[0] == b"bounds":  # the clocks disagree about which window this is; by less than the skew allowed
            answer = await self._take(asking, words, done, now_us=answer[1])
        status, _, seq, *_ = answer
        if status != b"ok":
            return Refused(cast("Reason", status.decode()))
        self.seen = max(self.seen, seq)
        taken = asking.read(answer, number, self.epoch)
        if isinstance(taken, Granted) and taken.granted:
            self._teller.telling.was_told(done)
            if lost := self._teller.telling.forget(taken.now_us):
                _log.error("slots_of_nobody", slots=lost)
        return taken

    def wrote(self, slot: Slot, at_us: int) -> None:
        """Its bytes were handed to the socket at `at_us`, on Redis's clock.

        Redis hears of it soon after: until then what was granted counts in every rolling period.
        """
        self._teller.wrote(slot, at_us)

    def unused(self, *slots: Slot) -> None:
        """Nothing leaves in these slots any more; they are spent. Harmless for one that was written."""
        self._teller.unused(*slots)

    async def tell(self) -> None:
        """Tell Redis all that it has not heard of. Raises RedisAway."""
        await self._teller.tell()

    def _paced(self, limit: Throughput) -> tuple[int, int]:
        period_us = guarded_us(limit, self.guard)
        return period_us, min(period_us, apart_us(limit))

    async def give_back(self, debits: Sequence[Debit], epoch: int) -> int:
        """Give units back, once, when the carrier is known not to have counted them (`counts = accepted`, NotSent).

        epoch:   of the grant; after a rebuild nothing is given back here, for the usage rows already tell the truth.
        Returns: how many debits were given back.
        """
        keys: list[str] = [MARKER]
        args: list[int | str] = [epoch]
        for debit in debits:
            counter, field, _, _ = counter_of(debit.limit_key, debit.window_start_us)
            keys.append(counter)
            args += [field, debit.units]
        return int(await self._server.eval("give_back", keys, args))

    async def renew(self, limit: Concurrency, holder: str) -> bool:
        """Keep a channel for another `lease_ms`. False: it ran out and went to someone else; end the call."""
        words: list[int | str] = [holder, limit.lease_ms * 1000, limit.limit]
        return bool(await self._server.eval("lease", [key_of(limit), MARKER], words))

    async def release(self, limit: Concurrency, holder: str) -> None:
        """Free a channel. Harmless when it is no longer held."""
        await self._server.eval("lease", [key_of(limit), MARKER], [holder, 0, limit.limit])

    async def usage(
        self, limits: Sequence[Limit], durable: Mapping[tuple[str, int], int] | None = None
    ) -> tuple[Usage, ...]:
        """Tell how full the current window of every cap and rolling limit is, debiting nothing.

        durable: the database's rows, (limit key, window start) to units. What Redis has debited beyond a row is
                 reserved. Without rows all that was debited counts as used.
        Raises:  RedisAway, also while the counters wait to be rebuilt.
        """
        now_us = self._wall_us()
        found = [(cap, spans_of(cap, now_us, self._windows)) for cap in limits if isinstance(cap, Cap | Rolling)]
        used = await debited(self._server, found, self.epoch)
        return tuple(usage_of(cap, spans, units, durable) for (cap, spans), units in zip(found, used, strict=True))

    async def rebuild(
        self,
        rows: Sequence[UsageRow],
        epoch: int,
        *,
        last_slot_us: int | None = None,
        longest: int = 1,
        held: Sequence[tuple[Concurrency, str]] = (),
        unheld: bool = False,
    ) -> int:
        """Begin the epoch `epoch` with the database's usage rows of all windows that are not over yet.

        Before: raise the epoch in the database and commit, so that no grant of an older one is written any more.
        last_slot_us: the latest slot an earlier grant may have had; rates wait one period after it. None: not known
                      (1 s from now); 0: nothing was ever sent.
        longest: the most segments an earlier message had. Those beyond a rate's N leave after the period.
        held:    channels of calls that may still be up, with their holders; who is dead after all does not renew.
        unheld:  other calls may be up, too: no channel is granted for the length of its lease, in which whoever holds
                 one renews it.
        Returns: the epoch in force. If it is not `epoch`, another process was first: read the database's again and
                 set it by `adopt`. 0: the clocks disagree, and none was begun; `take` says so until they agree.
        """
        seq = max([self.seen, *(row.seq for row in rows)])
        last = -1 if last_slot_us is None else last_slot_us
        calls = [word for limit, holder in held for word in (holder, limit.lease_ms * 1000)]
        server = await self._server.bounded(self._server.load)
        for first in range(0, max(1, len(rows)), ROWS):  # once without rows, too: what is lost is forgotten
            if not await self._refill(rows[first : first + ROWS], epoch, first=int(first == 0), load=False):
                return 0
        keys = [MARKER, *(key_of(limit) for limit, _ in held)]
        args = [epoch, self._wall_us(), server, last, longest, seq, int(unheld), *calls]
        in_force = int(await self._server.eval("rebuild", keys, args, load=False))
        if in_force == epoch:
            self.epoch = epoch
        return in_force

    async def raise_to(self, rows: Sequence[UsageRow]) -> bool:
        """Take what usage rows say as the least that was used, in whatever epoch: of limits that are new to Redis.

        Before: the rows are committed, so that a rebuild that comes in between has them, too.
        Returns: False where the clocks disagree: nothing of these limits may be taken yet.
        Raises:  RedisAway.
        """
        for first in range(0, max(1, len(rows)), ROWS):  # once without rows, too: whoever's clock is off finds none
            if not await self._refill(rows[first : first + ROWS], _WHATEVER_EPOCH, first=_RAISING, load=True):
                return False
        return True

    async def _refill(self, rows: Sequence[UsageRow], epoch: int, *, first: int, load: bool) -> bool:
        keys: list[str] = [MARKER]
        args: list[int | str] = [epoch, self._wall_us(), first]
        for row in rows:
            counter, _, index, member = counter_of(row.limit_key, row.window_start_us)
            keys += [counter, index]
            args += [row.window_start_us, row.used, row.until_us, member]
        return bool(await self._server.eval("refill", keys, args, load=load))

    def adopt(self, epoch: int) -> None:
        """Go on with an epoch that another process began, as the database tells.

        Its grants are numbered from what that process had seen, which may be less than this one had.
        """
        if epoch != self.epoch:
            self.seen = 0
        self.epoch = epoch

    async def clock(self) -> tuple[int, int, int]:
        """Redis's clock, and this process's monotonic one right before it was asked and after it answered; us.

        Raises: RedisAway.
        """
        asked_us = int(monotonic() * 1_000_000)
        seconds, micros = await self._server.bounded(self._server.redis.time)
        return int(seconds) * 1_000_000 + int(micros), asked_us, int(monotonic() * 1_000_000)

    async def ping(self) -> None:
        """Return when Redis answers. Raises RedisAway."""

        async def ask() -> None:
            await self._server.redis.ping()

        await self._server.bounded(ask)

    async def _take(
        self, asking: Asking, words: Sequence[int | str], done: Mapping[str, int], now_us: int = 0
    ) -> list[Any]:
        wall_us = self._wall_us()
        before = [wall_us, self.epoch, self.seen, *words]
        paced = {limit.key: (*self._paced(limit), done[limit.key]) for limit in asking.throughputs}
        keys, args = asking.ask(wall_us, now_us or wall_us, before, self._windows, paced)
        return cast("list[Any]", await self._server.eval("take", keys, args))
