"""The named blocks of `store/sql` and the numbered migrations, as the databases read them."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import aiosql

_SQL = resources.files("gateway.store") / "sql"
_KIND = {"messages": "kind", "calls": "direction"}  # the column that says which way or what for
_MIGRATIONS = resources.files("gateway.store") / "migrations"


@cache
def load() -> Mapping[str, str]:
    """Every named block; one that says `{things}` is for messages and for calls, `{kind}` for a column of theirs.

    They are read once a process.
    """
    loaded: dict[str, str] = {}
    for file in _SQL.iterdir():
        text = file.read_text(encoding="utf-8")
        for things in ("messages", "calls") if "{things}" in text else ("",):
            queries: Any = aiosql.from_str(
                text.replace("{things}", things).replace("{kind}", _KIND.get(things, "")),
                "aiosqlite",
                mandatory_parameters=False,
            )
            loaded |= {name: getattr(queries, name).sql for name in queries.available_queries if hasattr(queries, name)}
    return loaded


def migrations() -> list[tuple[int, str]]:
    """Every migration as (number, SQL), in order."""
    files = sorted((item for item in _MIGRATIONS.iterdir() if item.name.endswith(".sql")), key=lambda item: item.name)
    return [(int(item.name.split("_", 1)[0]), item.read_text(encoding="utf-8")) for item in files]
