"""The far end of a gateway's calls: a SIP endpoint that answers each at once, over the far end in C for the audio.

python -m parts.answering CALLS HOLD_S     prints its port; told to end, prints what it saw
"""

import asyncio
import json
import sys
import time
from contextlib import suppress
from typing import Any

import numpy as np
from parts.far_end import FarEnd, more_files

from gateway.net.sip_call import SipCall
from gateway.net.sip_endpoint import SipEndpoint
from gateway.net.sip_route import Trunk
from gateway.sip.events import Ended
from gateway.sip.sdp import Session

HERE = "127.0.0.1"
LEAVE_PER_S = 200


def keys_of(number: int) -> str:
    """What the person with this number (its last four digits) presses."""
    return f"{number:04d}"


class Answering:
    """Answers, lets the person press keys, and hangs all up, one after the other, a while after the last one came."""

    def __init__(self, far: FarEnd, hold_s: float) -> None:
        self.far = far
        self.hold_s = hold_s
        self.up: dict[SipCall, int] = {}
        self.invites_s: list[float] = []
        self.ended_by: dict[str, int] = {}
        self._free = list(range(len(far.ports)))

    async def take(self, call: SipCall) -> None:
        """One call, from its INVITE to its end."""
        self.invites_s.append(time.monotonic())
        assert call.incoming is not None
        assert call.incoming.offer is not None
        socket = self._free.pop()
        await call.accept(Session(HERE, self.far.ports[socket]))
        self.far.start(socket, call.incoming.offer.port, keys_of(int(call.incoming.to_user[-4:])))
        self.up[call] = socket
        if not self._free:
            asyncio.get_running_loop().call_later(self.hold_s, self._leave)
        async for event in call.events():
            if isinstance(event, Ended):
                self.ended_by[event.by] = self.ended_by.get(event.by, 0) + 1
        self.up.pop(call, None)
        self.far.stop(socket)

    def _leave(self) -> None:
        """Hang up one call, and come back for the next."""
        if self.up:
            call, socket = self.up.popitem()
            self.far.stop(socket)
            call.endpoint.act(lambda agent, now: agent.hangup(call.handle, now))
            asyncio.get_running_loop().call_later(1 / LEAVE_PER_S, self._leave)

    def judged(self) -> dict[str, Any]:
        """Calls a second, from the first INVITE to the last."""
        times = np.array(self.invites_s)
        return {
            "invites": len(times),
            "set_up_per_s": round((len(times) - 1) / (times[-1] - times[0]), 2),
            "most_in_a_second": int(max(np.searchsorted(times, times + 1) - np.arange(len(times)))),
            "ended_by": self.ended_by,
        }


async def main() -> None:
    """Until standard input has something to say."""
    more_files()
    here = Answering(await FarEnd.started(int(sys.argv[1])), float(sys.argv[2]))
    endpoint = SipEndpoint((HERE, 0), Trunk(HERE), on_invite=here.take)
    await endpoint.start()
    print(json.dumps({"port": endpoint.address[1]}), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    with suppress(IndexError, ZeroDivisionError):
        print(json.dumps({**here.judged(), **await here.far.seen()}), flush=True)
    await endpoint.stop()


if __name__ == "__main__":
    asyncio.run(main())
