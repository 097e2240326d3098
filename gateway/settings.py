"""Settings: parsed once, whole, frozen; defaults, then the file, then the environment, then flags.

`config/gateway.toml` says what each setting means; a test compares its keys and defaults with the records here.
An unknown key, a half-given pair or an address open to the world without a public URL is refused: fail closed.
"""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, IPvAnyNetwork, SecretStr
from pydantic import ValidationError as Invalid
from pydantic_core import ErrorDetails

from gateway.errors.settings import BadSettings, SettingProblem
from gateway.settings_accounts import Practice, Twilio, account_contradictions
from gateway.settings_layers import NOT_A_VALUE, Key, Layers
from gateway.settings_trunks import Sip, Trunk, contradictions, with_defaults
from gateway.settings_types import (
    NO_SECRET,
    Country,
    HttpUrl,
    Port,
    Seconds,
    Section,
    Text,
    TrunkName,
    is_loopback,
    split,
)
from gateway.settings_urls import database_url, redis_url, with_credentials

Role = Literal["api", "sms", "voice", "callbacks", "housekeeper"]
ROLES: tuple[Role, ...] = get_args(Role)


def shipped(name: str) -> Path:
    """A folder that comes with the gateway: beside the package in a checkout, inside it when it was installed."""
    package = Path(__file__).parent
    beside = package.parent / name
    return beside if beside.is_dir() else package / "shipped" / name


class Http(Section):
    """Where the API, the console and the carriers' webhooks are served."""

    host: Text = "127.0.0.1"
    port: Port = 8080
    trusted_proxies: Annotated[tuple[IPvAnyNetwork, ...], BeforeValidator(split)] = ()
    max_body_bytes: Annotated[int, Field(ge=65536)] = 33_554_432
    request_timeout_s: Seconds = 60
    shutdown_s: Seconds = 10


class Database(Section):
    """Where messages, calls, jobs and events are kept."""

    url: Annotated[str, AfterValidator(database_url)] = ""
    username: str = ""
    password: SecretStr = NO_SECRET

    @property
    def is_shared(self) -> bool:
        """Whether several processes may work on it: PostgreSQL, not SQLite."""
        return self.url.startswith("postgresql://")


class Redis(Section):
    """Where limits are counted."""

    url: Annotated[str, AfterValidator(redis_url)] = ""
    username: str = ""
    password: SecretStr = NO_SECRET
    timeout_ms: Annotated[int, Field(ge=10, le=60_000)] = 500


class Folders(Section):
    """The folders and files that operators edit."""

    dialplans: Path = Path("dialplans")
    audio: Path = Path("audio")
    limits: Path = Path("config/limits.toml")
    keywords: Path = Path("config/keywords.toml")


