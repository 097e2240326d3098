"""What commands share that read the settings: where they are found, and what is laid over them."""

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from gateway import settings
from gateway.settings import Settings

CONFIG_FILE: Final = Path("config/gateway.toml")
OURS: Final = frozenset({"GATEWAY_CONFIG", "GATEWAY_URL", "GATEWAY_KEY"})  # for the command line; not settings

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", envvar="GATEWAY_CONFIG", help="Settings file. Without it config/gateway.toml, if that is there."
    ),
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Where the database is kept; stronger than the settings.")
]


def load(config: Path | None, **flags: object) -> Settings:
    """The settings, from the file, the environment and flags (dotted keys with __ for the dot); None is no flag."""
    overrides = {name.replace("__", "."): value for name, value in flags.items() if value is not None}
    return settings.load(config_file(config), environ(), overrides)


def config_file(config: Path | None) -> Path | None:
    """The file that was named, else the usual one where it is there."""
    return config or (CONFIG_FILE if CONFIG_FILE.is_file() else None)


def environ() -> dict[str, str]:
    """The environment without the command line's own variables, which are no settings."""
    return {name: value for name, value in os.environ.items() if name not in OURS}
