"""Settings: layers, checks, and that config/gateway.toml tells the truth."""

import re
import tomllib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from gateway.errors.settings import BadSettings
from gateway.settings import Settings, Trunk, check, is_loopback, load

SHIPPED = Path(__file__).parent.parent / "config" / "gateway.toml"
EVERYWHERE = "0.0.0.0"  # noqa: S104  # no socket is bound here
SID = "AC" + "0" * 32


def settings_file(folder: Path, text: str) -> Path:
    file = folder / "gateway.toml"
    file.write_text(text, encoding="utf-8")
    return file


def problems(
    file: Path | None = None, environ: Mapping[str, str] | None = None, overrides: Mapping[str, object] | None = None
) -> dict[str, str]:
    with pytest.raises(BadSettings) as caught:
        load(file, environ or {}, overrides)
    return {problem.key: f"{problem.source}: {problem.what}" for problem in caught.value.problems}


def values(model: BaseModel, above: str = "") -> dict[str, object]:
    """Every setting by dotted key, as plain values; secrets aside."""
    found: dict[str, object] = {}
    for name, value in model:
        if isinstance(value, BaseModel):
            found |= values(value, f"{above}{name}.")
        elif not isinstance(value, SecretStr | Mapping):
            found[above + name] = model.model_dump(mode="json")[name]
    return found


def uncommented() -> dict[str, object]:
    return tomllib.loads(re.sub(r"(?m)^#(?=[\w\[])", "", SHIPPED.read_text(encoding="utf-8")))


def test_the_shipped_file_lists_every_setting_with_its_default() -> None:
    shown = uncommented()
    trunks = shown.pop("trunks")
    flat = {f"{s}.{k}": v for s, t in shown.items() if isinstance(t, dict) for k, v in t.items()}
    flat |= {key: value for key, value in shown.items() if not isinstance(value, dict)}

    assert flat == values(Settings())
    assert isinstance(trunks, dict)
    assert trunks["main"] == values(Trunk(host="sip.example.com"))


def test_the_shipped_file_explains_every_setting() -> None:
    """A run of settings has words right above it."""
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    for above, line in pairwise(lines):
        if re.match(r"#\w", line):
            assert re.match(r"#( |\w|\[)", above), line


def test_the_shipped_file_names_the_variable_of_every_secret() -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    for name, section in Settings():
        for key, value in section if isinstance(section, BaseModel) else ():
            if isinstance(value, SecretStr):
                assert f"GATEWAY_{name}__{key}".upper() in text
    assert "GATEWAY_TRUNKS__MAIN__PASSWORD" in text


def test_the_shipped_file_as_it_is_means_the_defaults() -> None:
    assert load(SHIPPED, {}) == load(None, {})


def test_defaults_then_file_then_environment_then_flags(tmp_path: Path) -> None:
    file = settings_file(tmp_path, "[http]\nport = 1\nmax_body_bytes = 70000\nshutdown_s = 3\n")
    environ = {"GATEWAY_HTTP__PORT": "2", "GATEWAY_HTTP__MAX_BODY_BYTES": "80000", "PATH": "/bin"}

    http = load(file, environ, {"http.port": 3}).http

    assert (http.port, http.max_body_bytes, http.shutdown_s, http.host) == (3, 80_000, 3, "127.0.0.1")


def test_the_environment_gives_lists_as_words_between_commas() -> None:
    settings = load(None, {"GATEWAY_HTTP__TRUSTED_PROXIES": "10.0.0.0/8, ::1"})

    assert [str(network) for network in settings.http.trusted_proxies] == ["10.0.0.0/8", "::1/128"]


def test_all_that_is_wrong_is_told_at_once_with_its_source(tmp_path: Path) -> None:
    file = settings_file(tmp_path, '[http]\nprot = 1\n[logs]\nlevel = "loud"\n[trunks.a]\nport = 5060\n')

    told = problems(file, {"GATEWAY_HTTP__PORT": "x", "GATEWAY_NONSENSE": "1"}, {"sms.validity_s": 0})

    assert told["http.prot"] == f"{file}: unknown key; did you mean port?"
    assert told["logs.level"].startswith(str(file))
    assert told["trunks.a.host"] == f"{file}: must be set"
    assert told["GATEWAY_HTTP__PORT"].startswith("environment: Input should be a valid integer")
    assert told["GATEWAY_NONSENSE"] == "environment: unknown key"
    assert told["sms.validity_s"].startswith("flags: ")
    assert len(told) == 6


def test_a_variable_for_the_tests_is_no_setting() -> None:
    assert load(None, {"GATEWAY_VECTORS": "/anywhere"}) == Settings()


@pytest.mark.parametrize(
    ("text", "told"),
    [("[http\n", "is not TOML"), ("[http]\nport = 1\nport = 2\n", "is not TOML"), (None, "cannot be read")],
    ids=["broken", "key twice", "no such file"],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str | None, told: str) -> None:
    file = tmp_path / "none.toml" if text is None else settings_file(tmp_path, text)

    assert told in problems(file)[""]


