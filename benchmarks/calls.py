"""How a whole gateway holds 100 calls at once: frames, set-up, the first word, CPU; beside a bare loop.

    python benchmarks/calls.py [--calls 100] [--rate 20] [--hold 15] [--names 8]

Three processes or more: a gateway with its embedded defaults (it starts its Valkey, its media process and its speech
worker), a far end, and this one, which submits one voice job over HTTP. The far end is a user agent and plain sockets
in one loop: it answers every INVITE at once, talks on each call every 20 ms, hangs up after --hold seconds, and notes
the kernel's own time of arrival (SO_TIMESTAMPNS) of all it gets. Everybody is called by one of --names names, so that
many greetings are rendered while calls are up.

A frame is late when it came more than 30 ms after the one before it in its call. `first_word_ms` counts from the far
end's 200 to the first frame that is not silence. CPU is a share of one core, while all calls are up. The bare side is
that of rtp_pacing.py: as many streams, sent by a loop that does nothing else. One JSON line.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import secrets
import select
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil
from rtp_pacing import FRAME_S, HERE, LATE_NS, MARK, PHASES, SO_TIMESTAMPNS, bare_loop
from texts import child, new_key

from gateway.client import Client
from gateway.media import g711, rtp
from gateway.net.rtp_process import URGENT
from gateway.sip import events, sdp
from gateway.sip.context import Options
from gateway.sip.user_agent import UserAgent

SENDER = "+18005550199"
BARE_S = 8.0
PLAN = """
name: long-notice
language: en-US
start: greet
variables: {name: {required: true}}
nodes:
  greet: {say: "Hello {{ name }}. This is City Water with a notice for your street.", next: notice}
  notice:
    say: >-
      The water will be off on Friday from nine in the morning to four in the afternoon, while we replace a main from
      1931. Please fill a kettle and a bucket the evening before. The first water afterwards may look cloudy, which is
      harmless; let the tap run for a minute. Bottled water is free at the depot on Mill Road. A crew will knock at
      the doors of those who need help. If you depend on water for medical reasons, please call us today, and we will
      bring a tank to your door before the work begins.
    next: ask
  ask:
    menu:
      prompt: {say: "Press 1 to hear this again, or 9 to be removed from our list."}
      choices: {"1": notice, "9": remove}
      timeout: 5s
      attempts: 3
      otherwise: bye
  bye: {say: "Goodbye.", then: hangup}
  remove: {opt_out: tenant, then: hangup}
"""


@dataclass(slots=True)
class Heard:
    """One call at the far end. Times are the system's clock, in ns."""

    udp: socket.socket
    offer: sdp.Session
    hangs_up: float  # monotonic seconds
    answered_ns: int = 0
    ended_ns: int = 0
    first_word_ns: int = 0
    frames_ns: list[int] = field(default_factory=list)

    def take(self) -> None:
        """Take one datagram."""
        data, ancillary, _, _ = self.udp.recvmsg(2048, 64)
        at_ns = kernel_time(ancillary)
        self.frames_ns.append(at_ns)
        if not self.first_word_ns:
            packet = rtp.parse(data)
            if packet.payload != g711.SILENCE[packet.payload_type] * len(packet.payload):
                self.first_word_ns = at_ns


def kernel_time(ancillary: list[Any]) -> int:
    seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
    return int(seconds * 1_000_000_000 + nanoseconds)


def bound() -> socket.socket:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((HERE, 0))
    udp.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    udp.setblocking(False)
    return udp


