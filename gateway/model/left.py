"""What left before a limit was there, as it is asked for and counted. Instants are microseconds since the epoch."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Ask:
    """What left from the senders of one scope in [since_us, until_us), by parts of `part_us`.

    scope:   what the scope's counters are named by, such as `campaign:acme/bills`.
    calls:   calls are counted, else texts.
    each:    by person; else of all together, by network.
    near_us: what left so near the edge of a part belongs to both.
    """

    scope: str
    mode: str
    calls: bool
    each: bool
    part_us: int
    near_us: int
    since_us: int
    until_us: int

    def parted(self, at_us: int) -> tuple["Ask", "Ask"]:
        """What left before an instant, and since; of either there may be nothing."""
        return replace(self, until_us=min(self.until_us, at_us)), replace(self, since_us=max(self.since_us, at_us))


@dataclass(frozen=True, slots=True)
class Left:
    """What left together: texts (or calls) and their segments; of them, those that no carrier refused.

    begins, ends: the first and the last part that it belongs to, counted from 1970.
    """

    person: str
    network: str
    begins: int
    ends: int
    things: int
    segments: int
    taken: int
    taken_segments: int
