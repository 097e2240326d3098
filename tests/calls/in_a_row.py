"""Calls in a row, however they end: `python -m tests.calls.in_a_row 10000`. Prints what they leave behind, as JSON."""

import asyncio
import ctypes
import gc
import json
import logging
import os
import secrets
import socket
import sys
from pathlib import Path
from typing import Any

import psutil
import structlog

from gateway.carriers.sip_leg import SipLeg
from gateway.carriers.sip_trunk import SipTrunk
from gateway.carriers.voice_base import Digit, Ended, LegEvent, PickedUp, Ringing, Unanswered
from gateway.media import g711, rtp, telephone_event, tones
from gateway.model.call import Call
from gateway.net.rtp_engine import RtpEngine
from gateway.settings_trunks import Trunk
from gateway.sip import events, sdp
from gateway.sip.options import Options
from gateway.sip.transaction_table import Timers
from gateway.sip.user_agent import UserAgent
from gateway.speech.audio import Audio

HERE = "127.0.0.1"
AT_ONCE = 25
FEWEST = 150  # at a time; then all is let go, so that what lingers a while is not taken for what stays
PAIRS = 40  # ports for no more than so many calls: one that stays taken would soon be missed
QUICK = Timers(t1=0.05, t2=0.1, t4=0.1)  # a BYE that nobody answers is given up after 3.2 s

BUSY, CANCEL, LOST_BYE, LEAVES, NO_MEDIA, DECLINED, TALKS = range(7)
ENDS = {
    BUSY: Unanswered("busy", "busy", "486"),
    CANCEL: Unanswered("no_answer", "no_answer", "487"),
    LOST_BYE: Ended("gateway"),
    LEAVES: Ended("person"),
    NO_MEDIA: Ended("carrier", "no_usable_media"),
    DECLINED: Unanswered("failed", "declined", "603"),
    TALKS: Ended("gateway"),
}


class FarEnd(asyncio.DatagramProtocol):
    """A user agent on a socket, which does what the last digit of the number says; one more socket takes all audio."""

    def __init__(self) -> None:
        self.sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sink.bind((HERE, 0))
        self.sink.setblocking(False)
        self.loop = asyncio.get_running_loop()
        self.deaf: set[bytes] = set()  # Call-IDs whose BYE is lost
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.port: int = transport.get_extra_info("sockname")[1]
        self.agent = UserAgent(Options((HERE, self.port), None, timers=QUICK), lambda: secrets.token_hex(12))

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if data.startswith(b"BYE") and any(call_id in data for call_id in self.deaf):
            return
        self.agent.receive(data, addr, self.loop.time())
        self.flush()

    def flush(self) -> None:
        now = self.loop.time()
        for event in list(self.agent.events()):
            if isinstance(event, events.Incoming):
                self.take(event, int(event.to_user[-1]), now)
        for data, hop in self.agent.to_send(now):
            self.transport.sendto(data, (hop[0], hop[1]))
        if self.timer is not None:
            self.timer.cancel()
        due = self.agent.next_deadline()
        self.timer = None if due is None else self.loop.call_at(due, self.flush)

    def take(self, call: events.Incoming, way: int, now: float) -> None:
        assert call.offer is not None
        if way in {BUSY, DECLINED}:
            self.agent.reject(call.call, 486 if way == BUSY else 603, now)
            return
        self.agent.ring(call.call, now)
        if way == CANCEL:
            return
        if way == LOST_BYE:
            self.deaf.add(call.request.call_id.encode())
            self.loop.call_later(
                QUICK.limit + 1.0, self.leave, call.call
            )  # when ours is over already: what comes is a stray
        where = "224.0.0.1" if way == NO_MEDIA else HERE
        ours = sdp.Session(where, self.sink.getsockname()[1])
        self.agent.accept(call.call, sdp.answer(call.offer, ours), now)
        if way == LEAVES:
            self.loop.call_later(0.05, self.leave, call.call)
        elif way == TALKS:
            self.press(call.call, call.offer.port)

    def press(self, call: str, port: int) -> None:
        """One key, told of until the call is over: the first packets may come before ours is ready."""
        if call not in self.agent.handles():
            return
        self.loop.call_later(0.1, self.press, call, port)
        end = telephone_event.encode("5", ticks=800, end=True)
        for number, kind, payload in ((1, 0, g711.SILENCE[0] * 160), (2, 101, end), (3, 101, end)):
            packet = rtp.Packet(kind, number, 160, 9, marker=False, payload=payload)
            self.sink.sendto(rtp.build(packet), (HERE, port))

    def leave(self, call: str) -> None:
        self.agent.hangup(call, self.loop.time())
        self.flush()


