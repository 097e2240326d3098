"""This process's leases: which senders it may write for, and until when it may believe so.

A beat every second keeps all of them in one statement. Its own belief is the stricter one: it ends a lease's length
after the last beat was *asked for*, less a margin, by a monotonic clock, while everybody else waits a lease's length
after they *saw* that beat. So when another takes a sender over, this process has stopped writing (P2, P5).
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import SystemRandom
from typing import Any, Final

import structlog

from gateway import steps
from gateway.clock import monotonic, now_ms
from gateway.errors.store import StoreUnavailable
from gateway.store import leases
from gateway.store.database import Database, Tx
from gateway.store.leases import LEASE_S, Stillness
from gateway.store.signals import Gates, Signals, Things

BEAT_S: Final = 1.0
_MARGIN: Final = 0.1  # of a lease: clocks that tick apart, and the way from the last look to the socket
_LEFT_S: Final = 2.0  # what nobody has taken for so long is taken by whoever sees it
_IDLE_S: Final = 5.0
_BOTH: Final[tuple[Things, ...]] = ("messages", "calls")
_dice = SystemRandom()
_log = structlog.get_logger(__name__)

Pair = tuple[str, str]  # sender, mode


@dataclass(frozen=True, slots=True)
class Lease:
    """Leave to write for one sender."""

    things: Things
    sender: str
    mode: str
    holder: int
    token: int

    async def fence(self, tx: Tx) -> bool:
        """Whether the database agrees: asked in the transaction that commits."""
        return await leases.fence(tx, self.things, self.sender, self.mode, self.holder, self.token)


class Leases:
    """One for all loops of a process.

    alone:  no other process can share this database (SQLite, whose folder is locked): nothing needs to beat.
    things: what this process takes leases of.
    clock:  monotonic seconds.
    """

    def __init__(
        self,
        database: Database,
        signals: Signals,
        *,
        alone: bool,
        things: Sequence[Things] = _BOTH,
        lease_s: float = LEASE_S,
        beat_s: float = BEAT_S,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._database = database
        self._signals = signals
        self._alone = alone
        self._things = things
        self._lease_s = lease_s
        self._beat_s = beat_s
        self._clock = clock
        self._stillness = Stillness(lease_s)
        self._held: dict[tuple[Things, str, str], Lease] = {}
        self._free_since: dict[tuple[Things, str, str], float] = {}
        self._share: dict[Things, int] = {}
        self._told: Gates = {}
        self._needed_at: dict[tuple[Things, str, str], float] = {}
        self._given: list[Lease] = []  # back, though the database has not heard of it yet
        self._valid_until = 0.0
        self.holder = 0  # none yet, or none any more

    # --- for the loops

    def holds(self, lease: Lease) -> bool:
        """Whether this process may write under `lease` at this very moment."""
        key = (lease.things, lease.sender, lease.mode)
        return self._held.get(key) is lease and self._clock() < self._valid_until

    def is_lost(self, lease: Lease) -> bool:
        """Whether it is over for good; one that is neither held nor lost waits for the database."""
        return self._held.get((lease.things, lease.sender, lease.mode)) is not lease

    async def acquire(self, things: Things, pairs: Iterable[Pair]) -> dict[Pair, Lease]:
        """Have leases of senders with work: those that we hold, and of those that nobody has no more than our share.

        What nobody else has taken after a while is ours, too. Raises StoreUnavailable.
        """
        wanted = set(pairs)
        missing = {pair for pair in wanted if (things, *pair) not in self._held}
        if wanted and self._clock() < self._valid_until:
            chosen = missing if self._alone else await self._choose(things, missing, len(wanted))
            if chosen:
                await self._take(things, sorted(chosen))
        return {pair: lease for pair in wanted if (lease := self._held.get((things, *pair))) is not None}

    async def _choose(self, things: Things, missing: set[Pair], of_all: int) -> set[Pair]:
        async def look(tx: Tx) -> tuple[set[Pair], set[int]]:
            return set(await leases.held(tx, things)), await leases.holders_of(tx, things)

        held, holders = await self._database.read(look)
        now, free = self._clock(), missing - held
        self._free_since = {(things, *pair): self._free_since.get((things, *pair), now) for pair in free} | {
            key: since for key, since in self._free_since.items() if key[0] != things
        }
        self._share[things] = -(-of_all // max(1, len(holders)))
        room = max(0, self._share[things] - (of_all - len(missing)))
        left = {pair for pair in free if now - self._free_since[things, *pair] > _LEFT_S}
        return left | set(_dice.sample(sorted(free), min(room, len(free))))

    def surplus(self, things: Things, pairs: Iterable[Pair]) -> list[Lease]:
        """What of these senders with work is beyond our share, by the last look at the others: give one back."""
        ours = [lease for pair in sorted(pairs) if (lease := self._held.get((things, *pair))) is not None]
        return ours[self._share.get(things, len(ours)) :]

    async def _take(self, things: Things, pairs: list[Pair]) -> None:
        holder = self.holder

        async def take(tx: Tx) -> list[Lease]:
            taken = {pair: await leases.take(tx, things, *pair, holder) for pair in pairs}
            if any(token is not None for token in taken.values()):
                await leases.rest_abandoned(tx, now_ms())
            return [Lease(things, *pair, holder, token) for pair, token in taken.items() if token is not None]

        steps.reached("lease:before")
        found = await self._database.write(take)
        steps.reached("lease:after")
        if holder == self.holder:
            self._held |= {(things, lease.sender, lease.mode): lease for lease in found}

    def idle(self, things: Things, needed: Iterable[Pair]) -> list[Lease]:
        """Leases that have not been `needed`, by the caller's looks, for a while: give them back for others to have."""
        now = self._clock()
        self._needed_at |= {(things, *pair): now for pair in needed}
        held = [lease for key, lease in self._held.items() if key[0] == things]
        since = {lease: self._needed_at.setdefault((things, lease.sender, lease.mode), now) for lease in held}
        return [] if self._alone else [lease for lease in held if now - since[lease] > _IDLE_S]

    async def release(self, *given: Lease) -> None:
        """Give leases back, when nothing under them can be written any more and every answer is on disk.

        One that was lost meanwhile is not ours to give: by now its sender may be ours again, under another lease.
        Raises: StoreUnavailable; the next beat says it again, since nobody would ever have that sender otherwise.
        """
        for lease in [each for each in given if not self.is_lost(each)]:
            del self._held[lease.things, lease.sender, lease.mode]
            self._given.append(lease)
        await self._give()

    async def _give(self) -> None:
        given = list(self._given)
        rows = [
            {"things": each.things, "sender": each.sender, "mode": each.mode, "owner": each.holder, "token": each.token}
            for each in given
        ]
        if rows:
            await self._database.aside(lambda tx: tx.many("leases_release", rows))
            self._given = [each for each in self._given if each not in given]
            self._signals.wake("messages")

    async def release_all(self, things: Things) -> None:
        """Give back all that this process holds of one kind; see `release`."""
        await self.release(*[lease for lease in self._held.values() if lease.things == things])

    # --- its life

    async def begin(self) -> None:
        """Become a holder, and settle what others left behind. Raises StoreUnavailable."""
        asked = self._clock()

        async def join(tx: Tx) -> int:
            return await leases.join(tx, self._things, now_ms(), alone=self._alone)

        self._held.clear()
        self._given.clear()
        self.holder = self._signals.holder = await self._database.write(join)
        self._signals.holders.add(self.holder)
        self._valid_until = float("inf") if self._alone else asked + self._lease_s * (1 - _MARGIN)
        await self.sweep()

    async def sweep(self) -> None:
        """Let rest what processes that are gone have left. Raises StoreUnavailable."""
        while await self._database.read(leases.anything_abandoned):
            found = await self._database.write(lambda tx: leases.rest_abandoned(tx, now_ms()))
            _log.warning("unknown_after_a_worker_was_gone", **found)
            self._signals.wake("events")

    async def run(self) -> None:
        """Beat until cancelled, and look whether the others do."""
        while True:
            await asyncio.sleep(self._beat_s)
            if self._alone:
                continue
            try:
                await self._beat()
            except StoreUnavailable as error:
                _log.error("cannot_renew_leases", error=str(error))

    async def _beat(self) -> None:
        asked = self._clock()
        holder = self.holder

        noted = dict(self._signals.gates)
        told = self._changed(noted)

        async def beat(tx: Tx) -> tuple[bool, dict[int, int]]:
            await tx.many("leases_note", told)
            return await leases.beat(tx, holder), await leases.beats(tx)

        lives, beats = await self._database.aside(beat)
        if not lives:
            _log.error("leases_lost", senders=len(self._held))
            self._valid_until = 0.0
            await self.begin()
            return
        self._told = {key: noted[key] for key in self._held.keys() & noted.keys()}
        self._valid_until = asked + self._lease_s * (1 - _MARGIN)
        await self._give()
        beats.pop(holder, None)
        if gone := self._stillness.look(beats, self._clock()):
            await self._bury(gone)
        await self.sweep()

    def _changed(self, notes: Gates) -> list[dict[str, Any]]:
        """What keeps our senders' queues waiting and is not in their leases yet, for `why` in other processes."""
        changed = [key for key in self._held if notes.get(key) != self._told.get(key)]
        rows = [(key, *notes.get(key, ("", None))) for key in changed]
        return [
            {"things": key[0], "sender": key[1], "mode": key[2], "owner": self.holder}
            | {"reason": reason, "opens_ms": opens_ms}
            for key, reason, opens_ms in rows
        ]

    async def _bury(self, gone: dict[int, int]) -> None:
        rows = [{"id": holder, "beat": beat} for holder, beat in gone.items()]
        await self._database.aside(lambda tx: tx.many("holders_gone", rows))
        _log.warning("workers_gone", holders=len(rows))
        self._signals.wake("messages")
        self._signals.wake("calls")

    async def end(self) -> None:
        """Hold nothing any more: the others may go on at once."""
        self._held.clear()
        self._valid_until = 0.0
        with contextlib.suppress(StoreUnavailable):
            await self._database.write(lambda tx: tx.run("holders_leave", id=self.holder))
        self.holder = self._signals.holder = 0
