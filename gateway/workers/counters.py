"""The gate together with the database's side of it: limits of a scope, grants of the right epoch, rebuilds."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import structlog

from gateway.clock import now_ms
from gateway.limits.gate import Gate
from gateway.limits.profiles import Profiles
from gateway.model.limit import Granted, Limit, Refused
from gateway.model.sender import Sender
from gateway.store import usage
from gateway.store.database import Database

_log = structlog.get_logger(__name__)


def scope_of(mode: str, what: str) -> str:
    """The name of a scope's counters. Test keys have counters of their own, so that practice costs no real cap."""
    return what if mode == "live" else f"test:{what}"


class Counters:
    """Limits as the loops take them. One for all of them: a rebuild is made once."""

    def __init__(self, gate: Gate, database: Database, profiles: Profiles) -> None:
        self._gate = gate
        self._database = database
        self._profiles = profiles
        self._rebuilding = asyncio.Lock()

    def of_sender(self, sender: Sender, mode: str) -> tuple[Limit, ...]:
        """What a sender's texts are limited by today."""
        scope = scope_of(mode, f"sender:{sender.number}")
        today = datetime.now(UTC).date()
        return self._profiles.limits_for(scope, sender.kind, sender.status, on=today, overrides=sender.limits)

    def of_trunk(self, name: str, mode: str, overrides: Mapping[str, object]) -> tuple[Limit, ...]:
        """What a trunk's calls are limited by today: calls per second, and calls at once."""
        scope = scope_of(mode, f"trunk:{name}")
        return self._profiles.limits_for(scope, "trunk", "*", on=datetime.now(UTC).date(), overrides=overrides)

    async def take(
        self, limits: Sequence[Limit], segments: Sequence[int], *, ahead_us: int, holders: Sequence[str] = ()
    ) -> Granted | Refused:
        """Take limits as `Gate.take` does, rebuilding the counters first where Redis may have forgotten some.

        Raises: RedisAway, StoreUnavailable.
        """
        answer = await self._gate.take(limits, segments, ahead_us=ahead_us, holders=holders)
        if not isinstance(answer, Refused) or answer.reason != "rebuild":
            return answer
        await self.rebuild()
        return await self._gate.take(limits, segments, ahead_us=ahead_us, holders=holders)

    async def begin(self) -> None:
        """At start: see whether Redis still has the counters, and rebuild them if not. Raises RedisAway."""
        await self.take((), [1], ahead_us=0)

    async def rebuild(self) -> None:
        """Begin a new epoch of the counters from the usage rows. Grants of older epochs are not written any more."""
        async with self._rebuilding:
            epoch, rows = await self._database.write(lambda tx: usage.raise_epoch(tx, now_ms() * 1000))
            in_force = await self._gate.rebuild(rows, epoch)
            if in_force != epoch:
                self._gate.adopt(in_force)
            _log.warning("counters_rebuilt", epoch=in_force, windows=len(rows))
