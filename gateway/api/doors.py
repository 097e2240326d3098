"""What the API works with: handed in by `gateway.app`, shared by every handler."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from gateway.limits.gate import Gate
from gateway.limits.profiles import Profiles
from gateway.metrics import Metrics
from gateway.settings import Settings
from gateway.speech.prompts import Prompts
from gateway.store.database import Database
from gateway.store.leases import Stillness
from gateway.store.signals import Signals


@dataclass(frozen=True, slots=True)
class Doors:
    """Everything `build` needs.

    ready:    what is missing beside the database and Redis, by name, each with why: `{"trunk main": "no answer"}`.
    webhooks: what carriers call, served beside the API; their own signatures guard them.
    stillness: which processes that send are gone, as `why` tells.
    """

    settings: Settings
    database: Database
    signals: Signals
    gate: Gate
    prompts: Prompts
    metrics: Metrics
    profiles: Profiles
    ready: Callable[[], Mapping[str, str]] = dict
    webhooks: Sequence[web.AbstractRouteDef] = ()
    stillness: Stillness = field(default_factory=Stillness)
