"""API keys: made, listed and revoked in the database itself, so that the first key needs no key.

Safe beside a running gateway, which sees a new key at once and a revoked one within seconds.
"""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from gateway.cli.common import AsJson, group, run, show, show_list
from gateway.cli.configured import Config, DataDir, load
from gateway.clock import now_ms, rfc3339
from gateway.errors.cli import UnknownKey
from gateway.model.tenant import SCOPES, ApiKey
from gateway.store import keys, tenants
from gateway.store.database import Database, Tx, migrations

T = TypeVar("T")

app = group("key")


class Mode(StrEnum):
    """What a key can reach."""

    LIVE = "live"
    TEST = "test"


@app.command()
def create(
    tenant: Annotated[
        str, typer.Option(help="Whose key it is: small letters, digits and hyphens. A new name makes a new tenant.")
    ],
    mode: Annotated[
        Mode, typer.Option(help="live, or test: reaches the practice far end and nothing else.")
    ] = Mode.LIVE,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE",
            help="What it may do, such as messages:write; several times for several things. "
            "Without it, all but accounts:admin.",
        ),
    ] = None,
    label: Annotated[str, typer.Option(help="A word to know it by in `gateway key list`.")] = "",
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, once: only its fingerprint is kept.

    export GATEWAY_KEY=$(gateway key create --tenant city-water)
    """
    if not (tenant.replace("-", "").isalnum() and tenant.isascii() and tenant == tenant.lower() and len(tenant) <= 40):
        raise typer.BadParameter("a tenant is 1 to 40 small letters, digits and hyphens", param_hint="--tenant")
    issued = _write(
        config,
        data_dir,
        lambda tx: keys.issue(tx, tenant, mode=mode.value, scopes=frozenset(scope or SCOPES), label=label),
    )
    if as_json:
        show(_facts(issued.key) | {"key": issued.secret})
        return
    typer.echo(issued.secret)
    typer.echo(f"{issued.key.id} of {tenant}, {mode.value}. Keep it now: it is not shown again.", err=True)


@app.command("list")
def list_(config: Config = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List every key, oldest first; never its secret."""
    found = [_facts(key) for key in _write(config, data_dir, tenants.keys)]
    show_list(found, ("id", "tenant", "mode", "label", "created_at", "revoked_at", "scopes"), as_json=as_json)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `gateway key list` shows it.")],
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Revoke a key. A running gateway refuses it within seconds."""
    if not _write(config, data_dir, lambda tx: tenants.revoke_key(tx, key_id, now_ms())):
        raise UnknownKey(key_id)
    typer.echo(f"{key_id} is revoked")


def migrate(config: Config = None, data_dir: DataDir = None) -> None:
    """Bring the database's schema up to date; `gateway serve` does so itself when it starts."""
    _write(config, data_dir, tenants.keys)
    settings = load(config, data_dir=data_dir)
    shown = settings.database.url if settings.database.is_shared else settings.database_at
    typer.echo(f"{shown} is at schema {migrations()[-1][0]}")


def _facts(key: ApiKey) -> dict[str, object]:
    revoked = key.revoked_ms
    return {
        "id": key.id,
        "tenant": key.tenant_id,
        "mode": key.mode,
        "label": key.label,
        "scopes": " ".join(sorted(key.scopes)),
        "created_at": rfc3339(key.created_ms),
        "revoked_at": rfc3339(revoked) if revoked is not None else None,
    }


def _write(config: Path | None, data_dir: Path | None, work: Callable[[Tx], Awaitable[T]]) -> T:
    """Do `work` in one transaction on the database of the settings, made or brought up to date first."""
    where = load(config, data_dir=data_dir).database_at

    async def written() -> T:
        if isinstance(where, Path):
            where.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        async with Database.open(where, migrate=True) as database:
            return await database.write(work)

    return run(written())