def test_a_section_given_as_a_value_is_refused(tmp_path: Path) -> None:
    file = settings_file(tmp_path, "http = 3\n")

    assert problems(file, {"GATEWAY_HTTP__PORT": "1"})["http"] == f"{file}: is a section of settings, not a setting"
    assert "GATEWAY_SMS" in problems(None, {"GATEWAY_SMS": "1", "GATEWAY_SMS__VALIDITY_S": "1"})
    assert "http" in problems(settings_file(tmp_path, "[http]\nport = 1\n"), {}, {"http": 5})


def test_secrets_come_from_the_environment_or_a_file_of_their_own(tmp_path: Path) -> None:
    kept = tmp_path / "token"
    kept.write_text("s3cret\n", encoding="utf-8")
    file = settings_file(
        tmp_path, f'public_url = "https://g.example"\n[twilio]\naccount_sid = "{SID}"\nauth_token_file = "{kept}"\n'
    )

    settings = load(file, {})
    assert settings.twilio.auth_token.get_secret_value() == "s3cret"
    assert settings.secrets() == {"s3cret"}
    assert "s3cret" not in repr(settings)
    assert load(file, {"GATEWAY_TWILIO__AUTH_TOKEN": "other"}).secrets() == {"other"}


def test_a_stronger_layers_secret_file_replaces_a_weaker_layers_secret(tmp_path: Path) -> None:
    kept = tmp_path / "token"
    kept.write_text("from a file", encoding="utf-8")

    settings = load(None, {"GATEWAY_REDIS__PASSWORD": "from a variable"}, {"redis.password_file": str(kept)})

    assert settings.redis.password.get_secret_value() == "from a file"


def test_a_secret_in_the_settings_file_is_refused_and_never_shown(tmp_path: Path) -> None:
    file = settings_file(tmp_path, '[twilio]\nauth_token = "s3cret"\n')

    told = problems(file)

    assert "GATEWAY_TWILIO__AUTH_TOKEN" in told["twilio.auth_token"]
    assert "s3cret" not in str(told)


def test_a_secret_given_twice_or_unreadable_or_empty_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    twice = {"GATEWAY_CALLBACKS__SECRET": "a", "GATEWAY_CALLBACKS__SECRET_FILE": "b"}

    assert "give one of them" in problems(None, twice)["GATEWAY_CALLBACKS__SECRET_FILE"]
    assert "cannot be read" in problems(None, {"GATEWAY_CALLBACKS__SECRET_FILE": str(tmp_path / "no")}).popitem()[1]
    assert "empty file" in problems(None, {"GATEWAY_CALLBACKS__SECRET_FILE": str(empty)}).popitem()[1]


TWILIO = {"twilio.account_sid": SID, "twilio.auth_token": "t"}
SHARED = {"database.url": "postgresql://db/gateway", "redis.url": "redis://redis/0", "callbacks.secret": "s"}
TRUNK = {"trunks.a.host": "192.0.2.1"}


