"""The limits of all scopes as they are just now: gathered from the database, kept while nothing changes."""

from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

from gateway.clock import monotonic
from gateway.limits import binding
from gateway.limits.binding import Binding
from gateway.limits.profiles import Profiles
from gateway.model.limit import Limit
from gateway.model.scope import Scope
from gateway.model.sender import Sender
from gateway.store import scopes, usage
from gateway.store.database import Database

Unknown = Literal["all", "none"]
_LOOK_EVERY_S: Final = 1.0
_FIRST_DAY: Final = date(1970, 1, 1)


class LimitsInForce:
    """Scopes are looked at again when their version has risen; that is looked at once a second, and in each commit.

    So a new day is, on which rows of the limits file come into force: for all processes it begins with the first one's.

    unknown: what texts count against whose network nobody told: every network's limits, or none.
    """

    def __init__(self, database: Database, profiles: Profiles, unknown: Unknown) -> None:
        self._database = database
        self._profiles = profiles
        self._unknown = unknown
        self._version = -1
        self._noted = _FIRST_DAY
        self._checked = _FIRST_DAY
        self._looked = float("-inf")
        self._scopes: dict[tuple[str, str, str], list[Scope]] = {}
        self._texts: dict[tuple[str, str], tuple[Sender, date, Binding]] = {}

    async def of_texts(self, sender: Sender, mode: str) -> Binding:
        """What binds this sender's texts. Raises UnknownProfile, BadLimits, StoreUnavailable."""
        await self._look()
        today = self._today()
        known = self._texts.get((sender.number, mode))
        if known is not None and known[:2] == (sender, today):
            return known[2]
        self.look_again()  # a change of it is one of the version: what is taken under the old one is spent in vain
        await self._look()
        found = await self._of(sender, "practice" if mode == "test" else sender.carrier)
        limits = [*self._profiles.of_sender(sender, mode, today), *self._beyond(found, mode, today)]
        bound = binding.of_texts(limits, found, self._version, counts_unknown=self._unknown == "all")
        self._texts[sender.number, mode] = (sender, today, bound)
        return bound

    async def of_calls(self, sender: Sender, mode: str, account: str, trunk: tuple[Limit, ...]) -> Binding:
        """What binds calls over `account`, a road's name, the `trunk`'s limits among it. Raises as above."""
        await self._look()
        found = await self._of(sender, account)
        return binding.of_calls([*trunk, *self._beyond(found, mode, self._today())], found, self._version)

    def look_again(self) -> None:
        """Somebody saw another version: the next who asks gets it."""
        self._looked = float("-inf")

    async def brings_a_day(self) -> int | None:
        """Which day (since 1970) is new by our clock, if rows of the limits file come into force with it.

        Next: `left.raise_day`, once the clock is known to be right.
        """
        today = datetime.now(UTC).date()
        if today == self._checked:
            return None
        await self._look()
        if self._profiles.changes(self._noted, today):
            return (today - _FIRST_DAY).days
        self._checked = today
        return None

    def _today(self) -> date:
        return max(datetime.now(UTC).date(), self._noted)

    def _beyond(self, found: list[Scope], mode: str, today: date) -> list[Limit]:
        return [limit for scope in found for limit in self._profiles.of_scope(scope, mode, today)]

    async def _look(self) -> None:
        if monotonic() - self._looked < _LOOK_EVERY_S:
            return
        looked = monotonic()
        now = await self._database.read(usage.in_force)
        self._noted = _FIRST_DAY + timedelta(days=now.day)
        if now.version != self._version:
            self._version = now.version
            self._scopes.clear()
            self._texts.clear()
        self._looked = looked

    async def _of(self, sender: Sender, account: str) -> list[Scope]:
        name = (sender.tenant_id, sender.campaign, account)
        if name not in self._scopes:
            self._scopes[name] = await self._database.read(lambda tx: scopes.of_sender(tx, sender, account))
        return self._scopes[name]
