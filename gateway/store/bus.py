"""Words between the gateway processes that share one PostgreSQL: LISTEN and NOTIFY, begun again when the line breaks.

Nothing said here is kept: whoever was away missed it, is told so, and looks at the database. On SQLite there is no
bus, since one process has it alone.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog

from gateway.errors.store import StoreUnavailable

_ALIVE_S: Final = 5.0  # how often the line is tried, and how long it may take to answer
_FIRST_WAIT_S: Final = 0.1
_LONGEST_WAIT_S: Final = 2.0
_log = structlog.get_logger(__name__)

Heard = Callable[[str], None]
Missed = Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Ear:
    channel: str
    heard: Heard
    missed: Missed


class Bus:
    """One connection that listens and speaks.

    connect: gives a new asyncpg connection. Raises StoreUnavailable.
    """

    def __init__(self, connect: Callable[[], Awaitable[Any]]) -> None:
        self._connect = connect
        self._ears: list[_Ear] = []
        self._connection: Any = None
        self._speaking = asyncio.Lock()  # a connection does one thing at a time
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether what is said just now is heard by the others."""
        return self._connection is not None and not self._connection.is_closed()

    async def start(self) -> None:
        """Listen. Raises StoreUnavailable."""
        await self._open()
        self._task = asyncio.create_task(self._keep(), name="store-bus")

    async def stop(self) -> None:
        """Hang up."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._connection is not None:
            self._connection.terminate()

    async def subscribe(self, channel: str, heard: Heard, missed: Missed = lambda: None) -> None:
        """Have `heard(payload)` called for each word on `channel`, our own too, in the order in which they were said.

        channel: small letters and `_`.
        missed:  called when the line was broken and is whole again: words may have been lost.
        Neither may wait.
        """
        ear = _Ear(channel, heard, missed)
        async with self._speaking:
            self._ears.append(ear)
            if self.connected:
                await _listen(self._connection, ear)

    async def publish(self, channel: str, payload: str = "") -> None:
        """Say `payload` (below 8,000 bytes) to all who listen on `channel`, ourselves too.

        Raises: StoreUnavailable where the line is broken: nobody may have heard it.
        """
        if not self.connected:
            raise StoreUnavailable("the line to the other processes is broken")
        try:
            async with self._speaking:
                await self._connection.execute("SELECT pg_notify($1, $2)", channel, payload, timeout=_ALIVE_S)
        except Exception as error:
            self._connection.terminate()
            raise StoreUnavailable(f"the line to the other processes broke: {type(error).__name__}") from error

    async def _open(self) -> None:
        async with self._speaking:
            connection = await self._connect()
            try:
                for ear in self._ears:
                    await _listen(connection, ear)
            except BaseException:
                connection.terminate()
                raise
            self._connection = connection

    async def _keep(self) -> None:
        wait_s = _FIRST_WAIT_S
        while True:
            if self.connected:
                await self._try()
                wait_s = _FIRST_WAIT_S
                continue
            try:
                await self._open()
            except Exception as error:  # noqa: BLE001 - whatever it was, the line is tried again
                _log.warning("bus_away", error=repr(error))
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
            else:
                for ear in self._ears:
                    ear.missed()

    async def _try(self) -> None:
        """Wait until the line breaks, or until it is time to try whether it is still there."""
        connection, broken = self._connection, asyncio.Event()

        def ended(_connection: Any) -> None:
            broken.set()

        connection.add_termination_listener(ended)
        try:
            async with asyncio.timeout(_ALIVE_S):
                await broken.wait()
        except TimeoutError:
            try:
                async with self._speaking:
                    await connection.execute("SELECT 1", timeout=_ALIVE_S)
            except Exception:  # noqa: BLE001 - no answer is what was asked about
                connection.terminate()
        finally:
            connection.remove_termination_listener(ended)


async def _listen(connection: Any, ear: _Ear) -> None:
    def call(_connection: Any, _pid: int, _channel: str, payload: str) -> None:
        ear.heard(payload)

    await connection.add_listener(ear.channel, call)
