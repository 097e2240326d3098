"""Limit profiles: what `config/limits.toml` says a kind of sender or trunk may do, on a date.

A profile becomes limits for one scope: `limits_for("sender:+18005550199", "toll_free", "pending", on=today)`. A
sender's own numbers (`overrides`) take the place of the profile's, key by key; they never lift a block.
"""

import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from gateway.errors import BadLimits, BadRate, UnknownProfile
from gateway.model.limit import Blocked, Cap, Concurrency, Counts, Limit, Throughput, Unit, WindowKind, parse_rate
from gateway.model.sender import Sender

WINDOWS: tuple[tuple[WindowKind, str], ...] = (("day", "daily"), ("week", "weekly"), ("month", "monthly"))
WEEK_STARTS = {"sunday": 6, "monday": 0}


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of the database, such as "Pacific"
        raise ValueError(f"no time zone {name!r}") from None
    return name


def _rate(text: str) -> str:
    try:
        parse_rate(text)
    except BadRate as error:
        raise ValueError(str(error)) from None
    return text


class Numbers(BaseModel):
    """What a profile and a sender's overrides both may say. Absent: the profile's, or no such limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate: Annotated[str, AfterValidator(_rate)] | None = None
    rate_unit: Unit | None = None
    daily: Annotated[int, Field(ge=0)] | None = None
    weekly: Annotated[int, Field(ge=0)] | None = None
    monthly: Annotated[int, Field(ge=0)] | None = None
    unit: Unit | None = None
    counts: Counts | None = None
    zones: Annotated[tuple[Annotated[str, AfterValidator(_zone)], ...], Field(min_length=1, max_length=3)] | None = None
    week_start: Literal["sunday", "monday"] | None = None
    channels: Annotated[int, Field(ge=0)] | None = None
    lease_ms: Annotated[int, Field(ge=1000)] | None = None


class Profile(Numbers):
    """One row of the file."""

    kind: str
    status: str
    effective_from: date
    source: str
    blocked: bool = False

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.blocked and all(
            getattr(self, name) is None for name in ("rate", "daily", "weekly", "monthly", "channels")
        ):
            raise ValueError("a profile that is not blocked needs a rate, a cap or channels")
        if not self.zones and any(getattr(self, name) is not None for _, name in WINDOWS):
            raise ValueError("caps need zones")
        return self


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    profile: list[Profile]


class Profiles:
    """All rows of one limits file."""

    def __init__(self, rows: list[Profile]) -> None:
        self._rows = rows

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a limits file, whole or not at all. Raises BadLimits naming the row and the key."""
        try:
            return cls.parse(path.read_text("utf-8"))
        except OSError as error:
            raise BadLimits(f"{path}: {error.strerror} (folders.limits names it)") from error

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a limits file. Raises BadLimits."""
        try:
            rows = _File.model_validate(tomllib.loads(text)).profile
        except tomllib.TOMLDecodeError as error:
            raise BadLimits(f"not TOML: {error}") from error
        except ValidationError as error:
            raise BadLimits(_told(error)) from error
        named = [(row.kind, row.status, row.effective_from) for row in rows]
        twice = next((name for name in named if named.count(name) > 1), None)
        if twice:
            raise BadLimits(f"two profiles for {twice[0]} {twice[1]} from {twice[2]}")
        return cls(rows)

    def in_force(self, kind: str, status: str, on: date) -> Profile:
        """Give the newest row for this kind and status that is in force on a date. Raises UnknownProfile."""
        for named in (status, "*"):
            rows = [row for row in self._rows if (row.kind, row.status) == (kind, named) and row.effective_from <= on]
            if rows:
                return max(rows, key=lambda row: row.effective_from)
        raise UnknownProfile(kind, status)

    def of_sender(self, sender: Sender, mode: str, on: date) -> tuple[Limit, ...]:
        """What a sender's texts are limited by. Raises UnknownProfile, BadLimits."""
        scope = scope_of(mode, f"sender:{sender.number}")
        return self.limits_for(scope, sender.kind, sender.status, on=on, overrides=sender.limits)

    def of_trunk(self, name: str, mode: str, overrides: Mapping[str, object], on: date) -> tuple[Limit, ...]:
        """What a trunk's calls are limited by: calls per second, calls at once. Raises UnknownProfile, BadLimits."""
        return self.limits_for(scope_of(mode, f"trunk:{name}"), "trunk", "*", on=on, overrides=overrides)

    def limits_for(
        self, scope: str, kind: str, status: str, *, on: date, overrides: Mapping[str, object] | None = None
    ) -> tuple[Limit, ...]:
        """Give the limits of one scope, ready for `Gate.take`; a single Blocked if nothing may be sent.

        scope:     names its counters, such as `sender:+18005550199` or `trunk:main`.
        overrides: the sender's own numbers, such as {"rate": "25/s", "daily": 800, "zones": ["America/Chicago"]}.
        Raises:    UnknownProfile; BadLimits if an override cannot be used.
        """
        profile = self.in_force(kind, status, on)
        if profile.blocked:
            return (Blocked(scope, profile.source, profile.effective_from),)
        own = _own(overrides or {})
        row = profile.model_copy(update=own)
        if row.zones is None and any(getattr(row, name) is not None for _, name in WINDOWS):
            raise BadLimits("zones: a cap needs the zones whose calendars it is kept in")
        source = profile.source if not own else f"{profile.source}; set for this scope: {', '.join(sorted(own))}"
        return (*_rates(scope, row, source), *_caps(scope, row, source), *_channels(scope, row, source))


def scope_of(mode: str, what: str) -> str:
    """The name of a scope's counters. Test keys have counters of their own, so that practice costs no real cap."""
    return what if mode == "live" else f"test:{what}"


def _own(overrides: Mapping[str, object]) -> dict[str, object]:
    try:
        numbers = Numbers.model_validate(overrides)
    except ValidationError as error:
        raise BadLimits(_told(error)) from error
    return {name: getattr(numbers, name) for name in numbers.model_fields_set}


def _rates(scope: str, row: Profile, source: str) -> tuple[Throughput, ...]:
    if row.rate is None:
        return ()
    n, period_us = parse_rate(row.rate)
    return (Throughput(f"{scope}:rate", n, period_us, row.rate_unit or "segment", source, row.effective_from),)


def _caps(scope: str, row: Profile, source: str) -> tuple[Cap, ...]:
    return tuple(
        Cap(
            key=f"{scope}:{window}@{zone}",
            limit=getattr(row, name),
            window=window,
            zone=zone,
            unit=row.unit or "segment",
            counts=row.counts or "attempts",
            week_start=WEEK_STARTS[row.week_start or "sunday"],
            source=source,
            effective_from=row.effective_from,
        )
        for window, name in WINDOWS
        if getattr(row, name) is not None
        for zone in row.zones or ()
    )


def _channels(scope: str, row: Profile, source: str) -> tuple[Concurrency, ...]:
    if row.channels is None:
        return ()
    return (Concurrency(f"{scope}:channels", row.channels, row.lease_ms or 30_000, source, row.effective_from),)


def _told(error: ValidationError) -> str:
    """Name each key that is wrong. A list with a wrong entry is told by the entry, not by its length too."""
    found = [(".".join(map(str, each["loc"])), each) for each in error.errors(include_url=False)]
    told = [f"{key}: {each['msg'].removeprefix('Value error, ')}" for key, each in found if not _repeats(key, found)]
    return "; ".join(told)


def _repeats(key: str, found: Sequence[tuple[str, object]]) -> bool:
    return any(other.startswith(f"{key}.") for other, _ in found)
