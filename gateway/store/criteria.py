"""What a recall takes back: a record, not a function, so that it can be told to other processes."""

from dataclasses import asdict, dataclass
from typing import Final

import orjson

from gateway.model.call import Call
from gateway.model.message import Message
from gateway.model.opt_out import OptOut
from gateway.sms.pipeline import ALLOWED_AFTER_STOP

Leaving = Message | Call  # what leaves through a loop: a recall takes back either


def numbers_of(thing: Leaving) -> tuple[str, ...]:
    """Every number of the person it is for, the one it goes to first."""
    return (thing.recipient, *thing.alternatives) if isinstance(thing, Call) else (thing.recipient,)


@dataclass(frozen=True, slots=True)
class OfPerson:
    """All that an opt-out forbids. `scope`: "tenant", or the number of the one sender it holds for."""

    tenant_id: str
    mode: str
    recipient: str
    scope: str

    @classmethod
    def forbidden_by(cls, said: OptOut) -> "OfPerson":
        """What this opt-out forbids."""
        return cls(said.tenant_id, said.mode, said.recipient, said.scope)

    @property
    def sender(self) -> str:
        """The one sender it can be of; empty: any of the tenant's."""
        return "" if self.scope == "tenant" else self.scope

    def matches(self, thing: Leaving) -> bool:
        """Whether it is forbidden; what may follow a stop is not."""
        return (
            (thing.tenant_id, thing.mode) == (self.tenant_id, self.mode)
            and self.recipient in numbers_of(thing)
            and not (isinstance(thing, Message) and thing.kind in ALLOWED_AFTER_STOP)
            and self.scope in {"tenant", thing.sender}
        )


@dataclass(frozen=True, slots=True)
class OfJob:
    """All of a job."""

    tenant_id: str
    job_id: str
    sender: str

    def matches(self, thing: Leaving) -> bool:
        """Whether it belongs to the job."""
        return thing.job_id == self.job_id


@dataclass(frozen=True, slots=True)
class OfSender:
    """All of one sender, when its lease is given back."""

    sender: str
    mode: str

    def matches(self, thing: Leaving) -> bool:
        """Whether it leaves from there."""
        return (thing.sender, thing.mode) == (self.sender, self.mode)


@dataclass(frozen=True, slots=True)
class Everything:
    """All that a process has not written, when it stops."""

    def matches(self, _thing: Leaving) -> bool:
        """Whatever it is."""
        return True


EVERYTHING: Final = Everything()
Told = OfPerson | OfJob  # what crosses processes
Criterion = Told | OfSender | Everything
_KINDS: Final = {"person": OfPerson, "job": OfJob}


def dumps(criterion: Told) -> str:
    """Write one down for another process."""
    kind = "person" if isinstance(criterion, OfPerson) else "job"
    return orjson.dumps({"kind": kind, **asdict(criterion)}).decode()


def loads(text: str) -> Told:
    """Read what `dumps` wrote."""
    found: dict[str, str] = orjson.loads(text)
    criterion: Told = _KINDS[found.pop("kind")](**found)
    return criterion