class FarEnd:
    """Child: answers, talks, listens; hangs up each call in time."""

    def __init__(self, hold_s: float) -> None:
        self.hold_s = hold_s
        self.sip = bound()
        self.port = self.sip.getsockname()[1]
        self.agent = UserAgent(Options(advertised=(HERE, self.port), peers=None), lambda: secrets.token_hex(12))
        self.poll = select.epoll()
        self.poll.register(self.sip.fileno(), select.EPOLLIN)
        self.poll.register(sys.stdin.fileno(), select.EPOLLIN)
        self.takers: dict[int, Callable[[], None]] = {self.sip.fileno(): self.take_sip}
        self.calls: dict[str, Heard] = {}
        self.invites_ns: list[int] = []
        self.peak = 0

    def run(self) -> None:
        """Until standard input has something to say."""
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, URGENT)  # as the engine has it: this side must not be what is late
        start, payload = time.monotonic(), bytes(g711.FRAME_TICKS)
        for tick in itertools.count():
            time.sleep(max(0.0, start + tick * FRAME_S / PHASES - time.monotonic()))
            number = tick // PHASES
            packet = rtp.build(rtp.Packet(0, number % 65536, number * 160, 1, marker=False, payload=payload))
            self.talk(packet, tick % PHASES)
            for fd, _ in self.poll.poll(0):
                if fd == sys.stdin.fileno():
                    return
                self.takers[fd]()
            self.turn()

    def talk(self, packet: bytes, phase: int) -> None:
        """Send a frame on the calls of this phase."""
        up = [call for call in self.calls.values() if call.answered_ns and not call.ended_ns]
        self.peak = max(self.peak, len(up))
        for call in up[phase::PHASES]:
            with contextlib.suppress(OSError):
                call.udp.sendto(packet, (call.offer.address, call.offer.port))

    def take_sip(self) -> None:
        """Take one SIP datagram."""
        data, ancillary, _, source = self.sip.recvmsg(4096, 64)
        if data.startswith(b"INVITE "):
            self.invites_ns.append(kernel_time(ancillary))
        self.agent.receive(data, source, time.monotonic())

    def turn(self) -> None:
        """Hang up what is due, act on what the user agent tells, send what it has."""
        now = time.monotonic()
        for handle, call in self.calls.items():
            if call.hangs_up < now and not call.ended_ns:
                call.ended_ns = time.time_ns()
                self.agent.hangup(handle, now)
        for event in self.agent.events():
            match event:
                case events.Incoming(handle, _, offer) if offer is not None:
                    self.answer(handle, offer, now)
                case events.Ended(handle, _, _):
                    self.over(self.calls[handle])
        for data, hop in self.agent.to_send(now):
            self.sip.sendto(data, hop.address)

    def answer(self, handle: str, offer: sdp.Session, now: float) -> None:
        """Take a call, with a socket of its own."""
        udp = bound()
        call = self.calls[handle] = Heard(udp, offer, now + self.hold_s)
        self.takers[udp.fileno()] = call.take
        self.poll.register(udp.fileno(), select.EPOLLIN)
        self.agent.accept(handle, sdp.answer(offer, sdp.Session(HERE, udp.getsockname()[1])), now)
        call.answered_ns = time.time_ns()

    def over(self, call: Heard) -> None:
        """Listen no more."""
        call.ended_ns = call.ended_ns or time.time_ns()
        self.poll.unregister(call.udp.fileno())

    def judged(self) -> dict[str, Any]:
        """What was seen. Frames count while their call is up."""
        calls = [call for call in self.calls.values() if call.frames_ns]
        while_up = [[at_ns for at_ns in call.frames_ns if at_ns <= call.ended_ns] for call in calls]
        gaps = np.concatenate([np.diff(np.array(times)) for times in while_up])
        invites = np.array(self.invites_ns)
        words_ms = np.array([(call.first_word_ns - call.answered_ns) / 1e6 for call in calls if call.first_word_ns])
        spread_s = float(invites[-1] - invites[0]) / 1e9
        return {
            "frames": len(gaps) + len(calls),
            "late_share": round(float((gaps > LATE_NS).mean()), 5),
            "gap_ms_p99": round(float(np.percentile(gaps, 99)) / 1e6, 2),
            "gap_ms_max": round(float(gaps.max()) / 1e6, 2),
            "calls_answered": len(self.calls),
            "calls_heard": len(words_ms),
            "calls_at_once": self.peak,
            "invites": len(invites),
            "set_up_per_s": round((len(invites) - 1) / spread_s, 2),
            "most_in_a_second": int(max(np.searchsorted(invites, invites + 1_000_000_000) - np.arange(len(invites)))),
            "first_word_ms_p50": round(float(np.percentile(words_ms, 50)), 1),
            "first_word_ms_max": round(float(words_ms.max()), 1),
        }


def far_end(hold_s: float) -> None:
    """Child: prints its port; told to end, prints what it saw."""
    here = FarEnd(hold_s)
    print(json.dumps(here.port), flush=True)
    here.run()
    print(json.dumps(here.judged()), flush=True)


