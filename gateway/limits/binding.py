"""Which of the limits of all scopes bind what leaves: everything, what goes to one network, to one person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.limits.profiles import kind_of
from gateway.model.limit import NETWORKS, Blocked, Cap, Concurrency, Limit, Rolling, Throughput
from gateway.model.scope import Scope

UNKNOWN: Final = ""  # the network of a text of which nobody said it


@dataclass(frozen=True, slots=True)
class Binding:
    """What binds all that leaves from one sender.

    shared:    bind every message.
    networks:  bind those to one network beside, by its name; UNKNOWN has what binds where nobody knows it.
    each:      bind each recipient apart; not our answers to what they wrote, which P5 wants told within minutes.
    callbacks: by kind of scope, where its `limit.reached` is told.
    version:   of the scopes it was gathered from.
    """

    shared: tuple[Limit, ...]
    networks: Mapping[str, tuple[Limit, ...]] = field(default_factory=dict)
    each: tuple[Rolling, ...] = ()
    callbacks: Mapping[str, str] = field(default_factory=dict)
    version: int = 0

    def of(self, messages: Sequence[tuple[str, str]]) -> tuple[tuple[Limit, ...], tuple[tuple[Limit, ...], ...]]:
        """What binds these (network, recipient): the shared limits, and each one's own, as `Gate.take` wants them.

        recipient: empty where no limit of a person's binds it: see `attempted`.

        Where no network is known, what binds them for that holds for all alike, and so ends a grant for all.
        """
        known = self.networks and any(network for network, _ in messages)
        shared = self.shared if known else self.shared + self.networks.get(UNKNOWN, ())
        if not known and not self.each:
            return shared, ()
        networks = self.networks if known else {}
        return shared, tuple(
            networks.get(network, ()) + tuple(replace(limit, member=recipient) for limit in self.each if recipient)
            for network, recipient in messages
        )


def attempted(kind: str, recipient: str) -> str:
    """Whom a text of this kind is an attempt at: nobody, where it answers a keyword of theirs."""
    return recipient if kind == "out" else ""


def of_texts(limits: Sequence[Limit], scopes: Sequence[Scope], version: int, *, counts_unknown: bool) -> Binding:
    """What binds a sender's texts. counts_unknown: whether one whose network is not told counts against each."""
    binding = [limit for limit in limits if _binds(limit, calls=False)]
    networked = [limit for limit in binding if isinstance(limit, Throughput | Cap) and limit.network]
    networks: dict[str, tuple[Limit, ...]] = {
        name: tuple(limit for limit in networked if limit.network == name) for name in NETWORKS
    }
    networks[UNKNOWN] = tuple(networked) if counts_unknown else ()
    rest = [limit for limit in binding if limit not in networked]
    return _binding(rest, scopes, version, networks if networked else {})


def of_calls(limits: Sequence[Limit], scopes: Sequence[Scope], version: int) -> Binding:
    """What binds calls: the trunk's limits, those that count calls, and those of recipients, who count both."""
    return _binding([limit for limit in limits if _binds(limit, calls=True)], scopes, version, {})


def _binding(
    limits: Sequence[Limit], scopes: Sequence[Scope], version: int, networks: Mapping[str, tuple[Limit, ...]]
) -> Binding:
    each = tuple(limit for limit in limits if isinstance(limit, Rolling) and kind_of(limit.key) == "recipient")
    shared = tuple(limit for limit in limits if limit not in each)
    return Binding(shared, networks, each, {scope.kind: scope.callback_url for scope in scopes}, version)


def _binds(limit: Limit, *, calls: bool) -> bool:
    if isinstance(limit, Blocked) or kind_of(limit.key) == "recipient":
        return True
    return calls if isinstance(limit, Concurrency) else (limit.unit == "call") == calls
