"""Webhooks that wait for a database that is away, since their carrier does not send them again.

A carrier waits for some seconds. What a webhook said is not let go then: it is held in memory and tried until the
database is back, for it may be the STOP of a person, or the key they pressed. Each has one effect, however often it is
tried, and a carrier that sends it again after all does no harm.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

import structlog

from gateway.clock import monotonic
from gateway.errors.store import StoreUnavailable

_PATIENCE_S: Final = 8.0  # while the database is away
_LISTENS_S: Final = 14.0  # Twilio waits for 15 s, whatever takes so long
_AGAIN_S: Final = 0.2
_LONGEST_WAIT_S: Final = 5.0
_MOST: Final = 10_000
T = TypeVar("T")
_log = structlog.get_logger(__name__)


class Patience:
    """What webhooks said and is not on disk yet."""

    def __init__(self, *, patience_s: float = _PATIENCE_S, most: int = _MOST) -> None:
        self._patience_s = patience_s
        self._most = most
        self._works: set[asyncio.Task[None]] = set()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def taken(self, take: Callable[[], Awaitable[T]], *, of: str) -> T:
        """Run `take`, which may run any number of times, until the database takes it. Returns what it returned.

        of:     whom or what it is about: what came first of one is taken first.
        Raises: StoreUnavailable once the carrier would not wait any longer: it is tried on. And at once where too many
                wait already: then it is not.
        """
        began = monotonic()
        if of not in self._turns:
            try:
                return await take()
            except StoreUnavailable as error:
                _log.error("webhook_waits", error=str(error))
        if len(self._works) >= self._most:
            raise StoreUnavailable("too many webhooks wait for it")
        told: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        work = asyncio.create_task(self._go_on(take, of, told, began + self._patience_s), name="webhook")
        self._works.add(work)
        work.add_done_callback(self._works.discard)
        try:
            await asyncio.wait({told}, timeout=max(0.0, began + _LISTENS_S - monotonic()))
        finally:
            told.cancel()  # nobody listens any more
        if told.cancelled():
            raise StoreUnavailable("the carrier does not wait any longer")
        return told.result()

    async def _go_on(
        self, take: Callable[[], Awaitable[Any]], of: str, told: asyncio.Future[Any], until: float
    ) -> None:
        wait_s = _AGAIN_S
        async with self._turns.setdefault(of, asyncio.Lock()):
            while True:
                await asyncio.sleep(wait_s)
                try:
                    result = await take()
                except StoreUnavailable as error:
                    if monotonic() > until:
                        _tell(told, error)
                        wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
                except Exception as error:  # noqa: BLE001 - it is whoever listens who is told
                    if not _tell(told, error):
                        _log.exception("webhook_lost", error=repr(error))
                    return
                else:
                    if not told.done():
                        told.set_result(result)
                    return

    async def stop(self) -> None:
        """Try no more. What is not on disk yet is lost, and the log says so."""
        if self._works:
            _log.error("webhooks_lost", webhooks=len(self._works))
        for work in self._works:
            work.cancel()
        await asyncio.gather(*self._works, return_exceptions=True)


def _tell(told: asyncio.Future[Any], error: Exception) -> bool:
    """Raise `error` where somebody still listens; returns whether somebody did."""
    if told.done():
        return False
    told.set_exception(error)
    return True
