"""What several gateways share: a PostgreSQL that is durable, and a Valkey."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from gateway.limits.valkey import EmbeddedValkey
from tests.peers.postgres import postgres_server


@dataclass(frozen=True, slots=True)
class Shared:
    """`settings` as environment variables; `postgres` is the process whose children serve its connections."""

    settings: dict[str, str]
    postgres: psutil.Process
    valkey: psutil.Process


@asynccontextmanager
async def shared(folder: Path) -> AsyncIterator[Shared]:
    """Both, fresh, for as long as it is entered. `folder` is Valkey's."""
    valkey = EmbeddedValkey(folder / "valkey")
    with postgres_server(durable=True) as postgres:
        user, _, rest = postgres.database().removeprefix("postgresql://").partition("@")
        settings = {
            "GATEWAY_DATABASE__URL": f"postgresql://{rest}",
            "GATEWAY_DATABASE__USERNAME": user,
            "GATEWAY_REDIS__URL": await valkey.start(),
            "GATEWAY_CALLBACKS__SECRET": "practice",
        }
        try:
            yield Shared(settings, psutil.Process(postgres.pid), psutil.Process(valkey.pid))
        finally:
            await valkey.stop()
