"""Limit profiles: what `config/limits.toml` says a kind of sender, campaign, brand or trunk may do, on a date.

A profile becomes limits for one scope: `limits_for("sender:+18005550199", "toll_free", "pending", on=today)`. A
sender's own numbers (`overrides`) take the place of the profile's, key by key; they never lift a block.
"""

import hashlib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from gateway.errors.limits import BadLimits, BadRate, BadRolling, UnknownProfile
from gateway.model.limit import (
    Blocked,
    Cap,
    Concurrency,
    Counts,
    Limit,
    Network,
    Rolling,
    Throughput,
    Unit,
    WindowKind,
)
from gateway.model.limit_words import parse_rate, parse_rolling
from gateway.model.scope import BLOCKED, Scope
from gateway.model.sender import Sender

WINDOWS: tuple[tuple[WindowKind, str], ...] = (("day", "daily"), ("week", "weekly"), ("month", "monthly"))
# A long code that sends through a campaign is paced by that; campaigns and brands have rows of their own.
_IN_CAMPAIGN = "long_code_in_campaign"
_ROWS_OF = {"campaign": "10dlc_campaign", "brand": "10dlc_brand"}
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


def _rolling(text: str) -> str:
    try:
        parse_rolling(text)
    except BadRolling as error:
        raise ValueError(str(error)) from None
    return text


Rate = Annotated[str, AfterValidator(_rate)]
Units = Annotated[int, Field(ge=0)]


class Numbers(BaseModel):
    """What a profile and a sender's overrides both may say. Absent: the profile's, or no such limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate: Rate | None = None
    rate_unit: Unit | None = None
    network_rates: dict[Network, Rate] | None = None
    daily: Units | None = None
    weekly: Units | None = None
    monthly: Units | None = None
    network_daily: dict[Network, Units] | None = None
    rolling: Annotated[tuple[Annotated[str, AfterValidator(_rolling)], ...], Field(max_length=3)] | None = None
    unit: Unit | None = None
    counts: Counts | None = None
    zones: Annotated[tuple[Annotated[str, AfterValidator(_zone)], ...], Field(min_length=1, max_length=3)] | None = None
    week_start: Literal["sunday", "monday"] | None = None
    channels: Units | None = None
    lease_ms: Annotated[int, Field(ge=1000)] | None = None

    @property
    def has_caps(self) -> bool:
        """Whether a calendar is needed."""
        return bool(self.network_daily) or any(getattr(self, name) is not None for _, name in WINDOWS)


_LIMITING = ("rate", "network_rates", "daily", "weekly", "monthly", "network_daily", "rolling", "channels")


class Profile(Numbers):
    """One row of the file. `open`: it has no limit of its own, and that is meant."""

    kind: str
    status: str
    effective_from: date
    source: str
    blocked: bool = False
    open: bool = False

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        limits = any(getattr(self, name) is not None for name in _LIMITING)
        if not (self.blocked or self.open or limits):
            raise ValueError("a profile that is neither blocked nor open needs a rate, a cap or channels")
        if self.has_caps and not self.zones:
            raise ValueError("caps need zones")
        return self


_OPEN = Profile(kind="", status="", effective_from=date.min, source="set for this scope", open=True)


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
            raise BadLimits(_told(_wrong(error))) from error
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

    @property
    def sha256(self) -> str:
        """Tells this file's rows from another's."""
        return hashlib.sha256("".join(row.model_dump_json() for row in self._rows).encode()).hexdigest()

    def changes(self, after: date, until: date) -> bool:
        """Whether any row came into force after the one day, up to the other."""
        return any(after < row.effective_from <= until for row in self._rows)

    def of_sender(self, sender: Sender, mode: str, on: date) -> tuple[Limit, ...]:
        """What a sender's texts are limited by. Raises UnknownProfile, BadLimits."""
        scope = scope_of(mode, f"sender:{sender.number}")
        kind = _IN_CAMPAIGN if sender.kind == "long_code" and sender.campaign else sender.kind
        return self.limits_for(scope, kind, sender.status, on=on, overrides=sender.limits)

    def of_scope(self, scope: Scope, mode: str, on: date) -> tuple[Limit, ...]:
        """What a scope beyond the sender adds. Raises UnknownProfile, BadLimits."""
        name = scope_of(mode, scope.counters)
        if scope.status == BLOCKED:
            return (Blocked(name, "set by ops"),)
        profile = self.in_force(_ROWS_OF[scope.kind], scope.status, on) if scope.kind in _ROWS_OF else _OPEN
        return _limits(name, profile, scope.limits)

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
        return _limits(scope, self.in_force(kind, status, on), overrides or {})