@pytest.mark.parametrize(
    ("flags", "key"),
    [
        ({"http.host": EVERYWHERE}, "public_url"),
        ({"http.host": "gateway.example"}, "public_url"),
        ({"public_url": "http://gateway.example"}, "public_url"),
        ({"public_url": "ftp://gateway.example"}, "public_url"),
        ({"public_url": "https://u:p@gateway.example"}, "public_url"),
        ({"public_url": "https://gateway.example:70000"}, "public_url"),
        ({"public_url": "https://gateway.example/?a"}, "public_url"),
        ({"http.trusted_proxies": ["0.0.0.0/0"]}, "http.trusted_proxies"),
        ({"http.trusted_proxies": "proxy.example"}, "http.trusted_proxies"),
        ({"database.url": "postgresql://user:word@db/gateway"}, "database.url"),
        ({"database.url": "postgresql://db"}, "database.url"),
        (SHARED | {"redis.url": ""}, "redis.url"),
        (SHARED | {"callbacks.secret": ""}, "callbacks.secret"),
        (SHARED | {"roles": "api,cooking"}, "roles"),
        (SHARED | {"roles": ""}, "roles"),
        ({"roles": "api,sms"}, "roles"),
        (SHARED | {"roles": "voice"}, "public_url"),
        ({"database.url": "gateway.db"}, "database.url"),
        ({"redis.url": "http://redis"}, "redis.url"),
        ({"redis.url": "redis://:pass@redis/0"}, "redis.url"),
        ({"twilio.account_sid": SID}, "twilio.auth_token"),
        ({"twilio.auth_token": "t"}, "twilio.account_sid"),
        ({"twilio.account_sid": "AC1"}, "twilio.account_sid"),
        (TWILIO, "public_url"),
        ({"twilio.base_url": "http://api.example"}, "twilio.base_url"),
        ({"twilio.base_url": ""}, "twilio.base_url"),
        (
            {"practice.url": "http://192.0.2.1:80", "practice.account_sid": SID, "practice.auth_token": "t"},
            "practice.url",
        ),
        (
            {"practice.url": "http://127.0.0.1.example:80", "practice.account_sid": SID, "practice.auth_token": "t"},
            "practice.url",
        ),
        ({"practice.url": "http://127.0.0.1:80"}, "practice.account_sid"),
        ({"practice.sip_host": "192.0.2.1"}, "practice.sip_host"),
        ({"practice.sip_host": ""}, "practice.sip_host"),
        ({"sip.host": "eth0"}, "sip.host"),
        ({"sip.rtp_port_min": 30001}, "sip.rtp_port_max"),
        (TRUNK | {"sip.rtp_port_max": 20009}, "sip.rtp_port_max"),
        (TRUNK | {"sip.host": EVERYWHERE}, "trunks.a.advertised_ip"),
        (TRUNK | {"trunks.a.username": "u"}, "trunks.a.password"),
        (TRUNK | {"trunks.a.caller_id": "5551234"}, "trunks.a.caller_id"),
        (TRUNK | {"trunks.a.codecs": "PCMU,PCMU"}, "trunks.a.codecs"),
        (TRUNK | {"trunks.a.networks": "0.0.0.0/0"}, "trunks.a.networks"),
        (TRUNK | {"trunks.a.tls_verify": False}, "trunks.a.transport"),
        (TRUNK | {"trunks.a.transport": "tls", "trunks.a.tls_key_file": "k"}, "trunks.a.tls_certificate_file"),
        (
            TRUNK | {"trunks.a.transport": "tcp", "trunks.a.large_requests_over_tcp": True},
            "trunks.a.large_requests_over_tcp",
        ),
        (TRUNK | {"trunks.a.register_s": 600}, "trunks.a.username"),
        (TRUNK | {"trunks.a.srtp": True}, "trunks.a.transport"),
        (TRUNK | {"trunks.a.session_expires_s": 89}, "trunks.a.session_expires_s"),
        (TRUNK | {"trunks.a.caller_name": "two\nlines"}, "trunks.a.caller_name"),
        (TRUNK | {"trunks.a.codecs": ""}, "trunks.a.codecs"),
        ({"trunks.twilio.host": "192.0.2.1"}, "trunks.twilio"),
        ({"trunks.Two Words.host": "192.0.2.1"}, "trunks.Two Words"),
        ({"callbacks.max_retry_s": 1}, "callbacks.max_retry_s"),
        ({"limits.guard": 0.01}, "limits.guard"),
        ({"sms.default_country": "usa"}, "sms.default_country"),
        ({"trunks": 3}, "trunks"),
    ],
)
def test_what_is_unsafe_or_contradicts_itself_is_refused(flags: dict[str, object], key: str) -> None:
    assert list(problems(None, {}, flags)) == [key]


def test_a_working_set_of_settings_is_taken() -> None:
    settings = load(
        None,
        {"GATEWAY_TRUNKS__MAIN__PASSWORD": "p", "GATEWAY_TRUNKS__MAIN__USERNAME": "u"},
        TWILIO
        | {
            "http.host": EVERYWHERE,
            "public_url": "https://gateway.example/",
            "trunks.main.host": "sip.example",
            "sip.host": EVERYWHERE,
            "sip.advertised_ip": "192.0.2.7",
            "database.url": "sqlite:////var/lib/gateway.db",
        },
    )

    trunk = settings.trunks["main"]
    assert settings.public_url == "https://gateway.example"
    assert (trunk.local_host, trunk.local_port, trunk.advertised_ip) == (EVERYWHERE, 5060, "192.0.2.7")
    assert settings.database_at == Path("/var/lib/gateway.db")
    assert settings.secrets() == {"t", "p"}


def test_a_shared_database_lets_roles_run_apart_and_its_password_stays_a_secret() -> None:
    settings = load(
        None,
        {"GATEWAY_DATABASE__PASSWORD": "p@ss", "GATEWAY_ROLES": "sms, callbacks"},
        SHARED | {"database.username": "gate", "public_url": "https://gateway.example"},
    )

    assert settings.roles == ("sms", "callbacks")
    assert settings.database_at == "postgresql://gate:p%40ss@db/gateway"
    assert settings.secrets() == {"p@ss", "s"}


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(None, {}).http.port = 1  # type: ignore[misc]


def test_the_check_also_names_folders_that_are_not_there(tmp_path: Path) -> None:
    flags: dict[str, object] = {"folders.dialplans": str(tmp_path), "folders.audio": str(tmp_path)}
    flags |= {"folders.limits": str(SHIPPED), "folders.keywords": str(tmp_path / "none.toml")}

    assert [(p.source, p.key, p.what) for p in check(None, {}, flags)] == [
        ("flags", "folders.keywords", f"{tmp_path / 'none.toml'} is not there; `gateway config init` makes it")
    ]
    assert [p.key for p in check(None, {"GATEWAY_HTTP__PORT": "x"})] == ["GATEWAY_HTTP__PORT"]


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        (EVERYWHERE, False),
        ("a.localhost.example", False),
    ],
)
def test_loopback_is_told_from_the_world(host: str, ours: bool) -> None:
    assert is_loopback(host) is ours


def test_an_empty_list_is_said_to_be_empty() -> None:
    (problem,) = check(None, {"GATEWAY_ROLES": ""})

    assert "must not be empty" in str(problem)
