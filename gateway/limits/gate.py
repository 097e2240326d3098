"""The gate: the only caller of Redis. One call takes all limits of many messages, or says what holds the next one.

When Redis is away every method raises RedisAway and nothing may be sent. When it may have forgotten something (flushed,
restarted, failed over, evicted) `take` answers Refused("rebuild") until `rebuild` was called.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import islice
from typing import Any, Self, TypeVar, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from gateway.errors.limits import RedisAway
from gateway.limits.asking import MARKER, NEAR_US, Asking, Own, Windows, counter_of, key_of
from gateway.limits.pacer import MARGIN
from gateway.limits.windows import Bounds, bounds
from gateway.model.limit import (
    BUCKETS,
    Blocked,
    Cap,
    Concurrency,
    Debit,
    Granted,
    Limit,
    Reason,
    Refused,
    Rolling,
    Throughput,
    Usage,
    UsageRow,
)

GUARD = 0.0035  # the share of a rate left over, so that jitter on the way does not pass it at the far end
AHEAD_US = 1_000_000  # slots reach at most this far, so that one sender never blocks a limit that others share
ROWS = 1_000  # usage rows a call of refill.lua
KEEP_RATES = frozenset({"take", "late"})  # scripts that begin with rate.lua
SCRIPTS = ("take", "give_back", "late", "lease", "refill", "rebuild", "notice")

T = TypeVar("T")


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
        self._redis = redis
        self.guard = guard
        self._timeout_s = timeout_s
        self._wall_us = wall_us
        self._windows = windows
        self._shas: dict[str, str] = {}

    @classmethod
    def connect(cls, url: str, *, epoch: int = 0, guard: float = GUARD, timeout_s: float = 2.0) -> Self:
        """Make a gate for `redis://`, `rediss://` or `unix://`. Nothing is sent yet; close with `aclose`."""
        return cls(connect(url, timeout_s=timeout_s), epoch=epoch, guard=guard, timeout_s=timeout_s)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def take(
        self,
        limits: Sequence[Limit],
        segments: Sequence[int],
        *,
        ahead_us: int = AHEAD_US,
        holders: Sequence[str] = (),
        own: Own = (),
    ) -> Granted | Refused:
        """Take all `limits` for as many of the messages as fit, in order.

        segments: how many segments each message or call has (1 for a call).
        ahead_us: how far beyond Redis's now a slot may lie, at most 1 s.
        holders:  where a limit is a Concurrency: who holds each channel, one fresh name per call.
        own:      for each message the rates, caps and rolling limits that bind it alone (its recipient's, its
                  network's). What these hold is passed over: its slot is a Refused.
        Returns:  Granted with at least one entry, and in `then` why the next got none; or Refused for the first.
        Next:     write `seq` and the slots' debits with `sending`, wait for each slot on Redis's clock, write. After
                  "rate" ask again up to `ahead_us` before it opens; after "rebuild" see `rebuild`.
        Raises:   RedisAway. Slots that were granted all the same are then spent.
        """
        blocked = next((limit for limit in limits if isinstance(limit, Blocked)), None)
        if blocked is not None:
            return Refused("blocked", blocked.key)
        asking = Asking(limits, segments, holders, own)
        answer = await self._take(asking, min(ahead_us, AHEAD_US))
        if answer[0] == b"bounds":  # the clocks disagree about which window this is; by less than the skew allowed
            answer = await self._take(asking, min(ahead_us, AHEAD_US), now_us=answer[1])
        status, _, seq, *_ = answer
        if status != b"ok":
            return Refused(cast("Reason", status.decode()))
        self.seen = max(self.seen, seq)
        return asking.read(answer, self.epoch)

    async def late(self, writes: Sequence["Late"]) -> int:
        """Tell of writes that happened later than their slots; slots granted later then keep their distance.

        Needed only where the next writer is another process, which is where a rate is shared, and only for writes
        that `is_late`: a WriteClock holds the distance between its own writes. Tell it before the slot one period
        later is granted: within the rate's period less `ahead_us`.
        Returns: how many rates it was told to. Raises RedisAway.
        """
        keys: list[str] = []
        args: list[int | str] = []
        for write in writes:
            for limit in write.rates:
                keys.append(key_of(limit))
                units = write.segments if limit.unit == "segment" else 1
                args += [write.slot_us, write.at_us, units, limit.n, self._paced(limit)[1]]
        return int(await self._eval("late", keys, args)) if keys else 0

    async def shift(self, rates: Sequence[Throughput], by_us: int) -> None:
        """Have every slot of these rates from now on keep its distance as if all before had left `by_us` late.

        For whoever comes after a process that wrote for them and can tell nothing any more. Raises RedisAway.
        """
        args = [word for limit in rates for word in (0, by_us, 0, limit.n, 0)]
        if rates:
            await self._eval("late", [key_of(limit) for limit in rates], args)

    def _paced(self, limit: Throughput) -> tuple[int, int]:
        period_us = guarded_us(limit, self.guard)
        return period_us, min(period_us, apart_us(limit))

    def is_late(self, write: "Late") -> bool:
        """Whether a write was later than what the rates' guard leaves over."""
        spare = max(0.0, self.guard - MARGIN)
        return any(write.at_us - write.slot_us > limit.period_us * spare for limit in write.rates)

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
        return int(await self._eval("give_back", keys, args))

    async def renew(self, limit: Concurrency, holder: str) -> bool:
        """Keep a channel for another `lease_ms`. False: it ran out and went to someone else; end the call."""
        return bool(await self._eval("lease", [key_of(limit)], [holder, limit.lease_ms * 1000, limit.limit]))

    async def release(self, limit: Concurrency, holder: str) -> None:
        """Free a channel. Harmless when it is no longer held."""
        await self._eval("lease", [key_of(limit)], [holder, 0, limit.limit])

    async def usage(
        self, limits: Sequence[Limit], durable: Mapping[tuple[str, int], int] | None = None
    ) -> tuple[Usage, ...]:
        """Tell how full the current window of every cap and rolling limit is, debiting nothing.

        durable: the database's rows, (limit key, window start) to units. What Redis has debited beyond a row is
                 reserved. Without rows all that was debited counts as used.
        Raises:  RedisAway, also while the counters wait to be rebuilt.
        """
        found = [(cap, self._spans(cap)) for cap in limits if isinstance(cap, Cap | Rolling)]

        async def ask() -> list[Any]:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.hget(MARKER, "epoch")
            for cap, spans in found:
                for start_us, _ in spans:
                    counter, field, _, _ = counter_of(counter_name(cap), start_us)
                    pipeline.hget(counter, field)
            return await pipeline.execute()

        epoch, *debited = await self._bounded(ask)
        if int(epoch or 0) != self.epoch:
            raise RedisAway("the counters are being rebuilt")
        counts = iter(debited)
        told = [(cap, spans, [int(each or 0) for each in islice(counts, len(spans))]) for cap, spans in found]
        return tuple(_usage(cap, spans, used, durable) for cap, spans, used in told)

    def _spans(self, cap: Cap | Rolling) -> list[tuple[int, int]]:
        """The windows that count now, oldest first: where each begins, and when it counts no more."""
        return spans_of(cap, self._wall_us(), self._windows)

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
        server = await self._bounded(self._load)
        for first in range(0, max(1, len(rows)), ROWS):  # once without rows, too: what is lost is forgotten
            if not await self._refill(rows[first : first + ROWS], epoch, first=first == 0):
                return 0
        keys = [MARKER, *(key_of(limit) for limit, _ in held)]
        args = [epoch, self._wall_us(), server, last, longest, seq, int(unheld), *calls]
        in_force = int(await self._eval("rebuild", keys, args, load=False))
        if in_force == epoch:
            self.epoch = epoch
        return in_force

    async def _refill(self, rows: Sequence[UsageRow], epoch: int, *, first: bool) -> bool:
        keys: list[str] = [MARKER]
        args: list[int | str] = [epoch, self._wall_us(), int(first)]
        for row in rows:
            counter, _, index, member = counter_of(row.limit_key, row.window_start_us)
            keys += [counter, index]
            args += [row.window_start_us, row.used, row.until_us, member]
        return bool(await self._eval("refill", keys, args, load=False))

    def adopt(self, epoch: int) -> None:
        """Go on with an epoch that another process began, as the database tells.

        Its grants are numbered from what that process had seen, which may be less than this one had.
        """
        if epoch != self.epoch:
            self.seen = 0
        self.epoch = epoch

    async def ping(self) -> None:
        """Return when Redis answers. Raises RedisAway."""

        async def ask() -> None:
            await self._redis.ping()

        await self._bounded(ask)

    async def _take(self, asking: Asking, ahead_us: int, now_us: int = 0) -> list[Any]:
        wall_us = self._wall_us()
        before = [wall_us, self.epoch, self.seen, ahead_us]
        keys, args = asking.ask(wall_us, now_us or wall_us, before, self._windows, self._paced)
        return cast("list[Any]", await self._eval("take", keys, args))

    async def _eval(self, name: str, keys: Sequence[str], args: Sequence[int | str], *, load: bool = True) -> Any:
        async def ask() -> Any:
            if name not in self._shas:
                await self._load()
            try:
                return await self._redis.evalsha(self._shas[name], len(keys), *keys, *args)
            except NoScriptError:
                if not load:
                    raise
                await self._load()
                return await self._redis.evalsha(self._shas[name], len(keys), *keys, *args)

        return await self._bounded(ask)

    async def _load(self) -> str:
        """Compare the server with the one whose counters these are, and only then load the scripts.

        Scripts do not survive a restart and are not replicated, so a server that has them was compared.
        """
        info = await self._redis.info("server")
        replication = await self._redis.info("replication")
        server = f"{info['run_id']}:{replication['master_replid']}"
        await self._redis.eval(_script("notice"), 1, MARKER, server)
        pipeline = self._redis.pipeline(transaction=False)
        for name in SCRIPTS:
            pipeline.script_load(_script(name))
        self._shas.update(zip(SCRIPTS, await pipeline.execute(), strict=True))
        return server

    async def _bounded(self, ask: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await ask()
        except TimeoutError as error:
            raise RedisAway(f"no answer within {self._timeout_s} s") from error
        except (RedisError, OSError) as error:
            raise RedisAway(f"{type(error).__name__}: {error}") from error


@dataclass(frozen=True, slots=True)
class Late:
    """A write that happened at `at_us` instead of `slot_us`, on Redis's clock; `rates` are those that others share."""

    rates: Sequence[Throughput]
    slot_us: int
    at_us: int
    segments: int = 1


def spans_of(cap: Cap | Rolling, now_us: int, windows: Windows = bounds) -> list[tuple[int, int]]:
    """The windows of a cap, or parts of a rolling limit, that count at `now_us`, oldest first: begin, and when over."""
    if isinstance(cap, Cap):
        window = windows(cap, now_us)
        return [(window.start_us, window.end_us)]
    part, kept = cap.part_us, cap.part_us + cap.length_us + NEAR_US
    last = now_us // part * part
    starts = range(last - (BUCKETS + 3) * part, last + part, part)
    return [(start, start + kept) for start in starts if start + kept > now_us]


def connect(url: str, *, timeout_s: float = 2.0) -> Redis:
    """Make a client that answers once or fails: a take that is retried would debit twice."""
    return Redis.from_url(
        url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=Retry(NoBackoff(), 0), protocol=2
    )


def counter_name(cap: Cap | Rolling) -> str:
    """What debits and usage rows name its counter by."""
    return cap.counter if isinstance(cap, Rolling) else cap.key


def _usage(
    cap: Cap | Rolling,
    spans: Sequence[tuple[int, int]],
    debited: Sequence[int],
    durable: Mapping[tuple[str, int], int] | None,
) -> Usage:
    total = sum(debited)
    used = total if durable is None else sum(durable.get((counter_name(cap), start), 0) for start, _ in spans)
    oldest = next((over for (_, over), count in zip(spans, debited, strict=True) if count), spans[-1][1])
    return Usage(cap, spans[0][0], oldest, used, max(0, total - used))


def usage_from_rows(cap: Cap | Rolling, durable: Mapping[tuple[str, int], int], now_us: int) -> Usage:
    """How full it is by the database's rows alone, while Redis is away and nothing is sent."""
    spans = spans_of(cap, now_us)
    return _usage(cap, spans, [durable.get((counter_name(cap), start), 0) for start, _ in spans], durable)


@lru_cache
def _script(name: str) -> str:
    folder = files("gateway.limits").joinpath("lua")
    parts = ("rate", name) if name in KEEP_RATES else (name,)
    return "\n".join(folder.joinpath(f"{part}.lua").read_text("utf-8") for part in parts)