def _limits(scope: str, profile: Profile, overrides: Mapping[str, object]) -> tuple[Limit, ...]:
    if profile.blocked:
        return (Blocked(scope, profile.source, profile.effective_from),)
    own = _own(overrides)
    row = profile.model_copy(update=own)
    if row.has_caps and not row.zones:
        wrong = {"zones": "a cap needs the zones whose calendars it is kept in"}
        raise BadLimits(_told(wrong), wrong)
    source = profile.source if not own else f"{profile.source}; set for this scope: {', '.join(sorted(own))}"
    kinds = (_rates, _caps, _rollings, _channels)
    return tuple(limit for kind in kinds for limit in kind(scope, row, source))


def kind_of(limit_key: str) -> str:
    """What kind of scope a limit's key belongs to: sender, campaign, …; "" for none."""
    return limit_key.removeprefix("test:").partition(":")[0] if ":" in limit_key else ""


def scope_name(limit_key: str) -> str:
    """What the scope of a limit is called within its tenant, as in `/v1/limits`: a number, a campaign's own name."""
    kind, _, rest = limit_key.removeprefix("test:").partition(":")
    name = rest.partition(":")[0]
    return "each" if kind == "recipient" else name.rpartition("/")[2] if kind in {"campaign", "brand"} else name


def scope_of(mode: str, what: str) -> str:
    """The name of a scope's counters. Test keys have counters of their own, so that practice costs no real cap."""
    return what if mode == "live" else f"test:{what}"


def _own(overrides: Mapping[str, object]) -> dict[str, object]:
    try:
        numbers = Numbers.model_validate(overrides)
    except ValidationError as error:
        raise BadLimits(_told(wrong := _wrong(error)), wrong) from error
    return {name: getattr(numbers, name) for name in numbers.model_fields_set}


def _rates(scope: str, row: Profile, source: str) -> Iterator[Limit]:
    for name, rate in [("", row.rate), *(row.network_rates or {}).items()]:
        if rate is not None:
            n, period_us = parse_rate(rate)
            key = f"{scope}:rate:{name}" if name else f"{scope}:rate"
            yield Throughput(key, n, period_us, row.rate_unit or "segment", source, row.effective_from, name)


def _caps(scope: str, row: Profile, source: str) -> Iterator[Limit]:
    caps: list[tuple[WindowKind, str, int]] = [
        (window, "", getattr(row, name)) for window, name in WINDOWS if getattr(row, name) is not None
    ]
    caps += [("day", network, limit) for network, limit in (row.network_daily or {}).items()]
    for window, network, limit in caps:
        for zone in row.zones or ():
            yield Cap(
                key=f"{scope}:{window}@{zone}:{network}" if network else f"{scope}:{window}@{zone}",
                limit=limit,
                window=window,
                zone=zone,
                unit=row.unit or "segment",
                counts=row.counts or "attempts",
                week_start=WEEK_STARTS[row.week_start or "sunday"],
                source=source,
                effective_from=row.effective_from,
                network=network,
            )


def _rollings(scope: str, row: Profile, source: str) -> Iterator[Limit]:
    unit = row.unit or ("message" if kind_of(scope) == "recipient" else "segment")
    for text in row.rolling or ():
        limit, length_us = parse_rolling(text)
        counts = row.counts or "attempts"
        yield Rolling(
            f"{scope}:{length_us // 60_000_000}min", limit, length_us, unit, counts, "", source, row.effective_from
        )


def _channels(scope: str, row: Profile, source: str) -> Iterator[Limit]:
    if row.channels is not None:
        yield Concurrency(f"{scope}:channels", row.channels, row.lease_ms or 30_000, source, row.effective_from)


def _wrong(error: ValidationError) -> dict[str, str]:
    """Each key that is wrong. A list with a wrong entry is told by the entry, not by its length too."""
    found = [(".".join(map(str, each["loc"])), each) for each in error.errors(include_url=False)]
    return {key: each["msg"].removeprefix("Value error, ") for key, each in found if not _repeats(key, found)}


def _told(wrong: Mapping[str, str]) -> str:
    return "; ".join(f"{key}: {problem}" for key, problem in wrong.items())


def _repeats(key: str, found: Sequence[tuple[str, object]]) -> bool:
    return any(other.startswith(f"{key}.") for other, _ in found)
