"""Webhooks that wait for a database that is away for a moment, since their carrier does not send them again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from gateway.clock import monotonic
from gateway.errors.store import StoreUnavailable

_PATIENCE_S: Final = 8.0  # Twilio waits for 15 s
_AGAIN_S: Final = 0.2
T = TypeVar("T")
_log = structlog.get_logger(__name__)


async def patiently(take: Callable[[], Awaitable[T]]) -> T:
    """Try again while the database is away: answered with an error, a STOP or the key of a caller would be lost.

    Raises: StoreUnavailable once the carrier would not wait any longer.
    """
    until = monotonic() + _PATIENCE_S
    while True:
        try:
            return await take()
        except StoreUnavailable as error:
            if monotonic() > until:
                raise
            _log.error("webhook_waits", error=str(error))
        await asyncio.sleep(_AGAIN_S)
