"""Tells Redis, soon after, what has become of this process's slots; `telling.py` keeps the books."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence
from typing import Final

from gateway.errors.limits import RedisAway
from gateway.limits.asking import key_of
from gateway.limits.server import Server
from gateway.limits.telling import Late, Telling
from gateway.model.limit import Slot, Throughput

_TELL_S: Final = 0.25  # what is granted a period later is granted up to 0.2 s before its slot
_LATE_AT_ONCE: Final = 1_000  # late writes told in one call


class Teller:
    """One a gate. apart_us: how far a rate's unit k keeps from unit k - n."""

    def __init__(self, server: Server, apart_us: Callable[[Throughput], int]) -> None:
        self.telling = Telling(secrets.token_hex(4))
        self._server = server
        self._apart_us = apart_us
        self._task: asyncio.Task[None] | None = None
        self._one_tells = asyncio.Lock()  # at a time: what is told is the first of what is late

    def stop(self) -> None:
        """Tell no more. What was not told by then is in doubt for some seconds."""
        if self._task is not None:
            self._task.cancel()

    def wrote(self, slot: Slot, at_us: int) -> None:
        """See `Gate.wrote`."""
        self.telling.left(slot, at_us)
        self._tell_soon()

    def unused(self, *slots: Slot) -> None:
        """See `Gate.unused`."""
        for slot in slots:
            self.telling.left(slot)
        self._tell_soon()

    async def tell(self) -> None:
        """Tell Redis all that it has not heard of. Raises RedisAway."""
        async with self._one_tells:
            await self._tell()

    async def _tell(self) -> None:
        telling = self.telling
        while True:
            late = telling.late[:_LATE_AT_ONCE]
            rates = telling.owed(late)
            if rates:
                args: list[int | str] = [telling.worker]
                for limit, done in rates.items():
                    args += [limit.n, self._apart_us(limit), done, _lates(late, limit)]
                await self._server.eval("told", [key_of(limit) for limit in rates], args)
            telling.was_told({limit.key: done for limit, done in rates.items()}, late)
            if len(late) < _LATE_AT_ONCE:
                return

    def _tell_soon(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._tells())

    async def _tells(self) -> None:
        while self.telling.owed(self.telling.late):
            await asyncio.sleep(_TELL_S)
            with contextlib.suppress(RedisAway):  # nobody is granted anything meanwhile
                await self.tell()


def _lates(late: Sequence[Late], limit: Throughput) -> str:
    """Those under this rate, for told.lua: of each its take, slot, write and units."""
    own = [each for each in late if limit in each.slot.rates]
    return "".join(f"{each.slot.take},{each.slot.at_us},{each.at_us},{each.slot.units_of(limit)};" for each in own)
