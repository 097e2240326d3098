"""What a sender's loop writes of what may not leave: holds, and ends without a try."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from gateway.clock import now_ms
from gateway.limits.profiles import kind_of
from gateway.model.call import Call
from gateway.model.limit import Granted, Refused
from gateway.model.message import Message
from gateway.model.sender import Sender
from gateway.sms.pipeline import Hold, Reject
from gateway.store import lives
from gateway.store.database import Database, Tx
from gateway.store.signals import Signals, Things
from gateway.workers.counters import Counters, Stands

CAPS: Final = frozenset({"cap_day", "cap_week", "cap_month", "cap_rolling"})
_QUEUED: Final = frozenset({"queued"})
_CHUNK: Final = 1_000  # rows a transaction: others' commits come in between


@dataclass(frozen=True, slots=True)
class Holds:
    """Of one sender's texts or calls, of one mode."""

    things: Things
    sender: str
    mode: str
    database: Database
    signals: Signals
    counters: Counters

    async def act(self, decided: Mapping[Hold | Reject, Sequence[str]], stands: Stands | None = None) -> None:
        """Write what was decided, by id, of what is still queued; nothing where it does not stand any more.

        A process that was stopped since it read them may find that another has sent them.
        """

        async def write(tx: Tx) -> None:
            if stands is not None and not await stands(tx):
                return
            for decision, ids in decided.items():
                match decision:
                    case Hold(reason, until_ms):
                        await self._move(tx, ids, "held", reason, until_ms)
                    case Reject(status, reason):
                        await self._move(tx, ids, status, reason)

        if decided:
            await self.database.write(write)
            self.signals.wake("events")

    async def _move(self, tx: Tx, ids: Sequence[str], status: str, reason: str, until_ms: int | None = None) -> None:
        await lives.move(tx, self.things, ids, status, now_ms(), reason=reason, until_ms=until_ms, only=_QUEUED)

    async def passed_over(self, sender: Sender, asked: Sequence[Message | Call], granted: Granted) -> None:
        """Hold each that a limit of its own holds, its recipient's or network's; what opens at once stays queued."""
        held: defaultdict[Hold | Reject, list[str]] = defaultdict(list)
        for thing, slot in zip(asked, granted.slots, strict=False):
            if isinstance(slot, Refused) and not slot.is_waited_for:
                held[Hold(slot.reason, _ms(slot.opens_at_us))].append(thing.id)
        await self.act(held, partial(self.counters.stands, sender=sender, version=granted.version))

    async def refused(self, sender: Sender, refused: Refused) -> None:
        """Hold all that is queued, for a cap that is full or a scope that is blocked."""
        blocked = refused.reason == "blocked"
        reason = f"{kind_of(refused.limit_key)}_blocked" if blocked else refused.reason
        until_ms = None if blocked else _ms(refused.opens_at_us)
        stands = partial(self.counters.stands, sender=sender, version=refused.version)

        async def hold(tx: Tx) -> int:
            if not await stands(tx):
                return 0
            return await lives.hold_queued(tx, self.things, self.sender, self.mode, now_ms(), reason, until_ms, _CHUNK)

        while await self.database.write(hold) == _CHUNK:
            pass
        self.signals.wake("events")

    async def too_large(self, sender: Sender, refused: Refused, thing: Message) -> None:
        """Hold a text that is larger by itself than its cap: until somebody raises that."""
        stands = partial(self.counters.stands, sender=sender, version=refused.version)
        await self.act({Hold(refused.reason, None): [thing.id]}, stands)


def _ms(at_us: int | None) -> int | None:
    return -(-at_us // 1000) if at_us is not None else None
