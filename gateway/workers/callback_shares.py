"""How many callbacks a tenant may have under way, so that engines that hang leave room for everybody else's. Pure."""

from dataclasses import dataclass, field
from typing import Final

CONNECTIONS: Final = 256  # deliveries of all tenants at once
MOST: Final = 32  # of one tenant whose engine answers
FEWEST: Final = 4  # of one whose engine does not, or of which nothing is known


@dataclass(slots=True)
class Shares:
    """What each tenant's engine has earned: twice as many with each answer, half as many with each silence."""

    _earned: dict[str, int] = field(default_factory=dict)

    def of(self, tenant_id: str, own: int, free: int) -> int:
        """How many this tenant may have under way; never more than half of what it could have.

        own:  how many it has. free: how many more all tenants may have.
        """
        return min(self._earned.get(tenant_id, FEWEST), max(1, (own + free) // 2))

    def answered(self, tenant_id: str) -> None:
        """Its engine answered one, whatever it said."""
        self._earned[tenant_id] = min(2 * self._earned.get(tenant_id, FEWEST), MOST)

    def hung(self, tenant_id: str) -> None:
        """Its engine let one run out of time."""
        earned = self._earned.pop(tenant_id, FEWEST) // 2
        if earned > FEWEST:
            self._earned[tenant_id] = earned
