"""Begins the counters in Redis anew from the database's usage rows, one process for all; the others adopt that."""

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog

from gateway import steps
from gateway.clock import monotonic, now_ms
from gateway.limits.gate import AHEAD_US, Gate
from gateway.limits.schedule import DOUBT_US
from gateway.model.limit import Concurrency, Refused
from gateway.store import usage
from gateway.store.database import Database

_OTHERS_REBUILD_S: Final = 2.0  # how long one process may take to fill Redis before another does it
_LOOK_AGAIN_S: Final = 0.05
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Channels:
    """What this process's calls hold, by limit key and holder; and the holders that ask for one this moment."""

    held: dict[tuple[str, str], Concurrency] = field(default_factory=dict)
    asking: set[str] = field(default_factory=set)


class Rebuilder:
    """One a process: a rebuild is made once.

    alone: no other process writes for these limits, now or a moment ago.
    """

    def __init__(self, gate: Gate, database: Database, channels: Channels, *, alone: bool) -> None:
        self._gate = gate
        self._database = database
        self._channels = channels
        self._alone = alone
        self._one_rebuilds = asyncio.Lock()

    async def rebuild(self, known: int) -> None:
        """Begin a new epoch of the counters from the usage rows, unless somebody else does; then adopt that.

        known: the epoch that Redis did not know any more. Grants of it are not written from now on.
        """
        async with self._one_rebuilds:
            beyond = 0
            while self._gate.epoch == known or beyond:  # else another task of this process was first
                raising = partial(usage.raise_epoch, beyond=beyond, now_ms=now_ms(), known=known)
                raised = await self._database.write(raising)
                if isinstance(raised, int):
                    if await self._adopt(raised):
                        return
                    known = raised  # whoever raised it never came: do it in its place
                    continue
                beyond, known = await self._begin(raised), raised.epoch
                if beyond == 0:  # clocks disagree: nothing is granted; when they agree, this epoch is found missing
                    self._gate.adopt(known)
                if beyond in {0, known}:
                    return

    async def _begin(self, wanted: usage.Rebuild) -> int:
        """Fill Redis. Returns the epoch in force: a Redis that outlived its database may be further on than that.

        0: none, for its clock and ours disagree.
        """
        steps.reached("rebuild:before")
        held = [(limit, holder) for (_, holder), limit in self._channels.held.items()]
        last_us = self._last_slot_us() if wanted.has_sent else 0
        in_force = await self._gate.rebuild(
            wanted.rows,
            wanted.epoch,
            last_slot_us=last_us,
            longest=wanted.longest,
            held=held,
            unheld=not wanted.calls <= {holder for _, holder in held} | self._channels.asking,
        )
        steps.reached("rebuild:after")
        word = "counters_rebuilt" if in_force else "clocks_disagree"
        say = _log.warning if wanted.rows or not in_force else _log.info  # the first start of all is no trouble
        say(word, epoch=in_force, windows=len(wanted.rows), channels=len(held))
        return in_force

    def _last_slot_us(self) -> int | None:
        """Until when others may write what they were granted before Redis forgot it; None: nobody else does."""
        return None if self._alone else now_ms() * 1000 + AHEAD_US + DOUBT_US

    async def _adopt(self, epoch: int) -> bool:
        """Wait for whoever raised the epoch to fill Redis, and take it over, with the channels this process holds.

        Returns: False where that did not come.
        """
        self._gate.adopt(epoch)
        until = monotonic() + _OTHERS_REBUILD_S
        while await self._gate.take((), [1], ahead_us=0) == Refused("rebuild"):
            if monotonic() > until:
                return False
            await asyncio.sleep(_LOOK_AGAIN_S)
        for (_, holder), limit in list(self._channels.held.items()):
            await self._gate.renew(limit, holder)
        _log.info("counters_adopted", epoch=epoch)
        return True
