"""Many calls in a row over real sockets, each ending in another way: no call, task or file descriptor stays behind.

`GATEWAY_MANY_CALLS=10000` is the long form, for the night.
"""

import asyncio
import os
from collections import Counter

import psutil
import pytest

from gateway.net.sip_call import SipCall
from gateway.net.sip_endpoint import SipEndpoint
from gateway.net.sip_route import Trunk
from gateway.sip.events import LAST, Answered, Ended, Ringing
from gateway.sip.hop import Transport
from gateway.sip.sdp import Session
from gateway.sip.transaction_table import Timers

HERE = "127.0.0.1"
QUICK = Timers(t1=0.03, t2=0.1, t4=0.1)
CALLS = int(os.environ.get("GATEWAY_MANY_CALLS", "300"))
AT_ONCE = 30
REFUSALS = {"2": 486, "3": 603, "4": 302, "5": 404, "6": 500}


async def far_end(call: SipCall) -> None:
    """End each call as the last digit of the number called says."""
    assert call.incoming is not None
    kind = call.incoming.to_user[-1]
    if kind in REFUSALS:
        await call.reject(REFUSALS[kind])
        return
    if kind == "7":
        raise RuntimeError("made up")
    await call.ring(Session(HERE, 41_000) if kind == "8" else None)
    if kind == "9":  # nobody answers: the caller gives up
        async for _ in call.events():
            pass
        return
    await call.accept(Session(HERE, 41_000))
    async for event in call.events():
        if isinstance(event, Answered) and kind == "1":
            await call.hangup()


async def place(ours: SipEndpoint, number: int, room: asyncio.Semaphore) -> str:
    """Place one call and see it through; returns how it ended."""
    async with room, asyncio.timeout(15):
        call = await ours.invite(f"+1212555{number:04d}", "+18005550199", Session(HERE, 40_000))
        async for event in call.events():
            if isinstance(event, Answered) and number % 10 != 1:
                await call.hangup()
            elif isinstance(event, Ringing) and number % 10 == 9:
                await call.cancel()
            elif isinstance(event, LAST):
                return f"{event.by}" if isinstance(event, Ended) else f"{event.status}"
    raise AssertionError("the call never ended")


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
async def test_many_calls_leave_nothing_behind(transport: Transport, caplog: pytest.LogCaptureFixture) -> None:
    process, tasks = psutil.Process(), len(asyncio.all_tasks())
    before = process.num_fds()
    them = SipEndpoint((HERE, 0), Trunk(HERE, 9, transport=transport), timers=QUICK, on_invite=far_end)
    await them.start()
    ours = SipEndpoint((HERE, 0), Trunk(HERE, them.address[1], transport=transport), timers=QUICK)
    await ours.start()
    room = asyncio.Semaphore(AT_ONCE)
    ends = Counter(await asyncio.gather(*(place(ours, number, room) for number in range(CALLS))))
    async with asyncio.timeout(10):
        while any(each.agent.transactions or each.agent.calls for each in (ours, them)):
            await asyncio.sleep(0.05)
    assert not ours._calls
    assert not them._calls
    await ours.stop()
    await them.stop()
    async with asyncio.timeout(5):
        while len(asyncio.all_tasks()) > tasks:
            await asyncio.sleep(0.01)

    tenth = CALLS // 10
    refused = {str(status): tenth for status in (302, 404, 486, 487, 500)}
    assert ends == {"us": 2 * tenth, "them": tenth, "603": 2 * tenth, **refused}  # a handler that fails is a 603, too
    assert process.num_fds() == before
    assert caplog.text.count("the handler of inbound calls failed") == tenth
