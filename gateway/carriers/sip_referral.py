"""Asking a trunk to put the person of one call through: the REFER, and what the far end tells of it."""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from gateway import steps
from gateway.carriers.sip_outcomes import handed_over
from gateway.carriers.voice_base import ReferResult
from gateway.errors.sip import UnsafeSipValue
from gateway.net.sip_call import SipCall
from gateway.settings_trunks import Trunk
from gateway.sip.events import Referred

_LATE_S: Final = 5.0  # beyond the ringing, for the far end to say so
_log = structlog.get_logger(__name__)


class SipReferral:
    """One call's. `number` is ours in it; the trunk's `transfer` says whether it is asked at all."""

    def __init__(self, call: SipCall, trunk: Trunk, number: str) -> None:
        self._call = call
        self._trunk = trunk
        self._number = number
        self._result: asyncio.Future[ReferResult] | None = None
        self._is_taken_on = False  # the far end took our REFER on

    async def ask(self, to: str, headers: Mapping[str, str], ring_s: float) -> ReferResult:
        """See `Leg.refer`."""
        if self._trunk.transfer == "bridge":
            return "refused"
        self._result = asyncio.get_running_loop().create_future()
        try:
            steps.reached("refer:before")
            await self._call.refer(to, self._number, tuple(headers.items()))
            steps.reached("refer:after")
            async with asyncio.timeout(ring_s + _LATE_S):
                result = await self._result
        except UnsafeSipValue as error:
            _log.error("transfer_refused", error=str(error))
            return "failed"
        except TimeoutError:
            return "no_answer"
        finally:
            self._result = None
        return "failed" if result == "refused" and self._trunk.transfer == "refer" else result

    def told(self, event: Referred) -> None:
        """Take what the far end says of it."""
        self._is_taken_on = self._is_taken_on or not event.refused
        if event.refused:
            self._ends("refused")
        elif event.final:
            self._ends(handed_over(event.status))

    def over(self) -> None:
        """The call has ended: no more is told."""
        self._ends("unknown" if self._is_taken_on else "failed")

    def _ends(self, result: ReferResult) -> None:
        if self._result is not None and not self._result.done():
            self._result.set_result(result)
