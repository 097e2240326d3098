"""How evenly 100 concurrent calls get their frames, beside a bare loop that does nothing else.

    python benchmarks/rtp_pacing.py [--streams 100] [--seconds 15]

The far end is a process of plain sockets that sends a packet on each every 20 ms and takes what comes, with the
kernel's own time of arrival (SO_TIMESTAMPNS). A frame is late when it came more than 30 ms after the one before it on
its stream. The far end faces the engine, each call playing one shared prompt, and then a second far end, which is the
bare loop: the same four phases of 5 ms, one packet sent over and over, what arrives read and dropped. One JSON line.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import select
import socket
import struct
import sys
import time
from typing import Any

import numpy as np
import psutil

from gateway.media import g711, rtp
from gateway.net.rtp_engine import RtpEngine
from gateway.net.rtp_process import URGENT

HERE = "127.0.0.1"
MARK = 0.01  # of the frames late, at 100 calls
LATE_NS = 30_000_000
SO_TIMESTAMPNS = 35  # asm-generic/socket.h; the ancillary message has the same number
FRAME_S = 0.020
PHASES = 4


def far_end(streams: int, seconds: float) -> None:
    """Child: prints its ports, reads a line with those to talk to, prints what it saw and the CPU it took."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, URGENT)  # as the engine has it
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(streams)]
    poll = select.epoll()
    for one in sockets:
        one.bind((HERE, 0))
        one.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        poll.register(one.fileno(), select.EPOLLIN)
    print(json.dumps([one.getsockname()[1] for one in sockets]), flush=True)
    pairs = [(one, (HERE, port)) for one, port in zip(sockets, json.loads(sys.stdin.readline()), strict=True)]
    for one in sockets:
        while select.select([one], [], [], 0)[0]:
            one.recv(2048)  # what came before the start has waited and says nothing
    used = time.process_time()
    arrivals = talk([pairs[phase::PHASES] for phase in range(PHASES)], poll, seconds)
    cpu_s = time.process_time() - used
    print(json.dumps({**judged(arrivals), "cpu_share": round(cpu_s / seconds, 3)}), flush=True)


def talk(
    phases: list[list[tuple[socket.socket, tuple[str, int]]]], poll: select.epoll, seconds: float
) -> dict[int, list[int]]:
    """The bare loop; returns the kernel's times of arrival for each socket, in ns."""
    by_fd = {one.fileno(): one for phase in phases for one, _ in phase}
    arrivals: dict[int, list[int]] = {fd: [] for fd in by_fd}
    payload = bytes(g711.FRAME_TICKS)
    start = time.monotonic()
    for tick in itertools.count():
        if time.monotonic() > start + seconds:
            break
        time.sleep(max(0.0, start + tick * FRAME_S / PHASES - time.monotonic()))
        number = tick // PHASES
        packet = rtp.build(rtp.Packet(0, number % 65536, number * 160, 1, marker=False, payload=payload))
        for one, address in phases[tick % PHASES]:
            one.sendto(packet, address)
        for fd, _ in poll.poll(0):
            _, ancillary, _, _ = by_fd[fd].recvmsg(2048, 64)
            seconds_part, nanoseconds = struct.unpack("qq", ancillary[0][2])
            arrivals[fd].append(seconds_part * 1_000_000_000 + nanoseconds)
    return arrivals


def judged(arrivals: dict[int, list[int]]) -> dict[str, float]:
    """What the times of arrival say."""
    gaps = np.concatenate([np.diff(np.array(times)) for times in arrivals.values()])
    return {
        "frames": sum(len(times) for times in arrivals.values()),
        "late_share": round(float((gaps > LATE_NS).mean()), 5),
        "gap_ms_p99": round(float(np.percentile(gaps, 99)) / 1e6, 2),
        "gap_ms_max": round(float(gaps.max()) / 1e6, 2),
    }


class FarEnd:
    """The child, as its parent sees it."""

    def __init__(self, process: asyncio.subprocess.Process, ports: list[int]) -> None:
        self.process, self.ports = process, ports

    @classmethod
    async def started(cls, streams: int, seconds: float) -> "FarEnd":
        """Start one; its ports are bound when this returns."""
        command = (sys.executable, __file__, "--far-end", "--streams", str(streams), "--seconds", str(seconds))
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=1 << 20)
        assert process.stdout is not None
        return cls(process, json.loads(await process.stdout.readline()))

    async def talk(self, ports: list[int]) -> dict[str, Any]:
        """Let it talk to these ports; returns what it saw when its time is over."""
        out, _ = await self.process.communicate(json.dumps(ports).encode() + b"\n")
        return dict(json.loads(out))


async def bare_loop(streams: int, seconds: float) -> dict[str, Any]:
    """Two far ends facing each other: what the one saw, what the other took to send it."""
    seeing, sending = await FarEnd.started(streams, seconds), await FarEnd.started(streams, seconds)
    seen, other = await asyncio.gather(seeing.talk(sending.ports), sending.talk(seeing.ports))
    return {**seen, "cpu_share": other["cpu_share"]}


async def engine(streams: int, seconds: float) -> dict[str, Any]:
    """A far end facing the engine."""
    far = await FarEnd.started(streams, seconds)
    media = RtpEngine(HERE, None)
    await media.start()
    noise = np.random.default_rng(1).normal(0, 3000, round(2 * seconds) * g711.RATE_HZ)
    prompt = media.load(noise.astype(np.int16).tobytes())
    calls = [await media.open() for _ in far.ports]
    for call, port in zip(calls, far.ports, strict=True):
        call.connect(HERE, port, payload_type=0, event_payload_type=101)
        call.play(prompt)
    start, before = time.monotonic(), psutil.Process(media.pid).cpu_times()
    seen = await far.talk([call.port for call in calls])
    lasted, after = time.monotonic() - start, psutil.Process(media.pid).cpu_times()
    heard = sum([(await call.close()).received for call in calls])
    await media.stop()
    cpu_s = after.user + after.system - before.user - before.system
    return {**seen, "cpu_share": round(cpu_s / lasted, 3), "heard_by_engine": heard}


async def compare(streams: int, seconds: float) -> dict[str, Any]:
    """Both, one after the other."""
    ours, bare = await engine(streams, seconds), await bare_loop(streams, seconds)
    line = {"benchmark": "rtp_pacing", "streams": streams, "seconds": seconds, "mark_late_share": MARK}
    return {**line, "ok": ours["late_share"] <= MARK, "engine": ours, "bare_loop": bare}


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--streams", type=int, default=100)
    arguments.add_argument("--seconds", type=float, default=15.0)
    arguments.add_argument("--far-end", action="store_true", help="be the far end; started by this script itself")
    given = arguments.parse_args()
    if given.far_end:
        far_end(given.streams, given.seconds)
    else:
        print(json.dumps(asyncio.run(compare(given.streams, given.seconds))))


if __name__ == "__main__":
    main()
