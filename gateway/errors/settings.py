"""Settings that cannot be used."""

from dataclasses import dataclass

from gateway.errors import GatewayError


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """One thing wrong with the settings: where it was set, which key, and what to do about it. Never the value."""

    source: str
    key: str
    what: str

    def __str__(self) -> str:
        """Write one line, source first, as compilers do."""
        return f"{self.source}: {self.key}: {self.what}" if self.key else f"{self.source}: {self.what}"


class BadSettings(GatewayError):
    """The settings cannot be used. `problems` lists everything that is wrong, so one look mends it all."""

    slug, status = "bad_settings", 500

    def __init__(self, problems: tuple[SettingProblem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
