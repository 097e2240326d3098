"""Which text in a carrier's list is which of ours: same words, and made at about the time ours was written. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.carriers.base import Listed


@dataclass(frozen=True, slots=True)
class Lost:
    """One of ours that nobody answered for, from the sender and to the person that the list is of."""

    id: str
    body: str
    written_ms: int


@dataclass(frozen=True, slots=True)
class Window:
    """How far the carrier's time of a text may lie before the moment at which we wrote it, and behind it."""

    before_ms: int
    after_ms: int

    def fits(self, lost: Lost, listed: Listed) -> bool:
        """Whether `listed` can be `lost`."""
        in_time = -self.before_ms <= listed.created_ms - lost.written_ms <= self.after_ms
        return in_time and listed.body.strip() == lost.body.strip()


def pair(lost: Sequence[Lost], listed: Sequence[Listed], window: Window, *, final: bool) -> dict[str, Listed]:
    """Give each lost text at most one of the list, in order of time; `listed` holds none that is known as another's.

    Texts that could be each other's are interchangeable, so any pairing sends each once. Where the list has fewer than
    we look for, a report may still tell which of them left: without `final` those are left open.
    Returns: the listed text of each id that has one.
    """
    free = sorted(listed, key=lambda each: each.created_ms)
    found: dict[str, Listed] = {}
    for one in sorted(lost, key=lambda each: each.written_ms):
        match = next((each for each in free if window.fits(one, each)), None)
        if match is not None:
            free.remove(match)
            found[one.id] = match
    if final:
        return found
    missing = [one for one in lost if one.id not in found]
    return {key: match for key, match in found.items() if not any(window.fits(one, match) for one in missing)}