async def one_call(trunk: SipTrunk, number: int) -> None:
    """Place a call that ends in one of the ways; it must end as it should."""
    way = number % len(ENDS)
    call = Call(f"call_{number}", "acme", "live", "+18005550199", f"+1212555{number % 1000:03d}{way}", "bill", 1)
    heard: asyncio.Queue[LegEvent] = asyncio.Queue()
    leg = await trunk.dial(call, yes)
    assert isinstance(leg, SipLeg), leg
    leg.listen(heard.put_nowait)
    beep = Audio("beep", tones.beep(0.2), Path("beep.wav"))
    async with asyncio.timeout(15):
        while not isinstance(event := await heard.get(), Ended | Unanswered):
            match event:
                case Ringing() if way == CANCEL:
                    leg.hangup()
                case PickedUp():
                    leg.play([beep, 0.1, beep])
                    if way == LOST_BYE:
                        leg.hangup()
                case Digit("5"):
                    leg.hangup()
    await leg.over()
    assert (way, event) == (way, ENDS[way]), (way, event)


async def yes() -> bool:
    return True


def files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def kept(rtp_engine: RtpEngine) -> dict[str, int]:
    """What stays open between calls."""
    (media,) = rtp_engine.pids
    return {
        "files": files(os.getpid()),
        "files of the media process": files(media),
        "tasks": len(asyncio.all_tasks()),
        "streams": len(rtp_engine.streams),
    }


async def in_a_row(trunk: SipTrunk, numbers: range) -> None:
    """AT_ONCE workers share these calls."""
    todo = iter(numbers)

    async def work() -> None:
        for number in todo:
            await one_call(trunk, number)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def measured(count: int) -> dict[str, Any]:
    """Hold so many calls; returns what was open before and after, and what memory grew by."""
    base = 2 * secrets.randbelow(1000) + 14_000
    engine = RtpEngine(HERE, (base, base + 2 * PAIRS), drain_s=0.02)
    await engine.start()
    transport, far = await asyncio.get_running_loop().create_datagram_endpoint(FarEnd, local_addr=(HERE, 0))
    settings = Trunk(host=HERE, port=far.port, local_host=HERE, advertised_ip=HERE, options_interval_s=0)
    trunk = SipTrunk("main", settings, engine, timers=QUICK)
    await trunk.start()
    chunk = max(FEWEST, count // 20)
    await in_a_row(trunk, range(chunk))  # by then every pool and cache is as large as it gets
    await settled(trunk, far)
    before, memory_kb = kept(engine), resident_kb()
    for first in range(chunk, count, chunk):
        await in_a_row(trunk, range(first, min(first + chunk, count)))
        await settled(trunk, far)
    seen = {"calls": count, "before": before, "after": kept(engine), "grown_kb": resident_kb() - memory_kb}
    await trunk.stop()
    await engine.stop()
    transport.close()
    far.sink.close()
    return seen


async def settled(trunk: SipTrunk, far: FarEnd) -> None:
    """Wait until both ends have forgotten every call."""
    assert trunk._endpoint is not None
    ours = trunk._endpoint.agent
    async with asyncio.timeout(20):
        while ours.calls or ours.transactions or far.agent.calls or far.agent.transactions:
            await asyncio.sleep(0.05)
    far.deaf.clear()
    gc.collect()


def resident_kb() -> int:
    """What is in use: freed memory is handed back first."""
    ctypes.CDLL(None).malloc_trim(0)
    return int(psutil.Process().memory_info().rss / 1024)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print(json.dumps(asyncio.run(measured(int(sys.argv[1])))))  # noqa: T201  it is a command
