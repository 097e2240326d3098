"""The gate: the only caller of Redis. One call takes all limits of many messages, or says what holds the next one.

When Redis is away every method raises RedisAway and nothing may be sent. When it may have forgotten something (flushed,
restarted, failed over, evicted) `take` answers Refused("rebuild") until `rebuild` was called.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any, Self, TypeVar, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from gateway.errors import BadLimits, RedisAway
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
    Slot,
    Throughput,
    Usage,
    UsageRow,
)

GUARD = 0.004  # the share of a rate left over, so that jitter on the way does not pass it at the far end
AHEAD_US = 1_000_000  # slots reach at most this far, so that one sender never blocks a limit that others share
MAX_CAPS = 17  # a mask holds 3 bits a cap and must stay exact in a double
TAG = "{gateway}"  # one hash tag: all keys of a call lie on one node of a Redis Cluster
MARKER = f"{TAG}:marker"
SCRIPTS = ("take", "give_back", "late", "lease", "rebuild", "notice")

T = TypeVar("T")


def _wall_us() -> int:
    return time.time_ns() // 1000


def guarded_us(throughput: Throughput, guard: float = GUARD) -> int:
    """Give the period that pacing aims at: a little longer than the limit's own."""
    return -(-throughput.period_us * 1_000_000 // round((1 - guard) * 1_000_000))


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
        self._guard = guard
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
    ) -> Granted | Refused:
        """Take all `limits` for as many of the messages as fit, in order.

        segments: how many segments each message or call has (1 for a call).
        ahead_us: how far beyond Redis's now a slot may lie, at most 1 s.
        holders:  where a limit is a Concurrency: who holds each channel, one fresh name per call.
        Returns:  Granted with at least one slot, and in `then` why the next got none; or Refused for the first.
        Next:     write `seq` and the slots' debits with `sending`, wait for each slot on Redis's clock, write. After
                  "rate" ask again up to `ahead_us` before it opens; after "rebuild" see `rebuild`.
        Raises:   RedisAway. Slots that were granted all the same are then spent.
        """
        blocked = next((limit for limit in limits if isinstance(limit, Blocked)), None)
        if blocked is not None:
            return Refused("blocked", blocked.key)
        ordered = _ordered(limits, segments, holders)
        answer = await self._take(ordered, segments, min(ahead_us, AHEAD_US), holders)
        if answer[0] == b"bounds":  # the clocks disagree about which window this is; by less than the skew allowed
            answer = await self._take(ordered, segments, min(ahead_us, AHEAD_US), holders, now_us=answer[1])
        return self._read(ordered, segments, answer)

    async def late(self, limits: Sequence[Limit], slot_us: int, at_us: int) -> None:
        """Tell that the write of `slot_us` happened at `at_us` (Redis's clock); later slots then keep their distance.

        Needed only where the next writer is another process: a WriteClock holds the distance between its own writes.
        """
        for limit in limits:
            if isinstance(limit, Throughput):
                period = guarded_us(limit, self._guard)
                await self._eval("late", [_key(limit)], [slot_us, at_us, period, limit.period_us])

    async def give_back(self, debits: Sequence[Debit], epoch: int) -> int:
        """Give units back, once, when the carrier is known not to have counted them (`counts = accepted`, NotSent).

        epoch:   of the grant; after a rebuild nothing is given back here, for the usage rows already tell the truth.
        Returns: how many debits were given back.
        """
        keys = [MARKER, *(_cap_key(debit.limit_key) for debit in debits)]
        args = [epoch, *(word for debit in debits for word in (debit.window_start_us, debit.units))]
        return int(await self._eval("give_back", keys, args))

    async def renew(self, limit: Concurrency, holder: str) -> bool:
        """Keep a channel for another `lease_ms`. False: it ran out and went to someone else; end the call."""
        return bool(await self._eval("lease", [_key(limit)], [holder, limit.lease_ms * 1000, limit.limit]))

    async def release(self, limit: Concurrency, holder: str) -> None:
        """Free a channel. Harmless when it is no longer held."""
        await self._eval("lease", [_key(limit)], [holder, 0, limit.limit])

    async def usage(
        self, limits: Sequence[Limit], durable: Mapping[tuple[str, int], int] | None = None
    ) -> tuple[Usage, ...]:
        """Tell how full the current window of every cap is, debiting nothing.

        durable: the database's rows, (limit key, window start) to units. What Redis has debited beyond a row is
                 reserved. Without rows all that was debited counts as used.
        Raises:  RedisAway, also while the counters wait to be rebuilt.
        """
        caps = [limit for limit in limits if isinstance(limit, Cap)]
        found = [(cap, self._windows(cap, self._wall_us())) for cap in caps]

        async def ask() -> list[Any]:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.hget(MARKER, "epoch")
            for cap, window in found:
                pipeline.hget(_key(cap), str(window.start_us))
            return await pipeline.execute()

        epoch, *debited = await self._bounded(ask)
        if int(epoch or 0) != self.epoch:
            raise RedisAway("the counters are being rebuilt")
        return tuple(_usage(each, int(used or 0), durable) for each, used in zip(found, debited, strict=True))

    async def rebuild(
        self,
        rows: Sequence[UsageRow],
        epoch: int,
        *,
        last_slot_us: int | None = None,
        held: Sequence[tuple[Concurrency, str]] = (),
    ) -> int:
        """Begin the epoch `epoch` with the database's usage rows of all windows that are not over yet.

        Before: raise the epoch in the database and commit, so that no grant of an older one is written any more.
        last_slot_us: the latest slot an earlier grant may have had; rates wait one period after it. None: not known
                      (1 s from now); 0: nothing was ever sent.
        held:    channels of calls that may still be up, with their holders; who is dead after all does not renew.
        Returns: the epoch in force. If it is not `epoch`, another process was first: read the database's again and
                 set it by `adopt`.
        """
        keys = [MARKER, *(_cap_key(row.limit_key) for row in rows), *(_key(limit) for limit, _ in held)]
        seq = max([self.seen, *(row.seq for row in rows)])
        last = -1 if last_slot_us is None else last_slot_us
        words = [word for row in rows for word in (row.window_start_us, row.used)]
        calls = [word for limit, holder in held for word in (holder, limit.lease_ms * 1000)]
        server = await self._bounded(self._load)
        args = [epoch, server, last, seq, len(rows), *words, *calls]
        in_force = int(await self._eval("rebuild", keys, args, load=False))
        if in_force == epoch:
            self.epoch = epoch
        return in_force

    def adopt(self, epoch: int) -> None:
        """Go on with an epoch that another process began, as the database tells."""
        self.epoch = epoch

    async def ping(self) -> None:
        """Return when Redis answers. Raises RedisAway."""

        async def ask() -> None:
            await self._redis.ping()

        await self._bounded(ask)

    async def _take(
        self, limits: "_Ordered", segments: Sequence[int], ahead_us: int, holders: Sequence[str], now_us: int = 0
    ) -> list[Any]:
        wall_us = self._wall_us()
        args: list[int | str] = [wall_us, self.epoch, self.seen, ahead_us]
        args += [len(limits.throughputs), len(limits.caps), len(limits.leases), len(segments)]
        for throughput in limits.throughputs:
            args += [throughput.n, guarded_us(throughput, self._guard), int(throughput.unit == "segment")]
        limits.windows.clear()
        for cap in limits.caps:
            window = self._windows(cap, now_us or wall_us)
            limits.windows.append(window)
            args += [cap.limit, int(cap.unit == "segment")]
            args += [window.previous_us, window.start_us, window.end_us, window.after_us]
        for lease in limits.leases:
            args += [lease.limit, lease.lease_ms * 1000]
        return cast("list[Any]", await self._eval("take", limits.keys, [*args, *segments, *holders]))

    def _read(self, limits: "_Ordered", segments: Sequence[int], answer: list[Any]) -> Granted | Refused:
        status, now_us, seq, slots, masks, refused = answer
        if status != b"ok":
            return Refused(cast("Reason", status.decode()))
        self.seen = max(self.seen, seq)
        then = limits.refused(*refused) if refused else None
        if not slots:
            return then or Refused("bounds")
        debits = {each: limits.debits(*each) for each in set(zip(masks, segments, strict=False))}
        granted = tuple(
            Slot(slot, count, debits[mask, count]) for slot, mask, count in zip(slots, masks, segments, strict=False)
        )
        return Granted(granted, seq, self.epoch, now_us, then)

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
        for name in SCRIPTS:
            self._shas[name] = await self._redis.script_load(_script(name))
        return server

    async def _bounded(self, ask: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await ask()
        except TimeoutError as error:
            raise RedisAway(f"no answer within {self._timeout_s} s") from error
        except (RedisError, OSError) as error:
            raise RedisAway(f"{type(error).__name__}: {error}") from error


class _Ordered:
    """The limits of one call in the script's order: throughputs, caps, leases; reads its answer back."""

    def __init__(self, limits: Sequence[Limit]) -> None:
        self.throughputs = [limit for limit in limits if isinstance(limit, Throughput)]
        self.caps = [limit for limit in limits if isinstance(limit, Cap)]
        self.leases = [limit for limit in limits if isinstance(limit, Concurrency)]
        self.all: list[Throughput | Cap | Concurrency] = [*self.throughputs, *self.caps, *self.leases]
        self.keys = [MARKER, *(_key(limit) for limit in self.all)]
        self.windows: list[Bounds] = []

    def refused(self, index: int, opens_at_us: int) -> Refused:
        limit = self.all[index - 1]
        return Refused(_reason(limit), limit.key, opens_at_us or None)

    def debits(self, mask: int, segments: int) -> tuple[Debit, ...]:
        found = []
        for index, (cap, window) in enumerate(zip(self.caps, self.windows, strict=True)):
            units = segments if cap.unit == "segment" else 1
            starts = (window.previous_us, window.start_us, window.end_us)
            found += [Debit(cap.key, start, units) for bit, start in enumerate(starts) if mask >> (3 * index + bit) & 1]
        return tuple(found)


def connect(url: str, *, timeout_s: float = 2.0) -> Redis:
    """Make a client that answers once or fails: a take that is retried would debit twice."""
    return Redis.from_url(
        url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=Retry(NoBackoff(), 0), protocol=2
    )


def _ordered(limits: Sequence[Limit], segments: Sequence[int], holders: Sequence[str]) -> _Ordered:
    ordered = _Ordered(limits)
    if len(ordered.caps) > MAX_CAPS:
        raise BadLimits(f"a message has at most {MAX_CAPS} caps, not {len(ordered.caps)}")
    if len(ordered.keys) != len(set(ordered.keys)):
        raise BadLimits("two limits of one message have the same key")
    if not segments or min(segments) < 1:
        raise ValueError("every message has at least one segment")
    if ordered.leases and len(set(holders)) != len(segments):
        raise ValueError("a limit on channels needs one holder per call")
    return ordered


def _reason(limit: Throughput | Cap | Concurrency) -> Reason:
    match limit:
        case Throughput():
            return "rate"
        case Cap():
            return cast("Reason", f"cap_{limit.window}")
        case Concurrency():
            return "channels"


def _key(limit: Throughput | Cap | Concurrency) -> str:
    if isinstance(limit, Cap):
        return _cap_key(limit.key)
    return f"{TAG}:{'rate' if isinstance(limit, Throughput) else 'lease'}:{limit.key}"


def _cap_key(key: str) -> str:
    return f"{TAG}:cap:{key}"


def _usage(found: tuple[Cap, Bounds], debited: int, durable: Mapping[tuple[str, int], int] | None) -> Usage:
    cap, window = found
    used = debited if durable is None else durable.get((cap.key, window.start_us), 0)
    return Usage(cap, window.start_us, window.end_us, used, max(0, debited - used))


@lru_cache
def _script(name: str) -> str:
    return files("gateway.limits").joinpath("lua", f"{name}.lua").read_text("utf-8")