class Logs(Section):
    """What is logged, and how it looks. Numbers, texts and keys are masked in both formats."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class Sms(Section):
    """How texts are handled."""

    default_country: Country = "US"
    validity_s: Annotated[int, Field(ge=1, le=36_000)] = 14_400
    no_report_after_h: Annotated[float, Field(gt=0)] = 72
    commit_ahead_ms: Annotated[int, Field(ge=1, le=200)] = 200
    ask_every_s: Seconds = 60
    ask_window_s: Seconds = 120
    in_flight: Annotated[int, Field(ge=1, le=4096)] = 512
    carrier_queue_s: Annotated[float, Field(ge=1)] = 120
    breaker_failures: Annotated[int, Field(ge=1)] = 5
    breaker_s: Seconds = 10


class Abandonment(Section):
    """When a telemarketing job is paused because people who answered heard the message too late."""

    share: Annotated[float, Field(ge=0, le=1)] = 0.03
    least_answered: Annotated[int, Field(ge=1)] = 50


class Launch(Section):
    """What is looked at before the first call of a broadcast."""

    longest_prompt_s: Seconds = 120


class Callbacks(Section):
    """How events are delivered to the engine."""

    timeout_s: Seconds = 10
    attempts: Annotated[int, Field(ge=1, le=100)] = 12
    first_retry_s: Seconds = 5
    max_retry_s: Seconds = 3600
    secret: SecretStr = NO_SECRET
    allow_private: bool = False


class Limits(Section):
    """How the gate paces."""

    guard: Annotated[float, Field(ge=0, le=0.005)] = 0.0025
    unknown_network: Literal["all", "none"] = "all"


class Retention(Section):
    """How long things are kept."""

    idempotency_h: Annotated[float, Field(ge=1)] = 24
    history_days: Annotated[float, Field(ge=0)] = 400
    recordings_days: Annotated[float, Field(ge=0)] = 30


class Settings(Section):
    """Every setting, checked. Made by `load`, handed to whoever needs a part of it."""

    roles: Annotated[tuple[Role, ...], BeforeValidator(split), Field(min_length=1)] = ROLES
    data_dir: Path = Path("gateway-data")
    public_url: HttpUrl = ""
    http: Http = Http()
    database: Database = Database()
    redis: Redis = Redis()
    folders: Folders = Folders()
    logs: Logs = Logs()
    sms: Sms = Sms()
    twilio: Twilio = Twilio()
    practice: Practice = Practice()
    sip: Sip = Sip()
    trunks: Mapping[TrunkName, Trunk] = {}
    abandonment: Abandonment = Abandonment()
    launch: Launch = Launch()
    callbacks: Callbacks = Callbacks()
    limits: Limits = Limits()
    retention: Retention = Retention()

    @property
    def database_at(self) -> Path | str:
        """The SQLite file, or the URL of a PostgreSQL with its user and password: what `Database.open` takes."""
        if not self.database.is_shared:
            return Path(self.database.url.removeprefix("sqlite:///") or self.data_dir / "gateway.db")
        return with_credentials(self.database.url, self.database.username, self.database.password)

    def secrets(self) -> frozenset[str]:
        """Every secret that is set, for the logs to mask wherever it turns up."""
        holders: list[Section] = [
            self.database,
            self.redis,
            self.twilio,
            self.practice,
            self.callbacks,
            *self.trunks.values(),
        ]
        values = (value for holder in holders for _, value in holder if isinstance(value, SecretStr))
        return frozenset(value.get_secret_value() for value in values if value.get_secret_value())


def load(file: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object] | None = None) -> Settings:
    """Read, merge and check every setting.

    file:      a TOML file, or None for the defaults alone.
    environ:   ``GATEWAY_HTTP__PORT=8080`` sets ``http.port``; other names than ``GATEWAY_…`` are not looked at.
    overrides: flags, by dotted key: ``{"http.port": 8080}``.
    Raises:    BadSettings with all that is wrong, by file or variable and key.
    """
    layers = Layers(file, environ, overrides or {})
    problems = layers.problems
    try:
        settings = Settings.model_validate(layers.tree)
        settings = settings.model_copy(update={"trunks": with_defaults(settings.trunks, settings.sip)})
    except Invalid as invalid:
        problems += [_told(layers, error) for error in invalid.errors(include_url=False, include_input=False)]
        raise BadSettings(tuple(problems)) from None
    problems += [layers.problem(key, what) for key, what in _contradictions(settings)]
    if problems:
        raise BadSettings(tuple(problems))
    return settings


def _told(layers: Layers, error: ErrorDetails) -> SettingProblem:
    """Say in plain words what pydantic found, without the value."""
    key = tuple(part for part in error["loc"] if isinstance(part, str) and part != "[key]")
    if error["type"] in {"model_type", "mapping_type"}:
        return layers.problem(key, NOT_A_VALUE)
    if error["type"] != "extra_forbidden":
        plain = {"missing": "must be set", "too_short": "must not be empty", "path_type": "must be a path, as text"}
        words = plain.get(error["type"]) or error["msg"].removeprefix("Value error, ")
        return layers.problem(key, words)
    section = Trunk if key[0] == "trunks" else Settings.model_fields[key[0]].annotation if len(key) > 1 else Settings
    names = section.model_fields if isinstance(section, type) and issubclass(section, BaseModel) else ()
    near = difflib.get_close_matches(key[-1], names, n=1)
    return layers.problem(key, "unknown key" + (f"; did you mean {near[0]}?" if near else ""))


def check(
    file: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object] | None = None
) -> tuple[SettingProblem, ...]:
    """Return all that is wrong, for `gateway config check`: what `load` finds, and folders that are not there."""
    try:
        settings = load(file, environ, overrides)
    except BadSettings as bad:
        return bad.problems
    folders = settings.folders
    wanted = [("dialplans", Path.is_dir), ("audio", Path.is_dir), ("limits", Path.is_file), ("keywords", Path.is_file)]
    missing = [(name, path) for name, is_there in wanted if not is_there(path := getattr(folders, name))]
    layers = Layers(file, environ, overrides or {})
    return tuple(
        layers.problem(("folders", name), f"{path} is not there; `gateway config init` makes it")
        for name, path in missing
    )


def _contradictions(settings: Settings) -> Iterator[tuple[Key, str]]:
    """What is wrong between settings that are each right by themselves."""
    yield from _shared_contradictions(settings)
    yield from _http_contradictions(settings)
    yield from account_contradictions(settings.twilio, settings.practice, public_url=settings.public_url)
    yield from contradictions(settings.trunks, settings.sip)


def _shared_contradictions(settings: Settings) -> Iterator[tuple[Key, str]]:
    if not settings.database.is_shared:
        if set(settings.roles) != set(ROLES):
            yield (
                ("roles",),
                "must be all of them on SQLite, which is one process's own: set database.url to PostgreSQL",
            )
        return
    if not settings.redis.url:
        yield ("redis", "url"), "must be set with PostgreSQL: all processes count their limits in one Redis"
    if not settings.callbacks.secret.get_secret_value():
        yield ("callbacks", "secret"), "must be set with PostgreSQL: what one process signs, another has to know"
    if "api" not in settings.roles and not settings.public_url and {"sms", "voice"} & set(settings.roles):
        yield ("public_url",), "must be set where another process has the API: carriers call it there, not here"


def _http_contradictions(settings: Settings) -> Iterator[tuple[Key, str]]:
    public = urlsplit(settings.public_url)
    if not settings.public_url and not is_loopback(settings.http.host):
        yield ("public_url",), "must be set when http.host is open to other machines: carriers sign what they call"
    if public.scheme == "http" and not is_loopback(public.hostname or ""):
        yield ("public_url",), "must start with https:// unless it is this machine: keys and texts travel on it"
    if any(network.prefixlen == 0 for network in settings.http.trusted_proxies):
        yield ("http", "trusted_proxies"), "must not trust every address: anyone could then claim any URL"
    if settings.callbacks.max_retry_s < settings.callbacks.first_retry_s:
        yield ("callbacks", "max_retry_s"), "must not be less than callbacks.first_retry_s"