def processes(gateway: psutil.Process) -> dict[str, psutil.Process]:
    """The gateway's processes by what they do."""
    found = {"gateway": gateway}
    for each in gateway.children(recursive=True):
        words = " ".join(each.cmdline())
        names = {"rtp_process": "media", "speech.worker": "speech", "valkey": "valkey"}
        found |= {name: each for part, name in names.items() if part in words}
    return found


def cpu_s(found: dict[str, psutil.Process]) -> dict[str, float]:
    times = {name: process.cpu_times() for name, process in found.items()}
    return {name: each.user + each.system for name, each in times.items()}


async def broadcast(client: Client, given: argparse.Namespace) -> str:
    """Publish the plan, make the sender, submit the job; returns its id."""
    await client.put("/v1/dialplans/long-notice", PLAN.encode(), "application/yaml")
    await client.put(f"/v1/senders/{SENDER}", {"kind": "toll_free", "status": "verified", "voice": "main"})
    people = [
        {"to": f"+1212555{1000 + index}", "variables": {"name": f"Customer {index % given.names + 1}"}}
        for index in range(given.calls)
    ]
    job = {"channel": "voice", "from": SENDER, "recipients": people, "call": {"dialplan": "long-notice"}}
    return str((await client.post("/v1/jobs", job))["id"])


async def states(client: Client, job_id: str) -> dict[str, int]:
    return dict((await client.get(f"/v1/jobs/{job_id}"))["counts"]["by_state"])


async def through_gateway(client: Client, given: argparse.Namespace, gateway: psutil.Process) -> dict[str, Any]:
    """Run the job; returns its ends and what each process took while all calls were up."""
    job_id = await broadcast(client, given)
    while (await states(client, job_id)).get("queued"):
        await asyncio.sleep(0.1)
    found = processes(gateway)
    start, before = time.monotonic(), cpu_s(found)
    await asyncio.sleep(given.hold / 3)
    lasted, after = time.monotonic() - start, cpu_s(found)
    share = {name: round((after[name] - before[name]) / lasted, 3) for name in found}
    while (await client.get(f"/v1/jobs/{job_id}"))["status"] != "completed":
        await asyncio.sleep(0.2)
    return {"ends": await states(client, job_id), "cpu_share": share}


async def measure(given: argparse.Namespace) -> dict[str, Any]:
    pipe = asyncio.subprocess.PIPE
    words = ("--far-end", "--hold", str(given.hold))
    far = await asyncio.create_subprocess_exec(sys.executable, __file__, *words, stdin=pipe, stdout=pipe)
    assert far.stdout is not None
    port = json.loads(await far.stdout.readline())
    with tempfile.TemporaryDirectory() as directory:
        environ = {
            "GATEWAY_DATA_DIR": directory,
            "GATEWAY_SIP__PORT": str(free_port()),
            "GATEWAY_TRUNKS__MAIN__HOST": HERE,
            "GATEWAY_TRUNKS__MAIN__PORT": str(port),
            "GATEWAY_TRUNKS__MAIN__CALLS_PER_SECOND": str(given.rate),
            "GATEWAY_TRUNKS__MAIN__CHANNELS": str(given.calls),
        }
        key = new_key(environ)
        with child("serve", "--port", "0", **environ) as (process, ready):
            async with Client(ready["url"], key) as client:
                ours = await through_gateway(client, given, process)
    out, _ = await far.communicate(b"end\n")
    return {**json.loads(out), **ours}


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HERE, 0))
        return int(probe.getsockname()[1])


async def compare(given: argparse.Namespace) -> dict[str, Any]:
    """Both, one after the other."""
    ours, bare = await measure(given), await bare_loop(given.calls, BARE_S)
    line = {"benchmark": "calls", "calls": given.calls, "calls_per_s": given.rate, "mark_late_share": MARK}
    is_ok = ours["late_share"] <= MARK and ours["calls_heard"] == given.calls
    return {**line, "ok": is_ok, "gateway": ours, "bare_loop": bare}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--calls", type=int, default=100)
    arguments.add_argument("--rate", type=float, default=20.0, help="calls started in a second")
    arguments.add_argument("--hold", type=float, default=15.0, help="seconds after which the far end hangs up")
    arguments.add_argument("--names", type=int, default=8, help="different greetings to render")
    arguments.add_argument("--far-end", action="store_true", help="be the far end; started by this script itself")
    given = arguments.parse_args()
    if given.far_end:
        far_end(given.hold)
    else:
        print(json.dumps(asyncio.run(compare(given))))


if __name__ == "__main__":
    main()
