"""What all loops of texts share in one process."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.carriers.base import SmsCarrier
from gateway.limits.gate import Gate
from gateway.metrics import Metrics
from gateway.model.message import Message
from gateway.settings import Sms
from gateway.store.database import Database
from gateway.store.signals import Signals
from gateway.workers.counters import Counters
from gateway.workers.leases import Leases
from gateway.workers.plan import Plan
from gateway.workers.settlement import Settlement


@dataclass(frozen=True, slots=True)
class TextDesk:
    """Shared by the loops.

    carriers:  by name; test messages leave by "practice".
    plan:      messages read or committed whose first byte has not left.
    timeout_s: how long a carrier may take to answer.
    """

    database: Database
    signals: Signals
    counters: Counters
    gate: Gate
    leases: Leases
    carriers: Mapping[str, SmsCarrier]
    settlement: Settlement
    settings: Sms
    timeout_s: float
    metrics: Metrics
    plan: Plan[Message]
