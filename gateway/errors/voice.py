"""Dialplans and their variables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.errors import GatewayError


@dataclass(frozen=True, slots=True)
class PlanProblem:
    """One thing wrong with a dialplan or its tests: the file, the line (from 1), the node if there is one, and what.

    A warning does not keep the plan from being used.
    """

    file: str
    line: int
    node: str | None
    text: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        """As compilers write it, so that editors find the place."""
        place = f"{self.file}:{self.line}: {self.severity}: "
        return place + (f"node {self.node}: {self.text}" if self.node else self.text)


class BadDialplan(GatewayError):
    """A dialplan, or the file of its tests, cannot be used. `problems` lists everything that is wrong with it."""

    slug, status = "bad_dialplan", 422

    def __init__(self, problems: tuple[PlanProblem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class UnknownDialplan(GatewayError):
    """No dialplan of that name is loaded. Names are case-sensitive."""

    slug, status = "unknown_dialplan", 404

    def __init__(self, name: str) -> None:
        super().__init__(f"no dialplan named {name!r}")
        self.name = name


class BadVariables(GatewayError):
    """The variables given for a call do not fit its dialplan. `problems` tells each by name; no value is ever told."""

    slug, status = "bad_variables", 422

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name!r} {why}" for name, why in problems.items()))
        self.problems = dict(problems)
