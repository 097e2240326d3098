"""What is told of a job's people: who was left out and why, and the variables that nothing asks for."""

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from gateway.campaign.recipients import Fault

MOST_TOLD: Final = 1000  # entries of what is wrong; the rest is counted
MOST_NAMES: Final = 100  # variables that nothing asks for; more are a file of something else

Entry: TypeAlias = dict[str, object]


@dataclass(slots=True)
class Left:
    """Who was left out: how many, and what is wrong with the first, with line, field, slug and reason. No number."""

    count: int = 0
    entries: list[Entry] = field(default_factory=list)

    def add(self, line: int, faults: Iterable[Fault]) -> None:
        """Note one person, and all that is wrong with them."""
        self.count += 1
        for fault in faults:
            if len(self.entries) == MOST_TOLD:
                return
            self.entries.append({"line": line, "field": fault.field, "slug": fault.slug, "detail": fault.reason})


@dataclass(slots=True)
class Unused:
    """Variables that people have and no text or dialplan of the job asks for: columns of a file, or misspelt names.

    asked: the names that are asked for. found: name to how many have it, and the line of the first.
    """

    asked: Collection[str]
    found: dict[str, tuple[int, int]] = field(default_factory=dict)

    def note(self, line: int, names: Iterable[str]) -> None:
        """Note what one person has too much."""
        for name in names:
            count, first = self.found.get(name, (0, line))
            if count or len(self.found) < MOST_NAMES:
                self.found[name] = count + 1, first

    def entries(self) -> list[Entry]:
        """Each of the names, by name: of how many people, the first one's line, and what may have been meant."""
        return [
            {"name": name, "count": count, "first_line": first, "did_you_mean": self._near(name)}
            for name, (count, first) in sorted(self.found.items())
        ]

    def _near(self, name: str) -> str | None:
        near = difflib.get_close_matches(name.lower(), self.asked, n=1)
        return near[0] if near else None
