"""What a world holds before anything is sent: senders, their limits, and what they may share."""

from datetime import UTC, datetime
from random import Random
from typing import Final

from gateway.model.limit import Limit
from gateway.model.scope import Scope
from gateway.model.sender import Sender
from tests.simulation.process import profiles

RATES: Final = ("1/s", "2.5/s", "3/s", "3/s", "10/s", "25/s", "100/s")
_ZONES: Final = (["America/Los_Angeles"], ["America/Los_Angeles", "Etc/GMT+8"], ["America/St_Johns"])
_ON: Final = datetime(2026, 6, 1, tzinfo=UTC).date()


def senders(dice: Random) -> list[Sender]:
    """One to three, each with a rate, and half of them with caps."""
    return [
        Sender(f"+1800555019{index}", "acme", "toll_free", limits=_numbers(dice), keyword_replies=_replies(dice))
        for index in range(dice.choice([1, 1, 2, 3]))
    ]


def shared(dice: Random) -> Scope | None:
    """What the tenant has of its own, in four worlds of ten: its senders may be written for by two processes."""
    return Scope("acme", "tenant", "acme", "open", limits=_numbers(dice)) if dice.random() < 0.4 else None


def late(dice: Random) -> Scope:
    """Caps that the tenant is given while its texts leave."""
    caps = {name: dice.randint(1, 12) for name in ("daily", "weekly", "monthly") if dice.random() < 0.6}
    return Scope("acme", "tenant", "acme", "open", limits={"daily": 3} | caps | {"zones": dice.choice(_ZONES)})


def _numbers(dice: Random) -> dict[str, object]:
    numbers: dict[str, object] = {"rate": dice.choice(RATES)}
    if dice.random() < 0.5:
        for name in ("daily", "weekly", "monthly"):
            if dice.random() < 0.5:
                numbers |= {name: dice.randint(1, 25), "zones": dice.choice(_ZONES)}
    return numbers


def _replies(dice: Random) -> str:
    return dice.choice(["gateway", "carrier"])


def limits_of(whose: Sender | Scope) -> tuple[Limit, ...]:
    """What the gateway reads from these numbers."""
    if isinstance(whose, Sender):
        return profiles().of_sender(whose, "live", _ON)
    return profiles().of_scope(whose, "live", _ON)
