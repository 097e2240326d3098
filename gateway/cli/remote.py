"""What commands share that ask the running gateway: where it is, and the key to it."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from gateway.cli.common import run

if TYPE_CHECKING:
    from gateway.client import Client

T = TypeVar("T")

DEFAULT_URL: Final = "http://127.0.0.1:8080"

Url = Annotated[str, typer.Option("--url", envvar="GATEWAY_URL", help="Where the running gateway listens.")]
Key = Annotated[
    str,
    typer.Option(
        "--key", envvar="GATEWAY_KEY", show_default=False, help="API key, as `gateway key create` printed it."
    ),
]


def ask(url: str, key: str, work: "Callable[[Client], Awaitable[T]]") -> T:
    """Do `work` with a client of the running gateway."""
    from gateway.client import Client  # noqa: PLC0415 - a fifth of a second, for commands that never ask

    if not key:
        raise typer.BadParameter("no key: set GATEWAY_KEY, or give --key (`gateway key create` makes one)")

    async def asked() -> T:
        async with Client(url, key) as client:
            return await work(client)

    return run(asked())
